"""Corpora: published conversations as rows of {prompt, response}."""

import pytest

from genome.errors import GenomeError
from genome.experts.corpora import first_exchange, read_corpus
from genome.files import write_jsonl


def talk(*turns):
    return [{"role": role, "content": text} for role, text in turns]


ASKED = talk(("user", "Two and two? "), ("assistant", "Four."), ("user", "And two?"), ("assistant", "Six."))
EMPTY = talk(("user", ""), ("assistant", "Hello."))
CONVERSATIONS = [
    {"dataset": "lima", "messages": ASKED},
    {"dataset": "science.qa", "messages": talk(("system", "Be brief."), ("user", "Why?"), ("assistant", "So."))},
    {"dataset": "hard_coded", "messages": talk(("user", "Who are you?"), ("assistant", "A model."))},
    {"dataset": "lima", "messages": EMPTY},
]


@pytest.fixture
def source(tmp_path):
    write_jsonl(tmp_path / "talks.jsonl", CONVERSATIONS)
    return {"hub": "some/talks", "split": "train", "revision": "abc", "path": "talks.jsonl"}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (ASKED, {"prompt": "Two and two?", "response": "Four."}),
        (talk(("system", "Be brief."), ("user", "Why?"), ("assistant", "So.")),
         {"prompt": "Be brief.\n\nWhy?", "response": "So."}),
        (EMPTY, None),
        (talk(("user", "Hello?"), ("assistant", None)), None),
        (talk(("assistant", "Hello.")), None),
        (talk(("user", "Hello?")), None),
        ([], None),
    ],
)  # fmt: skip
def test_first_exchange_needs_both_sides(messages, expected):
    assert first_exchange(messages) == expected


def test_read_corpus_selects_rows_and_counts_empty_ones(tmp_path, source):
    rows, empty = read_corpus({**source, "without": {"dataset": ["hard_coded"]}}, tmp_path)
    assert [row["response"] for row in rows] == ["Four.", "So."]
    assert empty == 1
    rows, empty = read_corpus({**source, "only": {"dataset": ["science.qa", "hard_coded"]}}, tmp_path)
    assert [row["response"] for row in rows] == ["So.", "A model."]
    assert empty == 0


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"only": {"dataset": ["limo"]}}, "4 rows, 0 of them selected.*correct `only` or `without`"),
        ({"only": {"subset": ["lima"]}}, "no column 'subset'; its columns are dataset, messages"),
    ],
)
def test_read_corpus_refuses_an_empty_selection(tmp_path, source, choice, message):
    with pytest.raises(GenomeError, match=message) as error:
        read_corpus({**source, **choice}, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("messages", "part"),
    [
        ("Two and two?", "row 2: 'messages' is not a list"),
        (None, "row 2: 'messages' is not a list"),
        (["Two?"], "row 2: a message is not a mapping"),
        ([{"role": "user"}], "row 2: a message is not a mapping of role and content"),
        (talk(("user", 3), ("assistant", "Four.")), "row 2: the content of a message is int, expected text"),
        (
            talk(("user", "\ud800"), ("assistant", "Four.")),
            "row 2: the content of a message contains half of a surrogate",
        ),
    ],
)
def test_read_corpus_names_an_invalid_conversation(tmp_path, messages, part):
    write_jsonl(tmp_path / "talks.jsonl", [{"messages": ASKED}, {"messages": messages}], any_value=True)
    with pytest.raises(GenomeError, match=part) as error:
        read_corpus({"path": "talks.jsonl"}, tmp_path)
    assert "\n" not in str(error.value)


def test_read_corpus_names_columns_with_line_breaks_in_one_line(tmp_path):
    write_jsonl(tmp_path / "talks.jsonl", [{"talk\n(first)": ASKED}])
    with pytest.raises(GenomeError, match=r"no column 'messages'; its columns are talk \(first\)$"):
        read_corpus({"path": "talks.jsonl"}, tmp_path)

import gzip
import json
import os
import sys
import types

import pytest

from genome.errors import GenomeError
from genome.files import write_jsonl
from genome.tasks.sources import local_files, read_source, tables

MGSM = {
    "hub": "some/mgsm",
    "revision": "abc",
    "config": {"language": {"de": "German", "bn": "Bengali"}},
    "split": ["train", "test"],
    "path": "mgsm/{config}/{split}.jsonl",
}
FLORES = {
    "path": "{config}/{split}.jsonl",
    "config": {"language": ["deu", "fra"]},
    "split": {"validation": "dev", "test": "devtest"},
    "join": {"english": {"config": "eng", "by": "id", "column": "sentence"}},
}


def rows_in(source, folder=None):
    return [row for _, rows in read_source(source, folder) for row in rows]


def refusal(source, folder=None):
    with pytest.raises(GenomeError) as caught:
        read_source(source, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def mgsm(tmp_path):
    for config in ("bn", "de"):
        for split in ("train", "test"):
            write_jsonl(tmp_path / "mgsm" / config / f"{split}.jsonl", [{"q": f"{config} {split}"}])
    return tmp_path


@pytest.fixture
def flores(tmp_path):
    for config in ("deu", "fra", "eng"):
        for split, size in (("dev", 2), ("devtest", 3)):
            rows = [{"id": i, "sentence": f"{config} {split} {i}"} for i in range(size)]
            write_jsonl(tmp_path / config / f"{split}.jsonl", rows)
    return tmp_path


def test_a_pool_is_split_after_split_over_all_configs(mgsm):
    assert rows_in(MGSM, mgsm) == [
        {"q": "bn train", "language": "bn", "language_name": "Bengali"},
        {"q": "de train", "language": "de", "language_name": "German"},
        {"q": "bn test", "language": "bn", "language_name": "Bengali"},
        {"q": "de test", "language": "de", "language_name": "German"},
    ]


def test_a_list_of_configs_keeps_its_order(mgsm):
    source = {**MGSM, "config": {"language": ["de", "bn"]}, "split": "test"}
    assert rows_in(source, mgsm) == [{"q": "de test", "language": "de"}, {"q": "bn test", "language": "bn"}]


def test_the_files_of_a_source_are_all_there(mgsm):
    with pytest.raises(GenomeError, match=r"no file .*mgsm/bn/nowhere\.jsonl; put the rows there"):
        local_files({**MGSM, "split": ["train", "nowhere"]}, mgsm)
    found = local_files({**MGSM, "split": "train"}, mgsm)
    assert found == [mgsm / "mgsm" / config / "train.jsonl" for config in ("bn", "de")]
    assert local_files(MGSM, None) == []  # the hub is asked


def test_a_compressed_copy_stands_in_for_a_file(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps({"q": 1}))
    assert rows_in({"path": "a.jsonl"}, tmp_path) == [{"q": 1}]
    assert local_files({"path": "a.jsonl"}, tmp_path) == [tmp_path / "a.jsonl.gz"]


def test_one_file_may_stand_for_all_tables(tmp_path):
    write_jsonl(tmp_path / "mine.jsonl", [{"q": 1, "language": "de"}])
    assert rows_in({**MGSM, "path": "mine.jsonl"}, tmp_path) == [{"q": 1, "language": "de"}]


def test_sides_come_from_tables_of_their_own_and_join_within_them(flores):
    found = read_source(FLORES, flores)
    assert [(table.side, table.config) for table, _ in found] == [
        ("validation", "deu"), ("validation", "fra"), ("test", "deu"), ("test", "fra"),
    ]  # fmt: skip
    assert found[3][1][2] == {"id": 2, "sentence": "fra devtest 2", "language": "fra", "english": "eng devtest 2"}
    assert len(local_files(FLORES, flores)) == 6  # what is joined is an input too


def test_what_does_not_join_is_named(flores):
    write_jsonl(flores / "eng" / "dev.jsonl", [{"id": 0, "sentence": "x"}])
    assert "row 2 has no counterpart in eng with the same 'id'" in refusal(FLORES, flores)
    write_jsonl(flores / "eng" / "dev.jsonl", [{"id": 0}])
    assert "have no column 'sentence'" in refusal(FLORES, flores)


def test_neighbours_of_one_conversation_become_its_last_row(tmp_path):
    rows = [{"talk": talk, "said": said} for talk, said in ((0, "a"), (0, "b"), (1, "c"), (0, "d"))]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert rows_in({"path": "a.jsonl", "conversation": "talk"}, tmp_path) == [
        {"talk": 0, "said": "b", "history": [{"talk": 0, "said": "a"}]},
        {"talk": 1, "said": "c", "history": []},
        {"talk": 0, "said": "d", "history": []},
    ]
    assert "no column 'scene', which tells conversations apart" in refusal(
        {"path": "a.jsonl", "conversation": "scene"}, tmp_path
    )


@pytest.fixture
def loaded(monkeypatch):
    """Return what `datasets` was asked for; it answers with one row each."""
    asked = []

    def load_dataset(*arguments, **settings):
        asked.append((*arguments, settings))
        return iter([{"q": len(asked)}])

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return asked


def test_the_hub_is_asked_table_by_table(loaded):
    assert len(rows_in(MGSM)) == 4
    assert loaded[0] == ("some/mgsm", "bn", {"split": "train", "revision": "abc"})
    assert loaded[3] == ("some/mgsm", "de", {"split": "test", "revision": "abc"})


def test_a_script_is_never_run_the_hubs_own_conversion_is_read(loaded):
    rows_in({"hub": "some/set", "revision": "refs/convert/parquet", "config": "deu", "split": "dev"})
    files = "hf://datasets/some/set@refs%2Fconvert%2Fparquet/deu/dev/*.parquet"
    assert loaded == [("parquet", {"data_files": files, "split": "train"})]


def test_published_files_are_read_where_no_folder_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "a.csv").write_text('Sr No.,Utterance\n1,"Well, hello"\n')
    nested = {
        "season": 1,
        "episodes": [{"id": "e1", "scenes": [{"scene": "c1", "lines": [{"said": "a"}, {"said": "b"}]}]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(nested))
    source = {"url": [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], "path": ["x.jsonl", "y.jsonl"]}
    assert [(table.address[-5:], table.file) for table in tables(source)] == [
        ("a.csv", "x.jsonl"),
        ("b.csv", "y.jsonl"),
    ]
    assert rows_in({"url": str(tmp_path / "a.csv")}) == [{"Sr No.": 1, "Utterance": "Well, hello"}]
    assert rows_in({"url": str(tmp_path / "a.json"), "records": ["episodes", "scenes", "lines"]}) == [
        {"id": "e1", "scene": "c1", "said": "a"},
        {"id": "e1", "scene": "c1", "said": "b"},
    ]


def test_an_address_that_does_not_answer_is_one_line(tmp_path):
    assert "cannot load" in (text := refusal({"url": str(tmp_path / "none.csv"), "path": "a.jsonl"}))
    assert "data_dir" in text


ROWS = [{"q": "a", "n": 1}, {"q": "b", "n": 2}]


@pytest.mark.parametrize("form", ["mark", "crlf", "blank", "array", "gz", "gz array"])
def test_rows_are_read_in_every_form(tmp_path, form):
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    content = {
        "mark": text.encode("utf-8-sig"),
        "crlf": text.replace("\n", "\r\n").encode(),
        "blank": f"\n{text}\n \n".encode(),
        "array": json.dumps(ROWS, indent=1).encode(),
        "gz": gzip.compress(text.encode("utf-8-sig")),
        "gz array": gzip.compress(json.dumps(ROWS).encode()),
    }[form]
    name = "a.jsonl.gz" if form == "gz" else "a.jsonl"
    (tmp_path / name).write_bytes(content)
    assert rows_in({"path": name}, tmp_path) == ROWS


def test_columns_that_nobody_uses_may_hold_what_they_like(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"q": 1, "note": NaN, "text": "\\ud800", "far": [1e999]}\n')
    [row] = rows_in({"path": "a.jsonl"}, tmp_path)
    assert (row["q"], row["text"], row["far"]) == (1, "\ud800", [float("inf")])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"q": 1}\n\n[1]\n', "line 3: not a row of JSON Lines (no mapping of columns)"),
        ('[{"q": 1}, 3]', "row 2: not a row of JSON Lines (no mapping of columns)"),
        ('{"q": 1}\n{"q": 1, "q": 2}', "line 2: not a row of JSON Lines ('q' stands twice)"),
        ('{"q": ' + "[" * 100_000, "line 1: not a row of JSON Lines (nested too deeply)"),
        ('[{"q": 1},\n {]', "line 2: not a row of JSON Lines"),
    ],
)
def test_what_is_no_row_is_named_and_nobody_is_told_to_delete_it(tmp_path, text, part):
    (tmp_path / "a.jsonl").write_text(text)
    line = refusal({"path": "a.jsonl"}, tmp_path)
    assert f"{tmp_path}/a.jsonl, {part}" in line
    assert "delete" not in line


def test_only_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "link.jsonl").symlink_to("nowhere")
    kinds = {
        "pipe": "a pipe",
        "zero": "a device",
        "folder": "a folder",
        "link": "a link to nowhere",
        "x" * 300: "too long",
    }
    for name, kind in kinds.items():
        line = refusal({"path": f"{name}.jsonl"}, tmp_path)
        assert f"{tmp_path}/{name}.jsonl" in line
        assert kind in line


def test_rows_are_joined_by_texts_and_numbers(flores):
    write_jsonl(flores / "eng" / "dev.jsonl", [{"id": [0], "sentence": "x"}])
    assert "has a list or a mapping in 'id'" in refusal(FLORES, flores)


def test_what_the_library_cannot_make_rows_of_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "a.json").write_text('{"a": [')
    assert "cannot load" in refusal({"url": str(tmp_path / "a.json")})
    (tmp_path / "b.json").write_text(json.dumps({"a": [{"b": [{"c": 1}]}, {"b": None}]}))
    line = refusal({"url": str(tmp_path / "b.json"), "records": ["a", "b"]})
    assert "record 2 has no list of records 'b'" in line

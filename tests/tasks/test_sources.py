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


def test_tables_are_ordered_by_split_then_config(mgsm):
    assert rows_in(MGSM, mgsm) == [
        {"q": "bn train", "language": "bn", "language_name": "Bengali"},
        {"q": "de train", "language": "de", "language_name": "German"},
        {"q": "bn test", "language": "bn", "language_name": "Bengali"},
        {"q": "de test", "language": "de", "language_name": "German"},
    ]


def test_tables_keep_the_order_of_a_list_of_configs(mgsm):
    source = {**MGSM, "config": {"language": ["de", "bn"]}, "split": "test"}
    assert rows_in(source, mgsm) == [{"q": "de test", "language": "de"}, {"q": "bn test", "language": "bn"}]


def test_local_files_returns_all_files_of_a_source(mgsm):
    with pytest.raises(GenomeError, match=r"no file .*mgsm/bn/nowhere\.jsonl; put the rows there"):
        local_files({**MGSM, "split": ["train", "nowhere"]}, mgsm)
    found = local_files({**MGSM, "split": "train"}, mgsm)
    assert found == [mgsm / "mgsm" / config / "train.jsonl" for config in ("bn", "de")]
    assert local_files(MGSM, None) == []  # it is loaded from the hub


def test_local_files_accepts_a_compressed_copy(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps({"q": 1}))
    assert rows_in({"path": "a.jsonl"}, tmp_path) == [{"q": 1}]
    assert local_files({"path": "a.jsonl"}, tmp_path) == [tmp_path / "a.jsonl.gz"]


def test_read_source_reads_one_file_for_several_tables_once(tmp_path):
    write_jsonl(tmp_path / "mine.jsonl", [{"q": 1, "language": "de"}])
    assert rows_in({**MGSM, "path": "mine.jsonl"}, tmp_path) == [{"q": 1, "language": "de"}]


def test_read_source_joins_within_each_side(flores):
    found = read_source(FLORES, flores)
    assert [(table.side, table.config) for table, _ in found] == [
        ("validation", "deu"), ("validation", "fra"), ("test", "deu"), ("test", "fra"),
    ]  # fmt: skip
    assert found[3][1][2] == {"id": 2, "sentence": "fra devtest 2", "language": "fra", "english": "eng devtest 2"}
    assert len(local_files(FLORES, flores)) == 6  # joined tables are inputs too


def test_read_source_names_a_row_that_does_not_join(flores):
    write_jsonl(flores / "eng" / "dev.jsonl", [{"id": 0, "sentence": "x"}])
    assert "row 2 has no counterpart in eng with the same 'id'" in refusal(FLORES, flores)
    write_jsonl(flores / "eng" / "dev.jsonl", [{"id": 0}])
    assert "have no column 'sentence'" in refusal(FLORES, flores)


def test_read_source_merges_a_conversation_into_its_last_row(tmp_path):
    rows = [{"talk": talk, "said": said} for talk, said in ((0, "a"), (0, "b"), (1, "c"), (0, "d"))]
    write_jsonl(tmp_path / "a.jsonl", rows)
    assert rows_in({"path": "a.jsonl", "conversation": "talk"}, tmp_path) == [
        {"talk": 0, "said": "b", "history": [{"talk": 0, "said": "a"}]},
        {"talk": 1, "said": "c", "history": []},
        {"talk": 0, "said": "d", "history": []},
    ]
    assert "no column 'scene', which distinguishes conversations" in refusal(
        {"path": "a.jsonl", "conversation": "scene"}, tmp_path
    )


@pytest.fixture
def loaded(monkeypatch):
    """Return the calls of `datasets`, which returns one row for each."""
    asked = []

    def load_dataset(*arguments, **settings):
        asked.append((*arguments, settings))
        return iter([{"q": len(asked)}])

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    return asked


def test_read_source_loads_each_table_from_the_hub(loaded):
    assert len(rows_in(MGSM)) == 4
    assert loaded[0] == ("some/mgsm", "bn", {"split": "train", "revision": "abc"})
    assert loaded[3] == ("some/mgsm", "de", {"split": "test", "revision": "abc"})


def test_read_source_uses_the_hub_conversion_of_a_script(loaded):
    rows_in({"hub": "some/set", "revision": "refs/convert/parquet", "config": "deu", "split": "dev"})
    files = "hf://datasets/some/set@refs%2Fconvert%2Fparquet/deu/dev/*.parquet"
    assert loaded == [("parquet", {"data_files": files, "split": "train"})]


def test_read_source_reads_published_files_without_a_folder(tmp_path, monkeypatch):
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


def test_sides_may_be_two_parts_of_one_published_file(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "a.json").write_text(json.dumps({"about": "x", "dev": [{"q": "a"}], "test": [{"q": "b"}, {"q": "c"}]}))
    found = read_source({"url": str(tmp_path / "a.json"), "records": {"validation": "dev", "test": "test"}})
    assert [(table.side, rows) for table, rows in found] == [
        ("validation", [{"q": "a"}]),
        ("test", [{"q": "b"}, {"q": "c"}]),
    ]


def test_read_source_reports_an_unreachable_address_in_one_line(tmp_path):
    assert "cannot load" in (text := refusal({"url": str(tmp_path / "none.csv"), "path": "a.jsonl"}))
    assert "data_dir" in text


ROWS = [{"q": "a", "n": 1}, {"q": "b", "n": 2}]


@pytest.mark.parametrize("form", ["mark", "crlf", "blank", "array", "gz", "gz array"])
def test_read_source_reads_every_form_of_rows(tmp_path, form):
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


def test_read_source_ignores_values_of_unused_columns(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"q": 1, "note": NaN, "text": "\\ud800", "far": [1e999]}\n')
    [row] = rows_in({"path": "a.jsonl"}, tmp_path)
    assert (row["q"], row["text"], row["far"]) == (1, "\ud800", [float("inf")])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"q": 1}\n\n[1]\n', "line 3: not a row of JSON Lines (not a mapping of columns)"),
        ('[{"q": 1}, 3]', "row 2: not a row of JSON Lines (not a mapping of columns)"),
        ('{"q": 1}\n{"q": 1, "q": 2}', "line 2: not a row of JSON Lines ('q' is repeated)"),
        ('{"q": ' + "[" * 100_000, "line 1: not a row of JSON Lines (nested too deeply)"),
        ('[{"q": 1},\n {]', "line 2: not a row of JSON Lines"),
    ],
)
def test_read_source_names_a_bad_row_without_advising_to_delete_the_file(tmp_path, text, part):
    (tmp_path / "a.jsonl").write_text(text)
    line = refusal({"path": "a.jsonl"}, tmp_path)
    assert f"{tmp_path}/a.jsonl, {part}" in line
    assert "delete" not in line


def test_read_source_opens_only_regular_files(tmp_path):
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


def test_read_source_joins_by_texts_and_numbers(flores):
    write_jsonl(flores / "eng" / "dev.jsonl", [{"id": [0], "sentence": "x"}])
    assert "has a list or a mapping in 'id'" in refusal(FLORES, flores)


def test_read_source_reports_an_error_of_datasets_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "a.json").write_text('{"a": [')
    assert "cannot load" in refusal({"url": str(tmp_path / "a.json")})
    (tmp_path / "b.json").write_text(json.dumps({"a": [{"b": [{"c": 1}]}, {"b": None}]}))
    line = refusal({"url": str(tmp_path / "b.json"), "records": ["a", "b"]})
    assert "record 2 has no list of records 'b'" in line

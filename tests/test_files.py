"""Errors of readers are one line for any content; writers leave a file complete or unchanged."""

import gzip
import json
import math
import os
import resource
import socket
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from builders import write_adapter, write_base
from fuzz.runner import REFUSED, run
from genome.errors import GenomeError
from genome.files import (
    REMAKE,
    check_file,
    is_file,
    is_folder,
    is_taken,
    read_json,
    read_jsonl,
    read_numbered,
    read_text,
    replacing,
    replacing_directory,
    sha256,
    write_json,
    write_jsonl,
    write_text,
)

ROWS = [{"q": "a", "n": 1}, {"q": "Größe\u2028", "n": 2.5}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def line_of(call, *arguments, **settings) -> str:
    """Return the one line of a call's error."""
    with pytest.raises(GenomeError) as caught:
        call(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode(),
        LINES.encode("utf-8-sig"),
        LINES.replace("\n", "\r\n").encode(),
        LINES.replace("\n", "\n \t\n\n").encode(),
        b"\n" + LINES.strip().encode(),
        (LINES + "\ufeff").encode(),
        json.dumps(ROWS).encode(),
        json.dumps(ROWS, indent=2).encode("utf-8-sig"),
        gzip.compress(LINES.encode(), mtime=0),
        gzip.compress(LINES.encode()[:30], mtime=0) + gzip.compress(LINES.encode()[30:], mtime=0),
    ],
    ids=["plain", "mark", "crlf", "blank", "no end", "late mark", "array", "indented", "gz", "two gz"],
)
@pytest.mark.parametrize("any_value", [False, True])
def test_read_jsonl_reads_every_form_of_rows(tmp_path, content, any_value):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert read_jsonl(path, any_value=any_value) == ROWS


def test_read_jsonl_reads_joined_files(tmp_path):
    (tmp_path / "rows").write_bytes(LINES.encode("utf-8-sig") * 2)
    assert read_jsonl(tmp_path / "rows") == ROWS * 2


def test_read_numbered_counts_lines_or_rows_of_an_array(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('\n{"a": 1}\n\n{"a": 2}\n')
    assert read_numbered(path) == ("line", [(2, {"a": 1}), (4, {"a": 2})])
    path.write_text('[{"a": 1},\n\n {"a": 2}]')
    assert read_numbered(path) == ("row", [(1, {"a": 1}), (2, {"a": 2})])
    path.write_text("[]")
    assert read_numbered(path) == ("row", [])
    path.write_text("[1]\n[{}]\n")
    assert read_numbered(path) == ("line", [(1, [1]), (2, [{}])])
    path.write_text("")
    assert read_numbered(path) == ("line", [])


FAULTS = {
    "cut": ('{"a": 1', "column 8"),
    "two values": ("{} {}", "Extra data"),
    "word": ("nothing", "Expecting value"),
    "deep": ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
    "deep lists": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "long number": ('{"a": ' + "9" * 5000 + "}", "4300 digits"),
    "twice": ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' is repeated"),
}
NO_JSON = {
    "nan": ('{"a": NaN}', "NaN is not a number"),
    "infinity": ('{"a": [-Infinity]}', "-Infinity is not a number"),
    "too large": ('{"a": 1e999}', "1e999 is not a number"),
    "surrogate": ('{"a": "\\ud800"}', "surrogate"),
    "surrogate name": ('{"\\uDfff": 1}', "surrogate"),
}


@pytest.mark.parametrize(("text", "part"), [*FAULTS.values(), *NO_JSON.values()], ids=[*FAULTS, *NO_JSON])
def test_invalid_json_is_named_with_line_and_remedy(tmp_path, text, part):
    path = tmp_path / "a.json"
    path.write_text(text)
    line = line_of(read_json, path)
    assert line.startswith(str(path))
    assert part in line
    assert line.endswith("; correct the file")  # never advice to delete a file that may be the user's
    path.write_text('{"b": 0}\n\n' + text + "\n")
    assert line_of(read_jsonl, path, REMAKE).startswith(f"{path}, line 3: not valid JSON (")
    assert line_of(read_jsonl, path, REMAKE).endswith("; delete the file to have it made again")


def test_fault_in_indented_json_is_named_with_its_line(tmp_path):
    (tmp_path / "a.json").write_text('{\n "a": 1,\n}')
    assert f"{tmp_path}/a.json, line 3: " in line_of(read_json, tmp_path / "a.json")
    (tmp_path / "a.json").write_text("[\n{},\n{]")
    assert f"{tmp_path}/a.json, line 3: " in line_of(read_jsonl, tmp_path / "a.json")


def test_any_value_reads_and_writes_nan_and_surrogates_unchanged(tmp_path):
    path, copy = tmp_path / "rows.jsonl", tmp_path / "copy.jsonl"
    path.write_text("".join(f"{text}\n" for text, _ in NO_JSON.values()) + '{"e": "\\ud83d\\ude00é"}\n')
    rows = read_jsonl(path, any_value=True)
    assert math.isnan(rows[0]["a"])
    assert rows[1:] == [{"a": [-math.inf]}, {"a": math.inf}, {"a": "\ud800"}, {"\udfff": 1}, {"e": "😀é"}]
    write_jsonl(copy, rows, any_value=True)
    assert copy.read_text().splitlines() == [
        '{"a": NaN}',
        '{"a": [-Infinity]}',
        '{"a": Infinity}',
        '{"a": "\\ud800"}',
        '{"\\udfff": 1}',
        '{"e": "😀é"}',
    ]
    assert repr(read_jsonl(copy, any_value=True)) == repr(rows)
    with pytest.raises(ValueError, match="JSON compliant"):
        write_jsonl(copy, rows[:1])


@pytest.mark.parametrize(("text", "part"), FAULTS.values(), ids=FAULTS)
def test_any_value_still_refuses_invalid_json(tmp_path, text, part):
    (tmp_path / "a.jsonl").write_text("{}\n" + text)
    line = line_of(read_jsonl, tmp_path / "a.jsonl", any_value=True)
    assert line.startswith(f"{tmp_path}/a.jsonl, line 2: ")
    assert part in line


@pytest.mark.parametrize("fault", ["deep", "long number", "twice"])
def test_fault_in_an_array_is_named_with_its_row(tmp_path, fault):
    text, part = FAULTS[fault]
    (tmp_path / "a.json").write_text('[{"b": [1, 2]},\n {"b": 0} ,\n' + text + ', {"b": 3}]')
    line = line_of(read_jsonl, tmp_path / "a.json", any_value=True)
    assert line.startswith(f"{tmp_path}/a.json, row 3: not valid JSON (")
    assert part in line


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b'{"a": 1}\n{"a": "\xe9"}\n', "line 2: not UTF-8"),
        ('{"a": 1}\n'.encode("utf-16"), "line 1: not UTF-8 (UTF-16)"),
        (gzip.compress(LINES.encode(), mtime=0)[:-9], "damaged gzip file"),
        (b"\x1f\x8bxxxxxxxx", "damaged gzip file"),
    ],
)
def test_read_text_names_other_encodings(tmp_path, content, part):
    (tmp_path / "a").write_bytes(content)
    for read in (read_json, read_jsonl, read_text):
        assert part in line_of(read, tmp_path / "a")


def test_empty_file_is_invalid_json_but_valid_jsonl(tmp_path):
    (tmp_path / "a").write_text("\n")
    assert "the file is empty" in line_of(read_json, tmp_path / "a")
    assert read_jsonl(tmp_path / "a") == []


@pytest.fixture
def no_files(tmp_path):
    """Return paths that are not regular files, with a part of the error for each."""
    os.mkfifo(tmp_path / "pipe")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "socket"))
    bound.close()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "file").touch()
    return {
        tmp_path: "a folder",
        tmp_path / "pipe": "a pipe",
        tmp_path / "socket": "a socket",
        Path("/dev/zero"): "a device",
        tmp_path / "link": "a link to nowhere, which does not exist",
        tmp_path / "circle": "Too many levels",
        tmp_path / "none": "no such file",
        tmp_path / "file" / "below": "Not a directory",
        tmp_path / ("x" * 300): "File name too long",
    }


@pytest.mark.parametrize("read", [check_file, read_json, read_jsonl, read_text, sha256])
def test_readers_open_only_regular_files(no_files, read):
    for path, part in no_files.items():
        line = line_of(read, path)
        assert line.startswith(f"{path}: ")
        assert part in line


@pytest.mark.parametrize("write", [write_text, write_json, write_jsonl])
def test_writers_refuse_paths_that_cannot_be_files(no_files, write, tmp_path):
    before = sorted(tmp_path.iterdir())
    for path, part in no_files.items():
        if part not in ("no such file", "Too many levels") and "nowhere" not in part:
            line = line_of(write, path, "text")
            assert line.startswith(f"cannot write {path}: ")
            assert part.replace("Not a directory", "is not a folder") in line
    assert sorted(tmp_path.iterdir()) == before


def test_writers_accept_the_longest_names(tmp_path):
    for name in ("x" * 255, "ä" * 127):
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).read_text() == "text"
        with replacing_directory(tmp_path / name[::-1][:-1]) as folder:
            (folder / "a").touch()
        assert (tmp_path / name[::-1][:-1] / "a").is_file()


def on_a_small_disk(write, folder):
    """Return a writer's error when files are limited to 1000 bytes, from a fork without output."""

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        write()

    outcome = run(limited, folder)
    assert outcome.kind == REFUSED, outcome.text
    return outcome.text


def test_full_disk_is_one_line_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("before")

    def fill():
        with replacing_directory(tmp_path / "folder") as folder:
            (folder / "a").write_text("x" * 2000)

    for write, value in ((write_text, "x" * 2000), (write_json, "x" * 2000), (write_jsonl, ["x" * 2000])):
        assert on_a_small_disk(partial(write, path, value), tmp_path) == (
            f"cannot write {path}: File too large; write to a disk that allows larger files"
        )
    assert on_a_small_disk(fill, tmp_path).startswith(f"cannot write {tmp_path}/folder: File too large; ")
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_errors_of_the_block_pass_without_temporary_names(tmp_path):
    for place in (replacing, replacing_directory):
        with pytest.raises(FileNotFoundError), place(tmp_path / "out"):
            (tmp_path / "other").open()
        with pytest.raises(GenomeError, match=f"^{tmp_path}/out: wrong$"), place(tmp_path / "out") as temporary:
            raise GenomeError(f"{temporary}: wrong")
    assert not list(tmp_path.iterdir())


def replace(path):
    with replacing_directory(path) as folder:
        (folder / "provenance.json").write_text("new")


def test_replacing_directory_replaces_own_and_empty_folders(tmp_path):
    for _ in range(2):
        replace(tmp_path / "expert")
        assert (tmp_path / "expert" / "provenance.json").read_text() == "new"
        (tmp_path / "expert" / "provenance.json").write_text("old")
    (tmp_path / "empty").mkdir()
    replace(tmp_path / "empty")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["empty", "expert"]


def test_replacing_directory_never_removes_a_users_files(tmp_path, monkeypatch):
    work = tmp_path / "mine" / "work"
    (work / "experts" / "one").mkdir(parents=True)
    (work / "experts" / "one" / "weights").write_text("of value")
    replace(work / "ours")
    (work / "ours" / "notes.txt").write_text("of value")
    (work / "file").write_text("of value")
    (work / "link").symlink_to("experts")
    (work / "nowhere").symlink_to("none")
    monkeypatch.chdir(work)
    before = sorted((str(path), path.is_file() and path.read_text()) for path in tmp_path.rglob("*"))
    faults = {
        "experts/one": "files that were not written here, such as weights",
        "experts/.": "files that were not written here",
        "experts/one/..": "it has no name;",
        "ours": "files that were not written here, such as notes.txt",
        "file": "it is a file",
        "link": "it is a link to experts",
        "nowhere": "it is a link to none",
        ".": "it has no name;",
        "..": "it has no name;",
        str(work): "it contains the working folder",
        str(tmp_path / "mine"): "it contains the working folder",
        "/": "it has no name;",
        "file/below": "file is not a folder",
    }
    for path, part in faults.items():
        line = line_of(replace, path)
        assert line.startswith("cannot write ")
        assert part in line
    assert sorted((str(path), path.is_file() and path.read_text()) for path in tmp_path.rglob("*")) == before


def test_is_file_is_folder_is_taken_answer_or_raise_one_line(no_files, tmp_path):
    answers = {path: (is_file(path), is_folder(path), is_taken(path)) for path in no_files if len(path.name) < 256}
    assert [path for path, (file, _, _) in answers.items() if file] == []
    assert [path for path, (_, folder, _) in answers.items() if folder] == [tmp_path]
    assert {path.name for path, (_, _, taken) in answers.items() if not taken} == {"none", "below"}
    assert is_file(tmp_path / "file")
    for check in (is_file, is_folder, is_taken):
        assert "cannot be read (File name too long)" in line_of(check, tmp_path / ("x" * 300))


CLOSED = """
import codecs, mmap, os, sys
from pathlib import Path
from genome.errors import GenomeError
from genome.experts.importing import import_expert
from genome.files import read_json, write_text
from genome.experts.base_model import fetch_base
from genome.tasks.sources import read_source

codecs.lookup("utf-8-sig")  # while the modules of Python can be read, as is mmap above
os.setuid(65534)
root = Path(sys.argv[1])
closed = [root / "closed", root / "closed" / "below"]
for path in closed:
    for call in (
        lambda: import_expert("one", {"path": str(path)}, root / "base", root / "open" / "out"),
        lambda: fetch_base({"path": str(path)}, root / "open" / "out"),
        lambda: read_source({"path": str(path / "rows.jsonl")}),
        lambda: read_json(path / "file"),
        lambda: write_text(path / "file", "text"),
        lambda: import_expert("one", {"path": str(root / "expert")}, root / "base", path / "out"),
    ):
        try:
            call()
        except GenomeError as error:
            print(str(error).replace("\\n", "LINES"))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_missing_permissions_are_one_line():
    with tempfile.TemporaryDirectory() as folder:  # pytest's folders are not accessible to others
        Path(folder).chmod(0o755)
        write_base(Path(folder, "base"))
        write_adapter(Path(folder, "expert"), 1)
        Path(folder, "closed").mkdir(mode=0o700)
        Path(folder, "open").mkdir()
        Path(folder, "open").chmod(0o777)
        run = subprocess.run([sys.executable, "-c", CLOSED, folder], capture_output=True, text=True)
    lines = run.stdout.splitlines()
    assert (run.returncode, len(lines)) == (0, 12), run.stderr
    assert all("Permission denied" in line and "LINES" not in line for line in lines)

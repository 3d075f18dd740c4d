"""Plain English: phrases that CONTRIBUTING.md rules out, in comments, strings, test names, pages and configs.

    python tests/test_prose.py [PATH ...]    # prints every hit; without a path, their number per folder

Text in backticks is code and is not read.
"""

import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FOLDERS = (".ci", "benchmarks", "config", "docs", "envs", "examples", "profiles", "src", "tests", "workflow")
PYTHON = {".py", ".smk"}
PAGES = {".cff", ".jinja", ".md", ".rst", ".toml", ".yaml", ".yml"}
NOT_READ = {
    "tests/data/": "rows of published data sets",
    "tests/test_prose.py": "this list of phrases",
    "docs/config.md": "printed from src/genome/config, which is read",
    "workflow/schemas/": "printed from src/genome/config, which is read",
    "src/genome.egg-info/": "made by pip",
}
"""Folders and files that are not read, and why."""

IN_RESULTS = {
    "src/genome/report/card.md.jinja": ("is no evidence", "of their own", "stand in", "stand on"),
    "src/genome/report/captions.py": ("is no change",),
    "src/genome/report/efficiency.py": ("stands there",),
    "src/genome/report/public_scoring.py": ("is no change",),
    "src/genome/report/study.py": ("alike",),
    "tests/report/test_card.py": ("stand on",),
}
"""Phrases in model cards and captions of tables: results, whose bytes stay the same; and a test that quotes a card."""

THINGS = "base|bases|category|expert|figure|file|generation|job|key|line|member|method|model|page|prompt|row|run|"
THINGS += "sample|section|seed|stage|table|task|test|token|variant|word|worker"
PLACES = "above|as|at|before|behind|below|beside|between|first|here|in|last|next|on|once|there|twice|under|where|with"

PHRASES = {
    rf"(?:one|two|three|rows?|lines?|columns?|panels?|seeds?|jobs?) an? (?:{THINGS})\b": "per: one per line",
    r"(?<!\bthere)\s(?:is|are|was|were) no (?!longer|more|less|better|worse|other|different|need)\w+": "is not a",
    r"\b(?:anew|begets?|lest|rightly|whom|whomever)\b": "again, causes, so that … not, correctly, that",
    r"\b(?-i:[Nn]obody|[Ss]omebody|[Ww]hoever)\b": "the user, no job, another process: name it",
    r"\b(?:is|are) who\b": "put the subject first",
    rf"\b(?:stands?|stood) (?:{PLACES})\b": "is in, is listed in, contains",
    r"(?<![.\"'])\bbeside\b(?![:\"'])": "next to, as well as, in addition to",  # except as a key
    r"\b(?:tells?|told) of\b": "shows, describes",
    r"\b(?:of (?:its|one's|our|their|your)|one's) own\b": "separate, custom, your",
    r"\b(?:alike|at hand|at large|so many)\b": "similar, available, in full, that many",
    r"\bsave (?:that|when|where)\b": "except",
    r"\b(?:to be had|parted by|goes? without saying)\b": "available, separated by, is the default",
    r"\b(?:empty|fails?|false|(?-i:None)|nothing|null|raises?|refused?|true|\w*error) where\b": "if, when",
    r"(?:^|(?<=[.:;]\s))(?-i:Of) (?:an?|each|every) ": "put the subject first",
}
"""Phrases, as regular expressions in which a space is any white space, and what to write instead."""

PATTERNS = {re.compile(phrase.replace(" ", r"\s+"), re.IGNORECASE): remedy for phrase, remedy in PHRASES.items()}


def texts_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Return comments (neighbouring lines as one), strings and the names of tests, each with its first line."""
    comment: tuple[int, list[str]] = (0, [])
    last = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            first, lines = comment
            if first + len(lines) != token.start[0]:
                yield first, "\n".join(lines)
                first, lines = token.start[0], []
            comment = (first, [*lines, token.string.lstrip("#")])
        elif token.type == tokenize.STRING or tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            yield token.start[0], token.string
        elif last == "def" and token.string.startswith("test_"):
            yield token.start[0], token.string.replace("_", " ")
        last = token.string
    yield comment[0], "\n".join(comment[1])


def without_code(text: str) -> str:
    """Return a text in which code between backticks is blank, and line breaks stay."""
    return re.sub(r"(```|``|`)(?s:.+?)\1", lambda match: "\n" * match[0].count("\n") + "`", text)


def hits(path: Path) -> list[str]:
    """Return "file:line: phrase" for every phrase in a file that is ruled out."""
    source = path.read_text(encoding="utf-8")
    python = path.suffix in PYTHON or path.name == "Snakefile" or source.startswith("#!/usr/bin/env python")
    blocks = texts_of_python(source) if python else [(1, source)]
    found = []
    for first, block in blocks:
        text = without_code(block)
        for pattern, remedy in PATTERNS.items():
            for match in pattern.finditer(text):
                phrase = " ".join(match[0].split())
                start = match.end() - len(match[0].lstrip())
                found.append((first + text.count("\n", 0, start), f"{phrase!r}; write: {remedy}"))
    name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    return [f"{name}:{line}: {message}" for line, message in sorted(found)]


def without_results(path: Path) -> list[str]:
    """Return the hits of a file except those of IN_RESULTS."""
    excepted = IN_RESULTS.get(path.relative_to(ROOT).as_posix(), ())
    return [hit for hit in hits(path) if not any(f" {phrase!r}; " in hit for phrase in excepted)]


def files(*names: str) -> list[Path]:
    """Return the files of prose in folders, or the files themselves; by default all of the project."""
    if not names:
        return files(*FOLDERS) + sorted(path for path in ROOT.iterdir() if path.is_file() and readable(path))
    paths = [ROOT / name for name in names]
    inside = [[path] if path.is_file() else sorted(path.rglob("*")) for path in paths]
    return [path for found in inside for path in found if path.is_file() and readable(path)]


def readable(path: Path) -> bool:
    name = path.relative_to(ROOT).as_posix()
    known = path.suffix in PYTHON | PAGES or path.name == "Snakefile" or (path.parent.name == ".ci" and not path.suffix)
    return known and not name.startswith((*NOT_READ,)) and "__pycache__" not in name


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_text_is_plain_english(path):
    found = without_results(path)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", IN_RESULTS)
def test_excepted_phrases_are_still_in_their_file(name):
    found = "\n".join(hits(ROOT / name))
    assert not [phrase for phrase in IN_RESULTS[name] if f" {phrase!r}; " not in found]


def test_every_path_that_is_not_read_exists():
    assert not [name for name in NOT_READ if "egg-info" not in name and not (ROOT / name).exists()]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""Writes one line a task."""', [1]),
        ("# This is a file, and the\n# file is no\n# number.", [2]),
        ("x = 1  # it is no longer there\n# There is no file, and there are no rows.", []),
        ("def test_of_what_stands_in_a_file(): ...", [1]),
        ("stands_in = beside  # `beside` stands for a name", []),
        ('f"{x} where\\n"\n"None where it lacks one"', [2]),
        ("# Two a second, once a day, a seed for a task", []),
        ('x = {"beside": "away"}\ny = "config.across.beside: missing"\nz = "files beside it"', [3]),
    ],
)
def test_phrases_are_found_in_text_but_not_in_code(source, lines, tmp_path):
    (tmp_path / "module.py").write_text(source)
    assert [int(hit.split(":")[1]) for hit in hits(tmp_path / "module.py")] == lines


def test_phrases_are_found_across_lines_of_a_page(tmp_path):
    (tmp_path / "page.md").write_text("A `row a task` is code.\n\n```\nrow a task\n```\n\nIt is a row\na task.\n")
    assert [hit.split(":")[1] for hit in hits(tmp_path / "page.md")] == ["7"]


def main() -> None:
    """Print the hits of the paths given, or their number per folder."""
    if sys.argv[1:]:
        paths = [Path(name).resolve().relative_to(ROOT.resolve()).as_posix() for name in sys.argv[1:]]
        print(*(hit for path in files(*paths) for hit in without_results(path)), sep="\n")
        return
    counts: Counter[str] = Counter()
    for path in files():
        parts = path.relative_to(ROOT).parts
        depth = {"src": 3, "tests": 2, "workflow": 2}.get(parts[0], 1)
        counts["/".join(parts[:depth])] += len(without_results(path))
    for name, count in sorted(counts.items()):
        print(f"{count:5} {name}")
    print(f"{sum(counts.values()):5} in all")


if __name__ == "__main__":
    main()

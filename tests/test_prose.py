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

CLEAN = (
    ".ci",
    ".pre-commit-config.yaml",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "benchmarks",
    "envs",
    "profiles",
    "pyproject.toml",
    "src/genome/__init__.py",
    "src/genome/cli.py",
    "src/genome/engine",
    "src/genome/errors.py",
    "src/genome/experts",
    "src/genome/fields.py",
    "src/genome/files.py",
    "src/genome/genotype.py",
    "src/genome/limits.py",
    "src/genome/lora",
    "src/genome/micro",
    "src/genome/rng.py",
    "src/genome/yaml_files.py",
    "tests/README.md",
    "tests/builders.py",
    "tests/campaigns",
    "tests/conftest.py",
    "tests/fuzz",
    "tests/lora",
    "tests/micro",
    "tests/test_architecture.py",
    "tests/test_limits.py",
    "tests/test_packaging.py",
)
"""Folders and files that have no hit and must stay so; the others are listed once they are rewritten."""

FOLDERS = (".ci", "benchmarks", "config", "docs", "envs", "examples", "profiles", "src", "tests", "workflow")
PYTHON = {".py", ".smk"}
PAGES = {".cff", ".jinja", ".md", ".rst", ".toml", ".yaml", ".yml"}
NOT_OURS = ("tests/data/", "tests/test_prose.py", "src/genome.egg-info/")
"""Rows of published data sets, and this list of phrases."""

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
    r"\bbeside\b": "next to, as well as, in addition to",
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
    return known and not name.startswith(NOT_OURS) and "__pycache__" not in name


@pytest.mark.parametrize("path", files(*CLEAN), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_text_is_plain_english(path):
    found = hits(path)
    assert not found, "\n".join(found)


def test_every_clean_path_exists():
    assert not [name for name in CLEAN if not (ROOT / name).exists()]


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
        print(*(hit for path in files(*paths) for hit in hits(path)), sep="\n")
        return
    counts: Counter[str] = Counter()
    for path in files():
        parts = path.relative_to(ROOT).parts
        depth = {"src": 3, "tests": 2, "workflow": 2}.get(parts[0], 1)
        counts["/".join(parts[:depth])] += len(hits(path))
    for name, count in sorted(counts.items()):
        print(f"{count:5} {name}")
    print(f"{sum(counts.values()):5} in all")


if __name__ == "__main__":
    main()

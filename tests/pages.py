"""The pages of the documentation as tests read them: their links, headings and code."""

import re
import shlex
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

PROJECT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "examples/**/*.md", "tests/**/*.md")
    for path in PROJECT.glob(pattern)
)
PARSER = MarkdownIt("commonmark").enable("table")


def name_of(page: Path) -> str:
    """Return a page's path in the project."""
    return page.relative_to(PROJECT).as_posix()


def tokens(page: Path) -> list[Token]:
    """Return a page's tokens, those inside paragraphs and cells included."""
    found = PARSER.parse(page.read_text(encoding="utf-8"))
    return [each for token in found for each in (token, *(token.children or ()))]


def links(page: Path) -> list[str]:
    """Return the addresses of a page's links and images."""
    addresses = {"link_open": "href", "image": "src"}
    return [token.attrs[addresses[token.type]] for token in tokens(page) if token.type in addresses]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    found = PARSER.parse(page.read_text(encoding="utf-8"))
    headings = [found[i + 1].content for i, token in enumerate(found) if token.type == "heading_open"]
    texts = [re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "", heading)).lower() for heading in headings]
    return {text.replace(" ", "-") for text in texts}


def blocks(page: Path, language: str) -> list[str]:
    """Return a page's fenced code of a language."""
    return [token.content for token in tokens(page) if token.type == "fence" and token.info == language]


def commands(page: Path) -> list[list[str]]:
    """Return the words of each line of a page's shell code."""
    lines = [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]

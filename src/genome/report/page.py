"""A table as a web page, for `snakemake --report`, which shows web pages and pictures but not Markdown."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from genome.files import write_text

CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; margin: 1.5rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th { border-bottom: 1.5px solid #1a1a1a; font-weight: 600; }
p { max-width: 46rem; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
"""


def write(settings: Mapping[str, Any], inputs: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Write a table's Markdown as a web page."""
    [markdown], [out] = inputs["files"], outputs.values()
    write_text(out, page(Path(markdown).stem, Path(markdown).read_text(encoding="utf-8")))


def page(title: str, markdown: str) -> str:
    """Return a self-contained HTML page of a table and its caption, from the Markdown in `results/tables`."""
    body = MarkdownIt("commonmark").enable("table").render(markdown)
    # A wide table scrolls separately, so that its caption stays visible.
    body = body.replace("<table>", "<div><table>").replace("</table>", "</table></div>")
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{CSS}</style></head>\n<body>\n{body}</body>\n</html>\n"
    )

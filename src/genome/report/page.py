"""A table as a web page of its own, for `snakemake --report`, which shows pages and pictures but no Markdown."""

from html import escape

from markdown_it import MarkdownIt

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; margin: 1.5rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th { border-bottom: 1.5px solid #1a1a1a; font-weight: 600; }
p { max-width: 46rem; }
"""


def page(title: str, markdown: str) -> str:
    """Return a self-contained HTML page of a table and its caption, as the Markdown of `results/tables` holds them."""
    body = MarkdownIt("commonmark").enable("table").render(markdown)
    # A wide table scrolls by itself, so that its caption stays in sight.
    body = body.replace("<table>", "<div><table>").replace("</table>", "</table></div>")
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{body}</body>\n</html>\n"
    )

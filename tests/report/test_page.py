"""Tables as web pages."""

from html.parser import HTMLParser

from genome.report.page import page

MARKDOWN = "| Method | facts |\n|:---|---:|\n| **A & B** | 91.20 |\n| C | 3.00 (−1.50%) |\n\nWhat < it says.\n"


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.cells, self.open = [], None

    def handle_starttag(self, tag, attributes):
        if tag in ("td", "th"):
            self.cells.append("")
            self.open = tag

    def handle_endtag(self, tag):
        self.open = None if tag == self.open else self.open

    def handle_data(self, data):
        if self.open:
            self.cells[-1] += data


def test_page_has_all_cells_with_their_alignment():
    html = page("table <2>", MARKDOWN)
    parser = Cells()
    parser.feed(html)
    assert parser.cells == ["Method", "facts", "A & B", "91.20", "C", "3.00 (−1.50%)"]
    assert "<strong>A &amp; B</strong>" in html
    assert html.count("text-align:right") == 3
    assert "<title>table &lt;2&gt;</title>" in html
    assert "What &lt; it says." in html


def test_page_loads_nothing_external():
    html = page("table2", MARKDOWN)
    assert "http" not in html
    assert "src=" not in html

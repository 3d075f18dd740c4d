"""Figures: from scores and populations to SVG (for papers), PNG (for pages) and the numbers drawn (csv).

A figure has two functions besides `write`: one returns the rows of its csv, the other draws those rows and nothing
else. The same rows are the same bytes.
"""

"""Figures: from scores and populations to SVG (for papers), PNG (for pages) and the numbers drawn (csv).

A figure has two functions: one returns the rows of its csv, the other draws those rows and nothing else. The same rows
are the same bytes.
"""

from genome.report.figures.evolution import draw_evolution, evolution
from genome.report.figures.lineage import draw_family_tree, family_tree
from genome.report.figures.shares import draw_expert_shares, expert_shares

PORTRAITS = {
    "evolution": (evolution, draw_evolution),
    "family_tree": (family_tree, draw_family_tree),
    "expert_shares": (expert_shares, draw_expert_shares),
}
"""Figures of one run that show its populations alone: from these to rows, and from rows to files."""

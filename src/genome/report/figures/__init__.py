"""Figures: from scores and populations to SVG (for papers), PNG (for pages) and the numbers drawn (csv).

A figure has two functions: one returns the rows of its csv, the other draws those rows and nothing else. The same rows
are the same bytes.
"""

from genome.report.figures import evolution, lineage, shares

PORTRAITS = {
    "evolution": (evolution.evolution, evolution.draw_evolution),
    "family_tree": (lineage.family_tree, lineage.draw_family_tree),
    "expert_shares": (shares.expert_shares, shares.draw_expert_shares),
}
"""Figures of one run that show its populations alone: from these to rows, and from rows to files."""

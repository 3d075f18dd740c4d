"""Fitness by cost: every method is visible, also one that is a single point."""

import re

import pandas as pd

from genome.report.figures.efficiency import draw_efficiency


def curve(method, samples):
    return pd.DataFrame({"method": method, "samples": samples, "median": 50.0, "low": 45.0, "high": 55.0, "seeds": 2})


def test_a_method_of_one_stage_is_drawn_as_a_visible_point(tmp_path):
    draw_efficiency(pd.concat([curve("LoraHub", [3000]), curve("GENOME", [1000, 2000])]), [tmp_path / "figure.svg"])
    # In the axes markers are clipped, in the legend they are not.
    svg = (tmp_path / "figure.svg").read_text()
    squares = re.findall(r'<g clip-path="[^"]*">\s*<use [^>]*fill: #6b6b6b; stroke: #ffffff', svg)
    assert len(squares) == 1

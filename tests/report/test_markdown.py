"""Markdown tables: alignment, minus signs, and differences in points."""

import pytest

from genome.report.markdown import minus, pipe_table, points, signed


def test_pipe_table_aligns_the_first_column_left_and_keeps_numbers_as_text():
    assert pipe_table([["x", "1.50"], ["yy", "10.00"]], ["Name", "Score"]) == (
        "| Name   |   Score |\n|:-------|--------:|\n| x      |    1.50 |\n| yy     |   10.00 |"
    )
    assert pipe_table([["x", "y"]], ["A", "B"], ["right", "left"]).splitlines()[1] == "|----:|:----|"


def test_minus_and_signed_write_minus_signs():
    assert minus("-1.5e-3") == "−1.5e−3"
    assert [signed(value) for value in (1, -0.5, 0)] == ["+1.00", "−0.50", "+0.00"]


@pytest.mark.parametrize(
    ("difference", "significant", "zero", "text"),
    [
        (2.5, True, None, "+2.50"),
        (-2.5, False, None, "−2.50 n.s."),
        (0.0, False, None, "+0.00 n.s."),
        (-0.004, False, "—", "—"),
        (0.005, True, "—", "+0.01"),
    ],
)
def test_points_marks_what_is_not_significant(difference, significant, zero, text):
    assert points(difference, significant, zero=zero) == text

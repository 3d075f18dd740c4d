"""The table of experts' shares in the best individual."""

import pytest

from genome.report.figures.shares import draw_expert_shares, expert_shares, short


@pytest.mark.parametrize("method", ["genome", "genome_plus", "model_swarms"])
def test_shares_are_those_of_the_best_individual_per_generation(run, method, drawn, tmp_path):
    populations = run(method)
    rows = expert_shares(populations[::-1])
    assert len(rows) == 5 * 4
    for population in populations:
        here = [row for row in rows if row["generation"] == population["generation"]]
        assert [row["expert"] for row in here] == ["e0", "e1", "e2", "e3"]
        assert [row["coefficient"] for row in here] == population["best"]["genotype"]["coefficients"]
        assert {row["individual"] for row in here} == {population["best"]["name"]}
        assert {row["fitness"] for row in here} == {population["best"]["fitness"]}
        # The operators are affine.
        assert sum(row["coefficient"] for row in here) == pytest.approx(1)
    draw_expert_shares(rows, [tmp_path / "shares.svg"])
    printed = [text.get_text() for text in drawn[0].axes[0].texts]
    assert len(printed) == 5 * (4 + 1)
    assert [short(row["coefficient"]) for row in rows if row["generation"] == 4] == printed[-5:-1]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, ""), (0.004, "·"), (-0.004, "·"), (0.05, ".05"), (-0.125, "−.12"), (0.994, ".99"), (0.996, "1.0"),
     (1.0, "1.0"), (-1.26, "−1.3"), (10.04, "10.0")],
)  # fmt: skip
def test_short_numbers_have_at_most_four_characters(value, text):
    assert short(value) == text


def test_a_long_run_keeps_its_width(run, drawn, tmp_path):
    populations = run("genome", generations=40)
    draw_expert_shares(expert_shares(populations), [tmp_path / "shares.svg"])
    assert drawn[0].get_figwidth() == 7.0
    assert not drawn[0].axes[0].texts

"""Tables 10 and 11 against independent formulas, and in the paper's form."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from builders import score_row
from genome.files import write_json
from genome.report import correlations, regressions, study
from genome.report.tables import collect, write_csv
from genome.report.timing import Cost

ABOUT = {"label": "GENOME", "task": "mmlu_pro", "seed": 47, "population_size": 10, "generations": 10}


@pytest.fixture
def made():
    """A study whose outcomes depend on its rates in known ways, with noise."""
    random = np.random.default_rng(5)
    rates = random.integers(1, 11, size=(80, 3)) / 10
    noise = random.normal(size=(80, 3))
    return pd.DataFrame(rates, columns=[*study.RATES]).assign(
        test=30 + 2 * rates[:, 0] - rates[:, 1] + 0.5 * noise[:, 0],
        ensemble=31 + noise[:, 1],
        seconds=500 + 1700 * rates[:, 0] + 3000 * rates[:, 1] + 200 * noise[:, 2],
        evaluations=50,
        machine="4 x A100",
        engine="vllm",
        run="x",
    )


def least_squares(x, y):
    """Return coefficients, standard errors, t and p of a fit with a constant, by the normal equations."""
    design = np.column_stack([np.ones(len(y)), x])
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    residuals = y - design @ coefficients
    freedom = len(y) - design.shape[1]
    covariance = residuals @ residuals / freedom * np.linalg.inv(design.T @ design)
    errors = np.sqrt(np.diag(covariance))
    t = coefficients / errors
    return coefficients, errors, t, 2 * stats.t.sf(abs(t), freedom)


def pearson(x, y):
    """Return r by its definition, and p by Student's t."""
    r = np.corrcoef(x, y)[0, 1]
    return r, 2 * stats.t.sf(abs(r) * np.sqrt((len(x) - 2) / (1 - r**2)), len(x) - 2)


def test_regressions_are_least_squares_with_a_constant(made):
    table = regressions.regressions(made).set_index("outcome")
    assert list(table.loc["test", "variable"]) == ["Constant", *study.RATES]
    for outcome in study.OUTCOMES:
        ours = table.loc[outcome]
        expected = least_squares(made[[*study.RATES]].to_numpy(), made[outcome].to_numpy())
        for column, values in zip(("coefficient", "standard_error", "t", "p"), expected, strict=True):
            np.testing.assert_allclose(ours[column].astype(float), values, rtol=1e-8)
        design = np.column_stack([np.ones(len(made)), made[[*study.RATES]]])
        residuals = made[outcome] - design @ expected[0]
        assert ours["r_squared"].iloc[0] == pytest.approx(1 - residuals.var() / made[outcome].var())


def test_correlations_equal_pearson_of_values_and_of_ranks(made):
    table = correlations.correlations(made).set_index(["hyperparameter", "metric"])
    assert len(table) == 9
    for rate in study.RATES:
        for outcome in study.OUTCOMES:
            row = table.loc[rate, outcome]
            assert [row.pearson_r, row.pearson_p] == pytest.approx(pearson(made[rate], made[outcome]))
            ranks = made[rate].rank(), made[outcome].rank()
            assert [row.spearman_rho, row.spearman_p] == pytest.approx(pearson(*ranks))
    assert table["n_runs"].unique().tolist() == [80]


@pytest.mark.parametrize(
    ("change", "empty"),
    [
        ({"test": 50.0}, {"test"}),
        ({"test": 50.0, "ensemble": 50.0, "seconds": 1.0}, {*study.OUTCOMES}),
    ],
)
def test_an_outcome_that_never_differs_gives_empty_cells(made, change, empty, tmp_path):
    made = made.assign(**change)
    correlated, fitted = correlations.correlations(made), regressions.regressions(made)
    for table, place, value in ((correlated, "metric", "pearson_r"), (fitted, "outcome", "p")):
        missing = {outcome for outcome, rows in table.groupby(place) if rows[value].isna().all()}
        assert missing == empty
        assert table[value].isna().sum() == table[place].isin(empty).sum()
    write_csv(study.as_text(correlated), tmp_path / "table10.csv")
    assert "crossover_rate,test,,,,,80" in (tmp_path / "table10.csv").read_text()
    text = correlations.markdown(correlated, study.described(made, ABOUT))
    assert "An empty cell cannot be computed" in text
    assert "nan" not in text + regressions.markdown(fitted, study.described(made, ABOUT))


@pytest.mark.parametrize("runs", [1, 2, 3, 4])
def test_too_few_runs_give_empty_cells(made, runs):
    fitted = regressions.regressions(made[:runs])
    assert fitted["coefficient"].isna().all()
    assert correlations.correlations(made[:runs])["pearson_r"].isna().all() == (runs < 3)
    assert f"over {runs} run" in regressions.markdown(fitted, study.described(made[:runs], ABOUT))


def test_a_rate_that_never_differs_leaves_no_regression(made):
    fixed = made.assign(crossover_rate=0.3)
    assert regressions.regressions(fixed)["coefficient"].isna().all()
    assert correlations.correlations(fixed).set_index("hyperparameter").loc["crossover_rate", "pearson_r"].isna().all()


def test_table_10_has_the_papers_form(made):
    table = correlations.correlations(made)
    lines = correlations.markdown(table, study.described(made, ABOUT)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:11]]
    assert cells[0] == ["Hyper-parameter", "Metric", "Pearson *r*", "*p*-value", "Spearman *ρ*", "*p*-value"]
    assert [row[0] for row in cells[2:]] == [
        "Crossover rate", "", "", "Individual mutation rate", "", "", "Gene mutation rate", "", "",
    ]  # fmt: skip
    assert [row[1] for row in cells[2:5]] == ["Test", "Ensemble", "Time"]
    strong = table.set_index(["hyperparameter", "metric"]).loc["individual_mutation_rate", "seconds"]
    assert strong.pearson_p < 0.01
    assert cells[7][2] == rf"{strong.pearson_r:.3f}\*\*\*"
    assert cells[7][3] == f"{strong.pearson_p:.3e}"
    caption = lines[-1]
    assert " Each run: study.csv. Answered by vllm. " in caption
    assert caption.startswith("Table 10: correlation of hyper-parameters with score and time, over 80 runs of GENOME ")
    assert "on mmlu_pro with seed 47, a population of 10 and 10 generations." in caption
    assert caption.endswith(
        r"\*\*\* p < 0.01, \*\* p < 0.05, \* p < 0.1; the stars are not corrected for the number of comparisons."
    )


def test_table_11_has_the_papers_panels(made):
    made.loc[40:, "machine"] = "4 x H200"
    described = study.described(made, ABOUT)
    lines = regressions.markdown(regressions.regressions(made), described).splitlines()
    first = [line.strip("|").split("|")[0].strip() for line in lines[2:17]]
    variables = ["Constant", "Crossover rate", "Individual mutation rate", "Gene mutation rate"]
    assert [cell.partition(" (*R²*")[0] for cell in first] == [
        "**Panel A: Test performance**", *variables, "**Panel B: Ensemble performance**", *variables,
        "**Panel C: Computational time (s)**", *variables,
    ]  # fmt: skip
    assert "on 4 x A100, 4 x H200." in lines[-1]


@pytest.mark.parametrize(("p", "stars"), [(0.0099, "***"), (0.01, "**"), (0.0499, "**"), (0.05, "*"), (0.1, "")])
def test_stars_follow_the_papers_bounds(p, stars):
    assert study.starred(-0.25, p, 2) == "−0.25" + stars.replace("*", r"\*")


def test_small_p_values_survive_the_file(tmp_path):
    write_csv(study.as_text(pd.DataFrame({"p": [4.647e-52, np.nan], "n": [3, 4]})), tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "p,n\n4.647e-52,3\n,4\n"


def test_runs_have_their_rates_scores_and_cost(tmp_path):
    points, spent = [], {}
    for step in (3, 1):
        run = f"sums/study-cr{step:02}-imr01-gmr01/n4/seed3"
        points.append(
            {"run": run, "crossover_rate": step / 10, "individual_mutation_rate": 0.1, "gene_mutation_rate": 0.1}
        )
        spent[run] = Cost(10.0 * step, step, frozenset({"4 x A100"}))
        place = {"seed": 3, "population_size": 4, "run": f"results/runs/{run}", "engine": {"backend": "vllm"}}
        scores = {"best": 0.1 * step, "ensemble": 0.2 * step}
        rows = [score_row("x", "sums", score, report=report, **place) for report, score in scores.items()]
        write_json(tmp_path / f"{step}.json", rows)
    table = study.runs(collect([tmp_path / "1.json", tmp_path / "3.json"]), spent, points)
    write_csv(table, tmp_path / "study.csv")
    assert (tmp_path / "study.csv").read_text().splitlines() == [
        "crossover_rate,individual_mutation_rate,gene_mutation_rate,test,ensemble,seconds,evaluations,machine,engine,run",
        "0.10,0.10,0.10,10.00,20.00,10.00,1,4 x A100,vllm,results/runs/sums/study-cr01-imr01-gmr01/n4/seed3",
        "0.30,0.10,0.10,30.00,60.00,30.00,3,4 x A100,vllm,results/runs/sums/study-cr03-imr01-gmr01/n4/seed3",
    ]

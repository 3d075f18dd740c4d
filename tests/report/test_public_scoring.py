"""The public code's rules, one by one, on answers by hand whose scores by both ways are known."""

import pytest
from sklearn.metrics import f1_score

from builders import make_task
from genome.errors import GenomeError
from genome.genotype import expert
from genome.report import public_scoring as protocol
from genome.report.figures import ensembles
from genome.report.public_scoring import ALL, ARTEFACTS, compare, evaluate, markdown, stale_fitness
from genome.search.population import Fitness, Individual, Population
from genome.tasks import KINDS

CHRF = {"metric": "chrf"}
DEFINITION = {"source": {"path": "x"}, "prompt": "p", "reference": "r", "kind": "number", "pattern": "(.*)"}
NUMBER = make_task("number", "sums")
CHOICE = make_task("choice", "facts", options="o")
LABEL = make_task("label", "moods", labels={"A": "joy", "B": "fear", "C": "anger", "D": "awe"})
SPAN = make_task("span", "reading")
TRANSLATION = make_task("translation", "words", metric="bleu")
PROGRAM = make_task("program", "programs", tests="t")


def run_of(task, references, *members, best=None, stale=None, k=3):
    """Return a run whose members, fittest first, gave the answers to samples with these references."""
    samples = [{"id": number, **fields(task, reference)} for number, reference in enumerate(references)]
    stale = [0.0] * len(members) if stale is None else stale
    return evaluate(task, samples, members[0] if best is None else best, members, stale, k, CHRF)


def fields(task, reference):
    if task.kind == "program":
        return {"tests": [f"assert f == {reference}"]}
    return {"reference": [reference] if task.kind == "span" else reference}


def both(name, run):
    """Return a run's score by the public code's habit, and by ours."""
    return ARTEFACTS[name].theirs(run).value, ARTEFACTS[name].ours(run).value


def test_the_individual_is_picked_by_test_score():
    run = run_of(NUMBER, "1234", "1999", "1239", "1239", best="9934")
    assert both("best_by_test", run) == (0.75, 0.5)


def test_best_by_test_may_be_worse_than_the_best_ever():
    assert both("best_by_test", run_of(NUMBER, "12", "19", "99", best="12")) == (0.5, 1.0)


def test_stale_fitness_picks_by_the_fitness_at_creation():
    run = run_of(NUMBER, "1234", "1234", "1239", "9994", stale=[0.1, 0.2, 0.9])
    assert both("stale_fitness", run) == (0.25, 1.0)


def test_equal_stale_fitness_goes_to_the_fittest():
    assert both("stale_fitness", run_of(NUMBER, "12", "12", "99", stale=[0.5, 0.5])) == (1.0, 1.0)


def test_stale_fitness_ignores_succession():
    def individual(name, fitness, operator, *parents):
        return Individual(name, expert(0, 2), operator, parents, None, Fitness(fitness, {}))

    founder, child = individual("founder", 0.3, "initialisation"), individual("child", 0.4, "crossover", "founder")
    first, second = individual("first", 0.6, "succession", "founder"), individual("second", 0.9, "succession", "first")
    moved = individual("moved", 0.1, "succession", "child")
    populations = [
        Population(2, (second, moved), second, moved, created=(second, moved)),
        Population(1, (first, child), first, child, created=(first, child)),
        Population(0, (founder,), founder, founder),
    ]
    assert stale_fitness(populations) == {"founder": 0.3, "child": 0.4, "first": 0.3, "second": 0.3, "moved": 0.4}


def test_members_are_ranked_by_test_score():
    # By validation 9 wins each vote; the last three members know better.
    run = run_of(NUMBER, "1234", "9999", "9999", "1239", "1294", "1234")
    assert both("members_by_test", run) == (1.0, 0.0)


def test_a_tie_goes_to_the_highest_test_score():
    assert both("members_by_test", run_of(NUMBER, "1234", "9999", "8888", "1234")) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("reference", "answers", "theirs", "ours"),
    [
        ("1", ["2", "1", "3"], 0.5, 0),
        ("1", ["1", "2", "3"], 0.5, 1),
        ("1", ["2", "3", "4"], 0, 0),
        ("1", ["2", "1", "1"], 1, 1),
        ("1", ["2", "2", "1"], 0, 0),
        ("1", [None, "1", None], 1, 1),
        ("1", [None, "2", "1"], 0.5, 0),
        ("1", [None, None, None], 0, 0),
    ],
)
def test_half_points_gives_half_a_point_for_a_tie(reference, answers, theirs, ours):
    run = run_of(NUMBER, [reference], *([answer] for answer in answers))
    assert both("half_points", run) == (theirs, ours)


@pytest.mark.parametrize(
    ("reference", "answers", "theirs", "ours"),
    [
        ("C", [None, None, "A"], 1, 0),
        ("A", [None, None, "A"], 0, 1),
        ("C", [None, None, None], 1, 0),
        ("A", ["A", None, "A"], 1, 1),
    ],
)
def test_unparsed_as_c_counts_missing_answers_as_c(reference, answers, theirs, ours):
    run = run_of(CHOICE, [reference], *([answer] for answer in answers))
    assert both("unparsed_as_c", run) == (theirs, ours)


def test_c_is_the_third_label_whether_labels_have_letters_or_not():
    plain = make_task("label", "moods", labels=["joy", "fear", "anger"])
    few = make_task("label", "moods", labels=["joy", "fear"])
    for task, theirs in ((LABEL, 1), (plain, 1), (few, 0)):
        assert both("unparsed_as_c", run_of(task, ["anger"], [None], [None], [None])) == (theirs, 0)


def test_votes_on_labels_are_counted_in_place_of_weighted_f1():
    references = ["joy"] * 6 + ["fear"] * 2
    votes = ["joy"] * 8
    theirs, ours = both("accuracy_for_f1", run_of(LABEL, references, votes, votes, votes))
    assert theirs == 0.75
    assert ours == pytest.approx(f1_score(references, votes, average="weighted", zero_division=0))
    assert ours < 0.65


def test_highest_span_takes_the_best_member():
    members = ["42 yards", "x"], ["42 yards", "y"], ["Smith", "z"], ["Smith", "Jones"]
    assert both("highest_span", run_of(SPAN, ["Smith", "Jones"], *members)) == (0.5, 0.0)
    assert both("highest_span", run_of(SPAN, ["Smith", "Jones"], *members, k=4)) == (1.0, 0.0)


def test_vote_of_programs_compares_their_outcomes():
    # The second and the third pass, but the first and the third are similar texts.
    assert both("voted_outcomes", run_of(PROGRAM, [42], ["f = 11 + 23"], ["f = 42"], ["f = 11 + 31"])) == (1.0, 0.0)
    assert both("voted_outcomes", run_of(PROGRAM, [42], ["f = 1"], ["f = 42"], [None])) == (0.0, 0.0)
    assert both("voted_outcomes", run_of(PROGRAM, [42], ["f = 1"], ["f = 42"], k=2)) == (0.5, 0.0)


def test_all_rules_together_give_the_public_score():
    # With C for no answer, members 3 and 4 lead the test; they tie on the first sample and agree on the second.
    run = run_of(CHOICE, "CAB", "DDD", "DDD", [None, "A", "D"], ["B", "A", "D"], ["D", "D", "D"], k=2)
    assert both(ALL, run) == (pytest.approx((0.5 + 1 + 0) / 3), 0.0)


def test_all_rules_together_apply_to_every_kind():
    votes = run_of(LABEL, ["joy", "joy", "fear"], ["joy"] * 3, ["joy"] * 3, ["joy"] * 3)
    assert both(ALL, votes)[0] == pytest.approx(2 / 3)
    assert both(ALL, run_of(SPAN, "ab", "xx", "xx", "xx", "ax", "xb", k=2))[0] == 1.0
    programs = run_of(PROGRAM, [42], ["f = 1"], ["f = 2"], ["f = 42"], ["f = 40 + 2"], k=2)
    assert both(ALL, programs) == (1.0, 0.0)
    texts = run_of(TRANSLATION, ["uno dos tres cuatro"], ["x"], ["y"], ["uno dos tres cuatro"], k=1)
    assert both(ALL, texts) == both("members_by_test", texts) == (1.0, 0.0)


def test_a_population_may_have_fewer_members_than_the_ensemble():
    run = run_of(NUMBER, "12", "19", "92", k=3)
    assert both("half_points", run) == (0.5, 0.5)
    assert both("members_by_test", run) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("task", "touched"),
    [
        (NUMBER, {"half_points"}),
        (CHOICE, {"half_points", "unparsed_as_c"}),
        (LABEL, {"unparsed_as_c", "accuracy_for_f1"}),
        (SPAN, {"highest_span"}),
        (TRANSLATION, set()),
        (PROGRAM, {"voted_outcomes"}),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_rules_apply_to_their_kinds_of_task(task, touched):
    always = {"best_by_test", "stale_fitness", "members_by_test", ALL}
    assert {name for name, artefact in ARTEFACTS.items() if artefact.applies(task)} == always | touched


def test_oracles_cover_all_kinds_that_do_not_vote():
    assert {*protocol.ORACLES, "translation"} == {name for name, kind in KINDS.items() if kind.combine != "vote"}


def test_our_score_is_the_same_in_every_row_of_an_ensemble():
    run = run_of(LABEL, ["joy", "awe"], ["joy", None], ["fear", None], ["joy", "awe"])
    ours = {name: artefact.ours(run).value for name, artefact in ARTEFACTS.items() if artefact.applies(LABEL)}
    assert {ours[name] for name in ours if name not in ("best_by_test", "stale_fitness")} == {1.0}


@pytest.fixture
def table():
    sums = {
        "results/test/sums/1": run_of(NUMBER, ["1"] * 40, ["2"] * 40, ["1"] * 40, ["3"] * 40),
        "results/test/sums/2": run_of(NUMBER, ["1"] * 40, ["1"] * 40, ["1"] * 40, ["3"] * 40),
    }
    facts = {
        "results/test/facts/1": run_of(CHOICE, ["A"] * 20, ["A"] * 20),
        "results/test/facts/2": run_of(CHOICE, ["A"] * 20, ["A"] * 20),
    }
    return compare({"sums": sums, "facts": facts}, "genome_plus", [1, 2])


def test_table_shows_both_scores_per_rule(table):
    rows = {(row.artefact, row.task): row for row in table.itertuples()}
    assert list(table.columns) == protocol.PROTOCOL_COLUMNS
    ties = rows["half_points", "sums"]
    assert (ties.theirs, ties.ours, ties.difference) == (75, 50, 25)
    assert (ties.n, ties.seeds, ties.variant) == (40, "1 2", "genome_plus")
    assert ties.runs == "results/test/sums/1 results/test/sums/2"
    # One of two seeds has all of it, so that the interval over seeds is wide.
    assert ties.low <= 0 < ties.high
    assert ties.holds == "no"
    mean = rows["half_points", "mean"]
    assert (mean.theirs, mean.ours, mean.difference) == (87.5, 75, 12.5)
    assert mean.runs == " ".join(f"results/test/{run}" for run in ("sums/1", "sums/2", "facts/1", "facts/2"))
    assert rows["unparsed_as_c", "facts"].difference == 0
    assert ("unparsed_as_c", "mean") not in rows
    assert ("unparsed_as_c", "sums") not in rows


def test_significance_of_one_seed_is_tested_over_its_samples():
    run = run_of(NUMBER, ["1"] * 40, ["2"] * 30 + ["1"] * 10, ["1"] * 40, ["3"] * 40)
    rows = compare({"sums": {"folder": run}}, "genome_plus", [1]).set_index("artefact")
    # Of 40 samples 30 are tied, which gives each of them half a point.
    assert rows.loc["half_points", "difference"] == 37.5
    assert 25 < rows.loc["half_points", "low"] < 37.5 < rows.loc["half_points", "high"] < 50
    assert rows.loc["half_points", "holds"] == "yes"


def test_markdown_describes_each_rule(table):
    text = markdown(table, 3)
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    assert [cell.strip() for cell in lines["Scoring"].split("|")[2:-1]] == ["sums", "facts", "mean"]
    assert "75.00" in lines["Ensemble of 3, our way"]
    assert "+25.00 n.s." in lines["– half points for ties"]
    assert "—" in lines["– C where no answer is found"]
    assert "Ensemble of 3, their way" in lines
    assert all(f"*{artefact.label}*" in text for name, artefact in ARTEFACTS.items() if name in {*table["artefact"]})
    assert "votes on test outcomes" not in text


SETTINGS = {
    "tasks": [["sums", DEFINITION], ["algebra", DEFINITION]],
    "seeds": [1, 2],
    "variant": "genome_plus",
    "k": 2,
    "size": 3,
    "similarity": CHRF,
}


@pytest.fixture
def runs(results):
    """Two seeds on two tasks, each with its generation 0."""
    for name in ("sums", "algebra"):
        results.add_task(name, "1234")
        for seed, last in ((1, "1234"), (2, "4321")):
            results.add_run(name, seed, "1299", "1934", last)
    return results


@pytest.mark.parametrize(
    ("module", "outputs"), [(protocol, ("table", "markdown")), (ensembles, ("table", "svg", "png"))]
)
def test_write_gives_the_same_bytes_for_any_order_of_inputs(runs, module, outputs):
    written = runs.written(module, SETTINGS, runs.inputs, *outputs)
    assert runs.written(module, SETTINGS, runs.shuffled(), *outputs) == written
    table = written["table"].decode()
    assert "results/test/sums/sums/genome_plus/n3/seed1 results/test/sums/sums/genome_plus/n3/seed2\n" in table


@pytest.mark.parametrize("module", [protocol, ensembles])
def test_write_refuses_runs_that_do_not_fit(runs, module):
    with pytest.raises(GenomeError, match=r"seed2/responses\.jsonl: of a task or seed that is not shown"):
        runs.written(module, SETTINGS | {"seeds": [1]}, runs.inputs, "table", "markdown", "svg", "png")
    with pytest.raises(GenomeError, match="no responses of seed 3 to the test of sums"):
        runs.written(module, SETTINGS | {"seeds": [1, 2, 3]}, runs.inputs, "table", "markdown", "svg", "png")

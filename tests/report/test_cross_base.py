"""A vote of several bases, on answers by hand whose result is known."""

import pytest

from builders import make_task
from genome.errors import GenomeError
from genome.report import cross_base
from genome.report.cross_base import MEAN, VOTE, Ensemble, Member, markdown, vote

CHRF = {"metric": "chrf"}
DEFINITION = {"source": {"path": "x"}, "prompt": "p", "reference": "r", "kind": "number", "pattern": "(.*)"}
SUMS = make_task("number", "sums")
ALGEBRA = make_task("number", "algebra")


def samples(references):
    return [{"id": number, "reference": reference} for number, reference in enumerate(references)]


def run(base, *members, seed=1):
    """Return a run whose members have the given fitness and answers."""
    return Ensemble(base, seed, [Member(fitness, list(answers)) for fitness, answers in members], f"{base}/seed{seed}")


def rows(table):
    return {(row.task, row.model): row for row in table.itertuples()}


def test_vote_of_bases_with_different_errors_is_better():
    runs = [
        run("one", (0.8, "1299"), (0.8, "1299"), (0.7, "1934")),
        run("two", (0.9, "1934"), (0.6, "9234"), (0.5, "9234")),
    ]
    found = rows(vote([(SUMS, samples("1234"), runs)], CHRF))
    assert found["sums", "one"].score == 50
    assert found["sums", "two"].score == 75
    together = found["sums", VOTE]
    assert (together.score, together.over, together.difference) == (100, "one", 50)
    assert together.runs == "one/seed1 two/seed1"
    assert found["sums", "one"].validation == pytest.approx(100 * 2.3 / 3)
    assert (MEAN, VOTE) not in found


def test_vote_ties_go_to_the_fittest():
    runs = [run("one", (0.8, "1199")), run("two", (0.9, "1299"))]
    assert rows(vote([(SUMS, samples("1234"), runs)], CHRF))["sums", VOTE].score == 50
    runs = [run("one", (0.8, "1299")), run("two", (0.9, "1199"))]
    assert rows(vote([(SUMS, samples("1234"), runs)], CHRF))["sums", VOTE].score == 25


def test_votes_are_per_seed_and_averaged_over_tasks():
    tests = [
        (
            task,
            samples("1234"),
            [
                *(run("one", (0.5, right), (0.4, right), seed=seed) for seed, right in enumerate(("1234", "1299"))),
                *(run("two", (fitness, "9999"), seed=seed) for seed in range(2)),
            ],
        )
        for task, fitness in ((SUMS, 0.1), (ALGEBRA, 0.9))
    ]
    table = vote(tests, CHRF)
    found = rows(table)
    assert [found[task, "one"].score for task in ("sums", "algebra", MEAN)] == [75, 75, 75]
    assert [found[task, VOTE].over for task in ("sums", "algebra", MEAN)] == ["one", "two", "one two"]
    assert [found[task, VOTE].difference for task in ("sums", "algebra", MEAN)] == [0, 75, 37.5]
    assert found[MEAN, VOTE].runs == "one/seed0 one/seed1 two/seed0 two/seed1"
    assert found["sums", "one"].seeds == "0 1"
    assert found["sums", VOTE].holds == "no"
    text = markdown(table, "GENOME+")
    assert "| vote" in text
    assert "| – vs the base chosen by validation | +0.00 n.s. |" in text
    assert "+37.50" in text


def test_a_significant_difference_is_marked():
    runs = [
        run("one", (0.9, "19" * 100), (0.9, "12" * 100), (0.8, "92" * 100)),
        run("two", (0.5, "12" * 100), (0.5, "12" * 100)),
    ]
    found = rows(vote([(SUMS, samples("12" * 100), runs)], CHRF))
    assert found["sums", "one"].score == 100
    runs[0] = run("one", (0.9, "19" * 100))
    together = rows(vote([(SUMS, samples("12" * 100), runs)], CHRF))["sums", VOTE]
    assert (together.difference, together.holds) == (50, "yes")
    assert together.difference_low < 50 < together.difference_high


SETTINGS = {
    "tasks": [["sums", DEFINITION], ["algebra", DEFINITION]],
    "bases": [["one", "results"], ["two", "../other/results/"]],
    "seeds": [1, 2],
    "label": "GENOME+",
    "k": 2,
    "similarity": CHRF,
}


@pytest.fixture
def bases(results):
    """The results of two bases, each with two seeds on two tasks."""
    for folder, answers in (("results", ("1299", "1234")), ("../other/results", ("1934", "1934"))):
        for name in ("sums", "algebra"):
            results.add_task(name, "1234", folder)
            for seed in (1, 2):
                results.add_run(name, seed, *answers, results=folder, initial=False)
    return results


def test_write_gives_the_same_bytes_for_any_order_of_inputs(bases):
    written = bases.written(cross_base, SETTINGS, bases.inputs, "table", "markdown")
    splits = {"splits": bases.inputs["splits"]}
    assert bases.written(cross_base, SETTINGS, bases.shuffled() | splits, "table", "markdown") == written
    table = written["table"].decode().splitlines()
    assert table[1].startswith("sums,one,85.00,50.00")
    assert table[1].endswith("results/test/sums/sums/genome_plus/n2/seed1 results/test/sums/sums/genome_plus/n2/seed2")
    assert table[2].startswith("sums,two,85.00,75.00")
    assert "../other/results/test/sums/sums/genome_plus/n2/seed1" in table[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda inputs: inputs["responses"].pop(0), "a population of sums/genome_plus/n2/seed1, of which no responses"),
        (lambda inputs: inputs["populations"].pop(0), "0 populations of its run, expected the last one"),
        (lambda inputs: inputs["prompts"].pop(0), "no file of task sums among"),
    ],
)
def test_write_refuses_missing_files(bases, change, message):
    change(bases.inputs)
    with pytest.raises(GenomeError, match=message):
        bases.written(cross_base, SETTINGS, bases.inputs, "table", "markdown")


def test_write_refuses_a_run_that_is_not_in_the_vote(bases):
    with pytest.raises(GenomeError, match=r"seed2/responses\.jsonl: of a run that is not in the vote"):
        bases.written(cross_base, SETTINGS | {"seeds": [1]}, bases.inputs, "table", "markdown")
    with pytest.raises(GenomeError, match="no responses of seed 3 to the test of sums in results"):
        bases.written(cross_base, SETTINGS | {"seeds": [1, 2, 3]}, bases.inputs, "table", "markdown")

"""Racing: who cannot win stops early; who is ranked has answered everything."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from builders import fake_experts, paper_settings
from genome.errors import GenomeError
from genome.genotype import Genotype, identity
from genome.search.driver import found_population, next_generation, score_experts
from genome.search.population import Fitness, Individual
from genome.search.racing import Course, Rules, behind, race, standing
from genome.search.records import read_population, write_population

RULES = Rules([25, 50, 100], 0.95, 0.5)
TARGET = np.array([0.6, 0.5, -0.1, 0.2])
EXPERTS = fake_experts(4)
DIGESTS = [expert.sha256 for expert in EXPERTS]


def combine(scores):
    return Fitness(sum(scores.values()) / len(scores), dict(scores))


def table_course(scores, log=None):
    """Return a course on which individuals have the given scores, each a list by name."""

    def evaluate(individuals, start, stop):
        if log is not None:
            log.extend((x.name, start, stop) for x in individuals)
        return [{"t": tuple(scores[x.name][start:stop])} for x in individuals]

    size = len(next(iter(scores.values())))
    return Course({"t": size}, {"t": 1.0}, evaluate, combine)


def entries(names):
    return {name: Individual(name, Genotype((1.0,)), "") for name in names}


def draws(share, seed, size=200):
    return (np.random.default_rng(seed).permutation(size) < share * size).astype(float).tolist()


def run(scores, places, rivals=(), known=None, log=None, rules=RULES):
    return race(entries(scores), known or {}, rivals, places, rules, table_course(scores, log))


def test_who_cannot_win_stops_at_a_look_and_the_others_answer_everything():
    scores = {"good": draws(0.9, 1), "fair": draws(0.85, 2), "bad": draws(0.1, 3), "worse": draws(0.05, 4)}
    log = []
    trials = run(scores, places=2, log=log)
    lengths = {name: len(trial["t"]) for name, trial in trials.items()}
    assert lengths == {"good": 200, "fair": 200, "bad": 25, "worse": 25}
    assert all(trials[name]["t"] == tuple(scores[name][: lengths[name]]) for name in scores)
    assert log[:4] == [(name, 0, 25) for name in scores]
    assert [step for step in log if step[0] == "good"] == [
        ("good", *s) for s in ((0, 25), (25, 50), (50, 100), (100, 200))
    ]


@pytest.mark.parametrize("places", [1, 3, 8, 10])
def test_there_are_always_enough_for_the_places(places):
    for seed in range(20):
        shares = np.random.default_rng(seed).random(8)
        scores = {f"x{i}": draws(share, (seed, i)) for i, share in enumerate(shares)}
        finished = [trial for trial in run(scores, places).values() if len(trial["t"]) == 200]
        assert len(finished) >= min(places, 8)


def test_an_equal_is_seldom_stopped():
    """At most 1 - confidence of those who are exactly as good as their rival, over all looks together."""
    stopped = 0
    for seed in range(1000):
        scores, rival = {"x": draws(0.6, (seed, 0))}, tuple(draws(0.6, (seed, 1)))
        stopped += len(run(scores, 1, [({"t": rival}, {"t": 0.6})])["x"]["t"]) < 200
    assert 0 < stopped <= 50


def test_pairs_tell_apart_what_means_do_not():
    """One sample in eight lost, none won: paired it is clear after 100, while two independent means are not."""
    rival = draws(0.6, 1)
    worse = [0.0 if i % 8 == 0 else score for i, score in enumerate(rival)]
    course = table_course({"worse": worse})
    trial, scores = {"t": tuple(worse)}, {"t": tuple(rival)}
    assert behind(trial, scores, 100, RULES, course)
    assert not behind(trial, {"t": 0.6}, 100, RULES, course)


def test_the_bound_is_that_of_the_quantile_shared_by_the_looks():
    assert Rules([25, 50, 100], 0.95, 0.5).z == pytest.approx(2.128045, abs=1e-6)  # 1 - 0.05 / 3
    assert Rules([25], 0.975, 0.5).z == pytest.approx(1.959964, abs=1e-6)


@pytest.mark.parametrize("look", [8, 14])
def test_stopped_is_who_lies_below_by_more_than_the_standard_errors_allowed(look):
    """The formula of the module's head, on two tasks of which one is known whole after 12 samples."""
    sizes, weights = {"a": 40, "b": 12}, {"a": 0.9, "b": 0.1}
    course = Course(sizes, weights, lambda *_: pytest.fail("was asked"), combine)
    for seed in range(20):
        chance = np.random.default_rng(seed)
        worse, better = (
            {task: tuple((chance.random(look) < share).astype(float).tolist()) for task in sizes}
            for share in (0.4, 0.6)
        )
        gap, variance = 0.0, 0.0
        for task, size in sizes.items():
            m = min(look, size)
            d = np.subtract(worse[task][:m], better[task][:m])
            s2 = (np.sum((d - d.mean()) ** 2) + 1 + 1) / (m + 2 - 1)  # a win and a loss more
            gap += weights[task] * d.mean()
            variance += weights[task] ** 2 * s2 / m * (size - m) / (size - 1)
        allowed = -gap / np.sqrt(variance)
        for slack, expected in ((-0.001, True), (0.001, False)):
            rules = Rules([look], NormalDist().cdf(allowed + slack), 0.5)
            assert behind(worse, better, look, rules, course) is expected


def test_who_is_equal_on_everything_is_not_behind():
    scores = {"t": (1.0, 0.0, 1.0, 0.0)}
    assert not behind(scores, scores, 4, RULES, table_course({"x": [0.0] * 4}))


def test_what_is_known_is_not_asked_again():
    scores = {"x": draws(0.5, 1), "y": draws(0.5, 2)}
    log = []
    trials = run(scores, 2, known={"x": {"t": tuple(scores["x"][:50])}}, log=log)
    assert {name: len(trial["t"]) for name, trial in trials.items()} == {"x": 200, "y": 200}
    assert trials["x"]["t"] == tuple(scores["x"])
    assert not [step for step in log if step[0] == "x" and step[1] < 50]


def test_tasks_count_by_their_weight():
    def part(individuals, start, stop):
        return [{"a": (1.0,) * len(range(200)[start:stop]), "b": (0.0,) * len(range(60)[start:stop])}] * len(
            individuals
        )

    rivals = [({"a": (0.0,) * 200, "b": (1.0,) * 60}, {"a": 0.0, "b": 1.0})]
    for weights, length in (({"a": 0.9, "b": 0.1}, 200), ({"a": 0.1, "b": 0.9}, 25)):
        course = Course({"a": 200, "b": 60}, weights, part, combine)
        assert len(race(entries("x"), {}, rivals, 1, RULES, course)["x"]["a"]) == length


def test_a_trial_is_finished_with_every_sample_of_every_task_and_holds_no_more():
    course = Course({"a": 300, "b": 2}, {"a": 0.5, "b": 0.5}, lambda *_: pytest.fail("was asked"), combine)
    whole, part, more = ({"a": (0.5,) * length, "b": (1.0,) * 2} for length in (300, 299, 301))
    assert [course.finished(trial) for trial in (whole, part, {"a": (0.5,) * 300}, {})] == [True, False, False, False]
    assert [course.holds(trial) for trial in (whole, part, more, {"a": (0.5,) * 300})] == [True, True, False, False]
    assert course.fitness(whole) == combine({"a": 0.5, "b": 1.0})


def test_looks_that_do_not_rise_are_refused():
    with pytest.raises(GenomeError, match="rising"):
        Rules([50, 25], 0.95, 0.5)


class Samples:
    """A course of 200 samples of rising difficulty: an individual is right on those below its skill."""

    def __init__(self, trials=()):
        self.difficulty = np.random.default_rng(0).permutation(200) / 200
        self.spent = 0

    def scores(self, individual):
        distance = np.sum((np.array(individual.genotype.coefficients) - TARGET) ** 2)
        return tuple((self.difficulty < np.exp(-2 * distance)).astype(float).tolist())

    def __call__(self, individuals):
        self.spent += 200 * len(individuals)
        return [combine({"t": sum(self.scores(x)) / 200}) for x in individuals]

    def part(self, individuals, start, stop):
        self.spent += (min(stop, 200) - start) * len(individuals)
        return [{"t": self.scores(x)[start:stop]} for x in individuals]

    @property
    def course(self):
        return Course({"t": 200}, {"t": 1.0}, self.part, combine)


def evolve(method, racing, generations=5, file=None):
    samples, settings = Samples(), paper_settings(method) | {"racing": racing}
    population = found_population(EXPERTS, score_experts(EXPERTS, samples), settings, 10, 1, samples)
    history = [population]
    samples.spent = 0
    for _ in range(generations):
        if file:
            write_population(file, history[-1], EXPERTS)
            history[-1] = read_population(file)
        history.append(next_generation(history[-1], settings, 1, EXPERTS, samples, samples.course))
    return history, samples


RACING = {"looks": [25, 50, 100], "confidence": 0.95, "share": 0.5}


@pytest.mark.parametrize("method", ["genome", "genome_plus", "cma_es"])
def test_only_who_has_answered_everything_is_ranked(method):
    history, samples = evolve(method, RACING)
    stopped = set()
    for population in history[1:]:
        for x in (*population.members, *population.created, population.best, population.worst):
            assert x.fitness == combine({"t": sum(samples.scores(x)) / 200})
        unfinished = {name for name, trial in population.trials.items() if len(trial["t"]) < 200}
        assert not unfinished & population.scored.keys()
        assert len(population.members) == 10
        stopped |= unfinished
    assert stopped
    names = {
        identity(x.genotype, DIGESTS) for population in history for x in (*population.members, *population.created)
    }
    assert not stopped & names
    full, everything = evolve(method, None)
    assert samples.spent < 0.9 * everything.spent
    assert not any(population.trials for population in full)


@pytest.mark.parametrize("method", ["genome_plus", "cma_es"])
def test_races_go_on_from_their_file(method, tmp_path):
    assert evolve(method, RACING, file=tmp_path / "population.json")[0][-1] == evolve(method, RACING)[0][-1]


@pytest.mark.parametrize("method", ["genome", "genome_plus", "cma_es"])
def test_a_race_that_stops_nobody_changes_nothing(method):
    sure, _ = evolve(method, {"looks": [2], "confidence": 0.999999999, "share": 0.5})
    full, _ = evolve(method, None)
    assert [replace(population, trials={}) for population in sure] == full


def test_who_has_come_further_stands_before_who_was_better_for_less():
    course = table_course({"x": [0.0] * 200})
    trials = {"far": (0.0,) * 100, "near": (1.0,) * 50, "good": (1.0,) * 25, "poor": (0.0,) * 25}
    assert sorted(trials, key=lambda name: standing({"t": trials[name]}, course)) == ["far", "near", "good", "poor"]


@pytest.mark.parametrize("method", ["genome_plus", "cma_es"])
def test_a_run_is_over_when_its_best_is_right_on_everything(method):
    history, samples = evolve(method, RACING, generations=1)
    perfect = replace(history[-1], best=replace(history[-1].best, fitness=combine({"t": 1.0})))
    spent, settings = samples.spent, paper_settings(method) | {"racing": RACING}
    after = next_generation(perfect, settings, 1, EXPERTS, samples, samples.course)
    assert after == replace(perfect, generation=2, created=())
    assert samples.spent == spent
    without = next_generation(perfect, settings | {"racing": None}, 1, EXPERTS, samples, samples.course)
    assert without.created


def test_without_a_course_everybody_answers_everything():
    samples, settings = Samples(), paper_settings("genome_plus") | {"racing": RACING}
    population = found_population(EXPERTS, score_experts(EXPERTS, samples), settings, 10, 1, samples)
    assert next_generation(population, settings, 1, EXPERTS, samples) == next_generation(
        population, settings | {"racing": None}, 1, EXPERTS, samples
    )


def test_a_smaller_share_has_fewer_places():
    assert [Rules([25], 0.9, share).places(10) for share in (0.01, 0.3, 0.5, 1.0)] == [1, 3, 5, 10]

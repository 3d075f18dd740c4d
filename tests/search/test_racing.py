"""Racing: candidates that cannot be selected stop early; ranked individuals have answered every sample."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import Landscape, fake_experts, initial_population, next_generation, paper_settings
from genome.errors import GenomeError
from genome.genotype import Genotype, identity
from genome.scoring.answers import answers_by_genotype
from genome.search.asking import Contest
from genome.search.driver import Scoreboard, drive, score_experts
from genome.search.population import Fitness, Individual, new_population
from genome.search.racing import STATE, Course, Known, Races, behind, errors_allowed, places, race, seen, standing
from genome.search.records import read_population, write_population
from genome.search.settings import Racing

RULES = Racing((25, 50, 100), 0.95, 0.5)
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


def run(scores, selected, rivals=(), known=None, log=None, rules=RULES):
    return race(entries(scores), known or {}, rivals, selected, rules, table_course(scores, log))


def is_behind(trial, rival, look, allowed, course):
    table = seen([Known(trial), rival], look, course)
    found = behind({task: rows[0] for task, rows in table.items()}, table, allowed, course)
    assert allowed < 0 or not found[0], "behind itself"
    return bool(found[1])


def test_race_stops_the_worst_at_a_look_and_completes_the_others():
    scores = {"good": draws(0.9, 1), "fair": draws(0.85, 2), "bad": draws(0.1, 3), "worse": draws(0.05, 4)}
    log = []
    trials = run(scores, selected=2, log=log)
    lengths = {name: len(trial["t"]) for name, trial in trials.items()}
    assert lengths == {"good": 200, "fair": 200, "bad": 25, "worse": 25}
    assert all(trials[name]["t"] == tuple(scores[name][: lengths[name]]) for name in scores)
    assert log[:4] == [(name, 0, 25) for name in scores]
    assert [step for step in log if step[0] == "good"] == [
        ("good", *s) for s in ((0, 25), (25, 50), (50, 100), (100, 200))
    ]


@pytest.mark.parametrize("selected", [1, 3, 8, 10])
def test_race_leaves_as_many_as_are_selected(selected):
    for seed in range(20):
        shares = np.random.default_rng(seed).random(8)
        scores = {f"x{i}": draws(share, (seed, i)) for i, share in enumerate(shares)}
        finished = [trial for trial in run(scores, selected).values() if len(trial["t"]) == 200]
        assert len(finished) >= min(selected, 8)


@pytest.mark.parametrize(("selected", "stopped"), [(1, {"x", "y"}), (2, {"x", "y"}), (3, set()), (4, set())])
def test_candidate_is_stopped_if_as_many_as_are_selected_are_significantly_better(selected, stopped):
    """Two are equally bad: with three places, each has only two better ones, and may be the third."""
    scores = {"best": draws(0.95, 1), "good": draws(0.93, 2), "x": draws(0.1, 3), "y": draws(0.1, 4)}
    trials = run(scores, selected, rules=Racing((50,), 0.95, 0.5))
    assert {name for name in scores if len(trials[name]["t"]) == 50} == stopped


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(1, 6), st.integers(0, 3), st.integers(0, 99))
def test_race_stops_the_same_candidates_in_any_order(shares, selected, rivals, seed):
    scores = {f"x{i}": draws(share, (seed, i)) for i, share in enumerate(shares)}
    known = [Known({"t": tuple(draws(0.8, (seed, 50 + i)))}) for i in range(rivals)]
    forwards = run(scores, selected, known)
    assert run(dict(reversed(scores.items())), selected, known[::-1]) == forwards
    assert all(trial["t"] == tuple(scores[name][: len(trial["t"])]) for name, trial in forwards.items())


def test_behind_is_sharper_with_paired_scores_than_with_means():
    """One sample in eight lost, none won: significant after 100 in pairs, but not for two independent means."""
    rival = draws(0.6, 1)
    worse = [0.0 if i % 8 == 0 else score for i, score in enumerate(rival)]
    course = table_course({"worse": worse})
    trial = {"t": tuple(worse)}
    allowed = errors_allowed(0.95, looks=3, rivals=1)
    assert is_behind(trial, Known({"t": tuple(rival)}), 100, allowed, course)
    assert not is_behind(trial, Known(means={"t": 0.6}), 100, allowed, course)


def test_errors_allowed_is_the_quantile_divided_over_looks_and_rivals():
    assert errors_allowed(0.95, looks=3, rivals=1) == pytest.approx(2.128045, abs=1e-6)  # 1 - 0.05 / 3
    assert errors_allowed(0.975, looks=1, rivals=1) == pytest.approx(1.959964, abs=1e-6)
    assert errors_allowed(0.7, looks=4, rivals=9) == errors_allowed(0.7, looks=9, rivals=4)
    assert errors_allowed(0.7, looks=4, rivals=9) == pytest.approx(2.393980, abs=1e-6)  # 1 - 0.3 / 36


@pytest.mark.parametrize(("size", "looks"), [(200, 3), (100, 2), (30, 1)])
def test_race_counts_only_looks_before_the_last_sample(size, looks, monkeypatch):
    asked = []
    monkeypatch.setattr("genome.search.racing.errors_allowed", lambda *given: asked.append(given) or 2.0)
    scores = {name: draws(0.5, i, size) for i, name in enumerate("xyz")}
    run(scores, 2, rivals=[Known(means={"t": 0.5})])
    assert asked == [(0.95, looks, 2)] * looks


@pytest.mark.parametrize("look", [8, 14])
def test_behind_is_the_formula_of_the_module(look):
    """The formula of the module's docstring, on two tasks, one of them with 12 samples only."""
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
        assert is_behind(worse, Known(better), look, allowed - 0.001, course)
        assert not is_behind(worse, Known(better), look, allowed + 0.001, course)


def test_behind_is_false_for_equal_scores():
    scores = {"t": (1.0, 0.0, 1.0, 0.0)}
    assert not is_behind(scores, Known(scores), 4, 0.0, table_course({"x": [0.0] * 4}))


def test_race_does_not_evaluate_known_samples_again():
    scores = {"x": draws(0.5, 1), "y": draws(0.5, 2)}
    log = []
    trials = run(scores, 2, known={"x": {"t": tuple(scores["x"][:50])}}, log=log)
    assert {name: len(trial["t"]) for name, trial in trials.items()} == {"x": 200, "y": 200}
    assert trials["x"]["t"] == tuple(scores["x"])
    assert not [step for step in log if step[0] == "x" and step[1] < 50]


def test_race_weighs_tasks():
    def part(individuals, start, stop):
        return [{"a": (1.0,) * len(range(200)[start:stop]), "b": (0.0,) * len(range(60)[start:stop])}] * len(
            individuals
        )

    rivals = [Known({"a": (0.0,) * 200, "b": (1.0,) * 60})]
    for weights, length in (({"a": 0.9, "b": 0.1}, 200), ({"a": 0.1, "b": 0.9}, 25)):
        course = Course({"a": 200, "b": 60}, weights, part, combine)
        assert len(race(entries("x"), {}, rivals, 1, RULES, course)["x"]["a"]) == length


def test_trial_is_finished_with_every_sample_of_every_task():
    course = Course({"a": 300, "b": 2}, {"a": 0.5, "b": 0.5}, lambda *_: pytest.fail("was asked"), combine)
    whole, part, more = ({"a": (0.5,) * length, "b": (1.0,) * 2} for length in (300, 299, 301))
    assert [course.finished(trial) for trial in (whole, part, {"a": (0.5,) * 300}, {})] == [True, False, False, False]
    assert [course.fits(trial) for trial in (whole, part, more, {"a": (0.5,) * 300})] == [True, True, False, False]
    assert course.fitness(whole) == combine({"a": 0.5, "b": 1.0})


def test_races_refuse_looks_that_do_not_rise():
    with pytest.raises(GenomeError, match=r"racing\.looks: \[50, 25\]; expected rising"):
        Races(Racing((50, 25), 0.95, 0.5), table_course({"x": [0.0] * 200}), {})


class Samples:
    """A course of 200 samples with difficulties in [0, 1): an individual is right on those below its skill."""

    def __init__(self, trials=()):
        self.difficulty = np.random.default_rng(0).permutation(200) / 200
        self.spent = 0
        self.asked = set()

    def scores(self, individual):
        skill = Landscape(EXPERTS).value(individual)
        return tuple((self.difficulty < skill).astype(float).tolist())

    def __call__(self, individuals):
        self.asked |= {each.genotype for each in individuals}
        self.spent += 200 * len(individuals)
        return [combine({"t": sum(self.scores(x)) / 200}) for x in individuals]

    def part(self, individuals, start, stop):
        self.asked |= {each.genotype for each in individuals}
        self.spent += (min(stop, 200) - start) * len(individuals)
        return [{"t": self.scores(x)[start:stop]} for x in individuals]

    @property
    def course(self):
        return Course({"t": 200}, {"t": 1.0}, self.part, combine)


def evolve(method, racing, generations=5, file=None):
    samples, settings = Samples(), paper_settings(method) | {"racing": racing}
    population = initial_population(EXPERTS, score_experts(EXPERTS, samples), settings, 10, 1, samples)
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
def test_racing_ranks_only_individuals_with_all_samples(method):
    history, samples = evolve(method, RACING)
    stopped = set()
    for population in history[1:]:
        for x in (*population.members, *population.created, population.best, population.worst):
            assert x.fitness == combine({"t": sum(samples.scores(x)) / 200})
        unfinished = {name for name, trial in population.state["trials"].items() if len(trial["t"]) < 200}
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
    assert not any("trials" in population.state for population in full)


@settings(max_examples=15)
@given(
    st.sampled_from(["genome", "genome_plus", "cma_es"]),
    st.lists(st.integers(2, 199), min_size=1, max_size=4, unique=True).map(sorted),
    st.floats(0.51, 0.99),
    st.floats(0.05, 1.0),
)
def test_run_never_selects_a_candidate_that_a_race_stopped(method, looks, confidence, share):
    history, samples = evolve(method, {"looks": looks, "confidence": confidence, "share": share}, generations=2)
    for population in history[1:]:
        stopped = {name for name, trial in population.state.get("trials", {}).items() if len(trial["t"]) < 200}
        kept = (*population.members, *population.created, population.best, population.worst)
        assert not stopped & {identity(each.genotype, DIGESTS) for each in kept}
        assert not stopped & population.scored.keys()
        assert all(each.fitness == combine({"t": sum(samples.scores(each)) / 200}) for each in kept)


@pytest.mark.parametrize("method", ["genome", "genome_plus", "cma_es"])
def test_evaluations_are_distinct_genotypes_also_if_a_race_stopped_them(method, tmp_path):
    history, samples = evolve(method, RACING, file=tmp_path / "population.json")
    assert any(len(trial["t"]) < 200 for trial in history[-1].state["trials"].values())
    assert history[-1].evaluations == len(samples.asked) - 4  # the experts are not of this run


def contests(*requests):
    """Yield contests of genotypes, given by their coefficient and their individual's name; return the last fittest."""
    population = None
    for number, request in enumerate(requests):
        contenders = [Individual(name, Genotype((value,)), "") for value, name in request]
        finished = (yield Contest(contenders, (), 2)).finished
        population = replace(new_population(finished), generation=number)
    return population


def test_genotype_that_races_again_is_one_evaluation_and_keeps_all_its_answers():
    """It is stopped in one generation, goes on in another where no better one races, and has another name there."""
    scores, rows = {1.0: draws(0.9, 1), 0.5: draws(0.4, 2)}, []

    def part(individuals, start, stop):
        found = [scores[each.genotype.coefficients[0]][start:stop] for each in individuals]
        for each, values in zip(individuals, found, strict=True):
            numbers = range(start, start + len(values))
            rows.extend(
                {"individual": each.name, "task": "t", "sample": i, "answer": str(v)}
                for i, v in zip(numbers, values, strict=True)
            )
        return [{"t": tuple(values)} for values in found]

    course = Course({"t": 200}, {"t": 1.0}, part, combine)
    board = Scoreboard({}, ["x"], lambda _: pytest.fail("not in a race"), Races(RULES, course, {}))
    first = drive(contests([(1.0, "g01-a"), (0.5, "g01-b")]), board)
    assert [each.name for each in first.members] == ["g01-a"]
    assert first.evaluations == 2
    races = Races(RULES, course, first.state["trials"], first.state["raced_as"])
    search = contests([(0.5, "g02-c")])
    second = drive(search, Scoreboard(first.scored, ["x"], lambda _: pytest.fail("not in a race"), races))
    second = replace(second, earlier=second.earlier + first.earlier)
    assert second.evaluations == 2
    assert second.state["raced_as"] == {identity(second.best.genotype, ["x"]): ("g01-b", "g02-c")}
    found = answers_by_genotype([first, second], rows)
    assert {genotype.coefficients[0]: [given["t", i] for i in range(200)] for genotype, given in found.items()} == {
        value: [str(score) for score in values] for value, values in scores.items()
    }


@pytest.mark.parametrize("method", ["genome_plus", "cma_es"])
def test_racing_continues_from_its_file(method, tmp_path):
    assert evolve(method, RACING, file=tmp_path / "population.json")[0][-1] == evolve(method, RACING)[0][-1]


@pytest.mark.parametrize("method", ["genome", "genome_plus", "cma_es"])
def test_racing_that_stops_no_candidate_changes_nothing(method):
    sure, _ = evolve(method, {"looks": [2], "confidence": 0.999999999, "share": 0.5})
    full, _ = evolve(method, None)
    without = [{key: part for key, part in x.state.items() if key not in STATE} for x in sure]
    assert [replace(x, state=state) for x, state in zip(sure, without, strict=True)] == full


def test_standing_prefers_more_samples_to_better_scores():
    course = table_course({"x": [0.0] * 200})
    trials = {"far": (0.0,) * 100, "near": (1.0,) * 50, "good": (1.0,) * 25, "poor": (0.0,) * 25}
    assert sorted(trials, key=lambda name: standing({"t": trials[name]}, course)) == ["far", "near", "good", "poor"]


@pytest.mark.parametrize("method", ["genome_plus", "cma_es"])
def test_racing_ends_when_the_best_scores_100_percent(method):
    history, samples = evolve(method, RACING, generations=1)
    perfect = replace(history[-1], best=replace(history[-1].best, fitness=combine({"t": 1.0})))
    spent, settings = samples.spent, paper_settings(method) | {"racing": RACING}
    after = next_generation(perfect, settings, 1, EXPERTS, samples, samples.course)
    assert after == replace(perfect, generation=2, created=())
    assert samples.spent == spent
    without = next_generation(perfect, settings | {"racing": None}, 1, EXPERTS, samples, samples.course)
    assert without.created


def test_racing_without_course_scores_all_in_full():
    samples, settings = Samples(), paper_settings("genome_plus") | {"racing": RACING}
    population = initial_population(EXPERTS, score_experts(EXPERTS, samples), settings, 10, 1, samples)
    assert next_generation(population, settings, 1, EXPERTS, samples) == next_generation(
        population, settings | {"racing": None}, 1, EXPERTS, samples
    )


def test_places_are_the_share_of_the_population():
    assert [places(Racing((25,), 0.9, share), 10) for share in (0.01, 0.3, 0.5, 1.0)] == [1, 3, 5, 10]


def by_likelihood(course):
    return replace(course, likelihood=True)


def test_course_by_likelihood_scores_the_exponential_of_the_mean():
    course = by_likelihood(table_course({"x": [-1.0, -3.0]}))
    assert course.fitness({"t": (-1.0, -3.0)}).value == pytest.approx(np.exp(-2))
    assert course.mean(course.score(-2.0)) == pytest.approx(-2)
    slopes = course.slope(-1.0, np.array([-2.0, -1.0]))
    assert slopes == pytest.approx([np.exp(-1) - np.exp(-2), np.exp(-1)])


def test_behind_by_likelihood_is_the_formula_of_the_module():
    """The gap is the difference of the scores; the added win and loss have the size of the differences."""
    sizes, weights = {"a": 40, "b": 12}, {"a": 0.7, "b": 0.3}
    course = by_likelihood(Course(sizes, weights, lambda *_: pytest.fail("was asked"), combine))
    for seed in range(20):
        chance, look = np.random.default_rng(seed), 8
        worse, better = (
            {task: tuple((-chance.exponential(mean, look)).tolist()) for task in sizes} for mean in (1.5, 1.0)
        )
        gap, variance = 0.0, 0.0
        for task, size in sizes.items():
            d = np.subtract(worse[task], better[task])
            own, theirs = np.mean(worse[task]), np.mean(better[task])
            change = weights[task] * (np.exp(own) - np.exp(theirs))
            s2 = (np.sum((d - d.mean()) ** 2) + 2 * np.max(d**2)) / (look + 1)
            gap += change
            variance += (change / d.mean()) ** 2 * s2 / look * (size - look) / (size - 1)
        allowed = -gap / np.sqrt(variance)
        assert is_behind(worse, Known(better), look, allowed - 0.001, course)
        assert not is_behind(worse, Known(better), look, allowed + 0.001, course)


def test_race_by_likelihood_stops_a_much_worse_candidate():
    chance = np.random.default_rng(1)
    rival = -chance.exponential(0.5, 200)
    course = by_likelihood(table_course({"x": (rival - 1 - chance.random(200)).tolist()}))
    trials = race(entries(["x"]), {}, [Known({"t": tuple(rival.tolist())})], 1, RULES, course)
    assert len(trials["x"]["t"]) == 25


def test_candidate_with_the_same_likelihoods_is_not_behind():
    course = by_likelihood(table_course({"x": [-1.0] * 200}))
    assert not is_behind({"t": (-1.0,) * 25}, Known({"t": (-1.0,) * 25}), 25, 0.0, course)


def test_driver_races_by_likelihood_against_rivals_of_which_only_the_score_is_known():
    """Generation 0 has no trials: the mean log-probability of a rival is the logarithm of its score."""
    target = np.array([0.6, 0.5, -0.1, 0.2])
    hardness = np.random.default_rng(7).exponential(1.0, 200)

    def log_p(individual):
        return -hardness * (0.05 + np.sum((np.array(individual.genotype.coefficients) - target) ** 2))

    def evaluate(individuals):
        return [combine({"t": float(np.exp(np.mean(log_p(each))))}) for each in individuals]

    def evaluate_part(individuals, start, stop):
        return [{"t": tuple(log_p(each)[start:stop].tolist())} for each in individuals]

    course = Course({"t": 200}, {"t": 1.0}, evaluate_part, combine, likelihood=True)
    start = score_experts(EXPERTS, evaluate)
    settings = paper_settings("cma_es", racing={"looks": [25, 50], "confidence": 0.9, "share": 0.3})
    population = initial_population(EXPERTS, start, settings, 8, 1, evaluate)
    first = population.best.score
    lengths = []
    for _ in range(6):
        population = next_generation(population, settings, 1, EXPERTS, evaluate, course)
        lengths += [len(trial["t"]) for trial in population.state["trials"].values()]
    assert population.best.score > first
    assert {25, 200} <= {*lengths}
    assert all(each.score == pytest.approx(evaluate([each])[0].value) for each in population.members)

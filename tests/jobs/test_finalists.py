"""A search by likelihood on a part of the samples, with a fake engine, and the choice among its finalists."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from builders import paper_settings
from genome.files import read_json, read_jsonl, write_json, write_jsonl
from genome.jobs.baselines import baseline
from genome.jobs.evaluation import answer_test
from genome.jobs.evolution import generation, initial_population
from genome.jobs.finalists import finalists
from genome.search.finalists import BASE, kind_of
from genome.search.measure import Measure
from genome.search.records import read_population
from genome.tasks.likelihood import most_likely
from jobs.test_evolution import EXPERTS, FITNESS, RUN, START, TEST, Project
from jobs.test_evolution import refused as assert_refused

LIKELY = {"objective": "likelihood", "samples": 2}


class SearchedProject(Project):
    """A project with a run by likelihood: right responses end in the sign that the fake engine favours."""

    def __init__(self, experts):
        super().__init__(experts)
        samples = read_jsonl("validation.jsonl")
        for sample in samples:
            right = {"option": "right response", "tokens": [7, int(sample["reference"])], "characters": 2, "bytes": 2}
            sample["continuations"] = [right]
        write_jsonl("likelihood.jsonl", samples)
        Path(f"{RUN}/finalists").mkdir()
        self.experts()

    def start(self, **changes):
        settings = json.dumps({**FITNESS, "stage": 1, "initialisation": "pairs", **LIKELY, **changes})
        scored = f"{EXPERTS}/population.json"
        initial_population(self.site, settings, ["likelihood.jsonl"], scored, 4, 1, self.files(START))
        return read_population(f"{START}/population.json")

    def advance(self, number=1, **changes):
        settings = json.dumps({**FITNESS, **paper_settings("genome", **LIKELY | changes), "likelihood": 1})
        previous = f"{START if number == 1 else f'{RUN}/generation_{number - 1}'}/population.json"
        out = self.files(f"{RUN}/generation_{number}")
        adapters = f"{RUN}/generation_{number}/adapters"
        generation(self.site, settings, ["likelihood.jsonl"], previous, [], 1, False, adapters, out)
        return read_population(out.population)

    def decide(self, measure=LIKELY, **changes):
        settings = json.dumps({**FITNESS, "finalists": 3, "result": "best_of", "measure": measure, **changes})
        out, last = self.files(f"{RUN}/finalists"), f"{RUN}/generation_1/population.json"
        kept = f"{RUN}/finalists/calibration.json"
        finalists(self.site, settings, ["validation.jsonl"], last, f"{EXPERTS}/population.json", kept, out)
        return read_population(out.population)


@pytest.fixture
def project(make_experts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The project's engine is replaced before its experts are scored.
    monkeypatch.setattr("genome.jobs.site.connect", lambda *arguments: made[0].connect(*arguments))
    made = []
    made.append(SearchedProject.__new__(SearchedProject))
    made[0].__init__(make_experts(3))
    return made[0]


def test_search_by_likelihood_asks_for_its_samples_only(project):
    project.start()
    first = {row["sample"] for row in read_jsonl(f"{START}/evaluations.jsonl")}
    project.advance(individual_mutation_rate=1.0)
    population = project.advance(2, individual_mutation_rate=1.0)
    rows = read_jsonl(f"{RUN}/generation_2/evaluations.jsonl")
    assert len(first) == 2
    assert {row["sample"] for row in rows} == first, "the same samples in all generations"
    assert all(row["answer"] is None and 0 < row["score"] <= 1 for row in rows)
    possible = np.exp([-1.0, -0.75, -0.5])  # -1 per token of a response, or -0.5
    assert all(np.isclose(possible, each.score).any() for each in population.created)
    assert population.measure == Measure("likelihood", 2)
    assert len(project.engine.requests) == 1, "nothing is generated but the answers of the experts"
    assert population.samples == 2 * population.evaluations


def test_generations_may_draw_their_own_samples(project):
    project.start()
    seen = {frozenset(row["sample"] for row in read_jsonl(f"{START}/evaluations.jsonl"))}
    before = project.advance(1, redraw=True)
    for number in (1, 2):
        population = project.advance(number, redraw=True, individual_mutation_rate=1.0)
        rows = read_jsonl(f"{RUN}/generation_{number}/evaluations.jsonl")
        seen.add(frozenset(row["sample"] for row in rows))
        assert {each.name for each in before.members} <= {row["individual"] for row in rows} or number == 1
        before = population
    assert len(seen) > 1
    assert {len(each) for each in seen} == {2}


def test_a_draw_of_more_samples_than_there_are_is_all_of_them(project):
    project.start(samples=20)
    project.advance(1, samples=20, redraw=True)
    population = project.advance(2, samples=20, redraw=True, individual_mutation_rate=1.0)
    everything = {row["id"] for row in read_jsonl("likelihood.jsonl")}
    assert len(everything) < 20
    for folder in (START, f"{RUN}/generation_1", f"{RUN}/generation_2"):
        assert {row["sample"] for row in read_jsonl(f"{folder}/evaluations.jsonl")} == everything
    assert population.measure == Measure("likelihood", 20)


def test_a_population_of_another_measure_is_refused(project):
    project.start()
    path = f"{START}/population.json"
    message = f"{path}: scored by the likelihood on 2 samples, expected the likelihood on 3 samples;"
    assert_refused(lambda: project.advance(samples=3), message, "delete the file to have it made again")
    assert_refused(
        lambda: project.generation(1), f"{path}: scored by the likelihood on 2 samples, expected the metric on all"
    )
    settings = json.dumps({"version": 1, "members": 0, "max_tokens": None})
    out = f"{TEST}/responses.jsonl", f"{TEST}/responses.json", "test_record.json"
    assert_refused(
        lambda: answer_test(project.site, settings, path, [], "test.jsonl", *out), "expected the metric on all"
    )


def test_finalists_are_decided_on_all_samples_and_their_best_is_tested(project):
    project.start()
    last = project.advance(individual_mutation_rate=1.0)
    asked = len(project.engine.scored)
    decided = project.decide()
    rows = read_jsonl(f"{RUN}/finalists/evaluations.jsonl")
    scored = {row["individual"] for row in rows}
    assert BASE in scored
    assert not scored & {"a", "b", "c"}, "the experts have been scored"
    assert {row["sample"] for row in rows} == {f"sums-{i}" for i in range(4)}
    assert len(project.engine.scored) == asked, "decided by the metric"
    assert decided.measure == Measure()
    assert decided.best.score == max(each.score for each in decided.members)
    experts = read_population(f"{EXPERTS}/population.json")
    assert decided.samples == last.samples + experts.samples + len(rows)
    assert read_json(f"{RUN}/finalists/record.json")["evaluations"] == len(scored)
    settings = json.dumps({"version": 1, "members": 2, "max_tokens": None})
    out = f"{TEST}/responses.jsonl", f"{TEST}/responses.json", "test_record.json"
    answer_test(project.site, settings, f"{RUN}/finalists/population.json", [], "test.jsonl", *out)
    roles = {row["role"]: row["individual"] for row in read_jsonl(out[0])}
    assert roles["best"] == roles["member1"] == decided.best.name
    assert read_json(out[1])["handed_out"] == kind_of(decided.best.genotype, "abc")


def test_last_line_of_a_run_says_what_is_handed_out(project, caplog):
    project.start()
    project.advance()
    with caplog.at_level("INFO", "genome"):
        decided = project.decide()
    assert re.fullmatch(r"handed out: the .* % on 4 validation samples.*", caplog.messages[-1])
    assert f"{100 * decided.best.score:.1f} % on 4" in caplog.messages[-1]


def test_a_search_by_another_measure_hands_out_the_knee_of_its_finalists_and_the_experts(project, caplog):
    """On one task, that is the best: the front are all models that are as good."""
    project.start()
    project.advance()
    with caplog.at_level("INFO", "genome"):
        decided = project.decide(result="knee")
    experts = read_population(f"{EXPERTS}/population.json")
    known = {each.genotype: each.score for each in (*decided.created, *experts.members)}
    assert decided.best.score == max(known.values())
    assert decided.members == (decided.best,)
    front = decided.state["front"]
    assert {each.genotype for each in front} == {key for key, score in known.items() if score == decided.best.score}
    assert f"the knee of a front of {len(front)}, 50.0 % on 4 validation samples" in caplog.messages[-1]


def test_a_search_that_hands_out_what_it_found_asks_for_that_only(project):
    project.start()
    last = project.advance()
    decided = project.decide(result="search", finalists=1)
    assert [each.genotype for each in decided.members] == [last.best.genotype]
    assert decided.measure == Measure()


def test_finalists_of_another_measure_are_refused(project):
    project.start()
    project.advance()
    assert_refused(lambda: project.decide({"samples": 2}), "scored by the likelihood on 2 samples, expected the metric")


def test_calibrated_finalists_are_asked_again_and_tested_with_their_calibration(project):
    project.start()
    project.advance()
    decided = project.decide(calibrated=True)
    names = {row["individual"] for row in read_jsonl(f"{RUN}/finalists/evaluations.jsonl")}
    assert names == {each.name for each in decided.members}, "the best expert, too"
    assert decided.measure == Measure(calibrated=True)
    assert read_json(f"{RUN}/finalists/calibration.json") == {}, "its answers are generated"
    path, test = f"{RUN}/finalists/population.json", Path("emotions")
    test.mkdir()
    shutil.copy("test.jsonl", test / "test.jsonl")
    samples = [
        each | {"continuations": [{"option": str(o), "tokens": [o], "characters": 1, "bytes": 1} for o in (1, 2)]}
        for each in read_jsonl("test.jsonl")
    ]
    write_jsonl(test / "test.jsonl", samples)
    fitted = {each.name: {"emotions": {"temperature": 2.0, "biases": [0.0, 9.0]}} for each in decided.members}
    write_json(f"{RUN}/finalists/calibration.json", fitted)
    settings = {"version": 1, "members": 0, "max_tokens": None, "likelihood_per": "option"}
    out = f"{TEST}/responses.jsonl", f"{TEST}/responses.json", "test_record.json"
    arguments = (json.dumps(settings), path, [], f"{test}/test.jsonl", *out)
    answer_test(project.site, *arguments, [f"{RUN}/finalists/calibration.json"])
    answers = {most_likely(row["response"], ["1", "2"]) for row in read_jsonl(out[0])}
    assert answers == {"2"}, "the bias decides"
    assert_refused(lambda: answer_test(project.site, *arguments), "scored by the calibrated metric on all samples")


def test_finalists_of_another_engine_are_refused(project):
    project.start()
    project.advance()
    path = f"{EXPERTS}/population.json"
    value = read_json(path)
    value["engine"]["backend"] = "vllm"
    Path(path).write_text(json.dumps(value))
    assert_refused(project.decide, f"{RUN}/generation_1/population.json: answered by an engine with")


def test_products_are_compared_with_the_experts(project):
    """The engine must serve the rank of products, even if the best finalist is an expert."""
    project.start(merge_space="product")
    project.advance(merge_space="product")
    project.ranks.clear()
    decided = project.decide()
    assert {each.genotype.space for each in decided.members} == {"product", "factors"}
    assert project.ranks == [12]
    path = f"{RUN}/finalists/population.json"
    project.site = replace(project.site, engine={})
    settings = json.dumps({"version": 1, "members": 2, "max_tokens": None})
    out = f"{TEST}/responses.jsonl", f"{TEST}/responses.json", "test_record.json"
    answer_test(project.site, settings, path, [], "test.jsonl", *out)
    assert project.ranks == [12, 12]


def test_lorahub_by_likelihood_starts_without_the_scores_of_the_experts(project):
    Path("lorahub").mkdir()
    out = project.files("lorahub")
    settings = json.dumps({**FITNESS, **paper_settings("lorahub", **LIKELY, evaluations=3), "likelihood": 1})
    baseline(project.site, settings, ["likelihood.jsonl"], f"{EXPERTS}/population.json", 1, out)
    population = read_population(out.population)
    assert (population.measure, population.evaluations, population.samples) == (Measure("likelihood", 2), 3, 6)

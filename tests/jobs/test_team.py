"""The team of a raced run, chosen by all answers that its members have ever given."""

from dataclasses import replace
from pathlib import Path

import pytest

from builders import ENGINE, fake_experts, write_manifest
from genome.errors import GenomeError
from genome.files import read_json, read_jsonl, write_json, write_jsonl
from genome.genotype import Genotype
from genome.jobs.evaluation import _team
from genome.jobs.site import Site
from genome.search.asking import Contest
from genome.search.driver import Scoreboard, drive, sha256_of
from genome.search.population import Fitness, Individual, new_population
from genome.search.racing import Course, Races
from genome.search.records import read_population, write_population
from genome.search.settings import Racing

SIZE = 60
TASK = {"source": {"path": "x"}, "prompt": "p", "reference": "r", "kind": "number", "category": "c"}
SETTINGS = {
    "fitness": {"tasks": [{"name": "sums", "definition": TASK, "weight": 1}]},
    "members": 1,
    "similarity": {"metric": "chrf"},
}
RIGHT = {"strong": range(60), "weak": range(30, 60), "weaker": range(45, 60)}
GENOTYPES = {"strong": Genotype((1.0,)), "weak": Genotype((0.5,)), "weaker": Genotype((0.25,))}
EXPERTS = fake_experts(1)


@pytest.fixture
def files(tmp_path):
    """The files of a run of two generations: `weak` is stopped in the first, and a member of the second."""
    write_jsonl(tmp_path / "sums/validation.jsonl", [{"id": f"sums-{i}", "reference": "1"} for i in range(SIZE)])
    before, paths = None, []
    for number, competing in ((1, ("strong", "weak")), (2, ("weaker", "weak"))):
        rows = []

        def evaluate(individuals, start, stop, rows=rows):
            found = [tuple(float(i in RIGHT[x.name[4:]]) for i in range(start, min(stop, SIZE))) for x in individuals]
            rows += [
                {
                    "individual": x.name,
                    "task": "sums",
                    "sample": f"sums-{start + i}",
                    "answer": f"{score:g}",
                    "score": score,
                }
                for x, scores in zip(individuals, found, strict=True)
                for i, score in enumerate(scores)
            ]
            return [{"sums": scores} for scores in found]

        def search(competing=competing, number=number, before=before):
            individuals = [Individual(f"g0{number}-{name}", GENOTYPES[name], "mutation") for name in competing]
            scored = yield Contest(individuals, (), 2)
            earlier = before.earlier if before else 0
            return replace(new_population(scored.finished), generation=number, engine=ENGINE, earlier=earlier)

        course = Course({"sums": SIZE}, {"sums": 1.0}, evaluate, lambda scores: Fitness(scores["sums"], scores))
        kept = (before.state["trials"], before.state["raced_as"]) if before else ({}, {})
        races = Races(Racing((30,), 0.95, 0.5), course, *kept)
        board = Scoreboard(before.scored if before else {}, sha256_of(EXPERTS), lambda _: pytest.fail("no race"), races)
        place = tmp_path / f"generation_{number}"
        write_population(place / "population.json", drive(search(), board), EXPERTS)
        write_jsonl(place / "evaluations.jsonl", rows)
        before = read_population(place / "population.json")
        paths.append(str(place / "evaluations.jsonl"))
    return [*paths, str(tmp_path / "sums/validation.jsonl")]


def team(files):
    population = read_population(files[1].replace("evaluations.jsonl", "population.json"))
    manifest = Path(files[2]).parents[1] / "experts.json"
    write_manifest(manifest, EXPERTS)
    return [each.name for each in _team(Site("base", str(manifest), {}), population, SETTINGS, files)]


def test_answers_of_a_genotype_that_raced_twice_are_all_found(files):
    answered = [row["individual"] for path in files[:2] for row in read_jsonl(path)]
    assert [answered.count(name) for name in ("g01-strong", "g01-weak", "g02-weak")] == [60, 30, 30]
    assert team(files) == ["g02-weak"]


def test_an_answer_that_is_lost_is_refused(files):
    path = files[1].replace("evaluations.jsonl", "population.json")
    content = read_json(path)
    content["raced_as"] = {identity: names[1:] or names for identity, names in content["raced_as"].items()}
    write_json(path, content)
    with pytest.raises(GenomeError, match="have no answer of g02-weak to sums sums-0"):
        team(files)

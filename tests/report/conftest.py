"""Runs whose populations have answered tests, as files of a results folder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders import ENGINE, fake_experts, scored
from genome.files import write_json, write_jsonl
from genome.genotype import Genotype
from genome.search.population import Fitness, Individual, new_population
from genome.search.records import write_population

EXPERTS = fake_experts(2)
DEFINITION = {"source": {"path": "x"}, "prompt": "p", "reference": "r", "kind": "number", "pattern": "(.*)"}


class Results:
    """Files of runs of GENOME+ with two members, by what a rule calls them."""

    def __init__(self):
        self.inputs = {"base": "base", "prompts": [], "splits": [], "responses": [], "populations": []}

    def add_task(self, task, references, results="results"):
        """Write the samples of a test, one per letter of `references`."""
        samples = [{"id": i, "reference": reference} for i, reference in enumerate(references)]
        split = f"{results}/splits/{task}/test.jsonl"
        write_jsonl(split, samples)
        self.inputs["splits"].append(split)
        if results == "results":
            prompts = f"results/prompts/base/{task}/test.jsonl"
            write_jsonl(prompts, samples)
            self.inputs["prompts"].append(prompts)

    def add_run(self, task, seed, *answers, results="results", initial=True):
        """Write a run whose members, fittest first, give `answers`, one letter per sample."""
        members = [
            Individual(
                f"x{i}", Genotype((float(i), 1.0)), "crossover", fitness=Fitness(0.9 - i / 10, {task: 0.9 - i / 10})
            )
            for i in range(len(answers))
        ]
        population = scored(new_population(members), EXPERTS)
        place, run = f"n{len(answers)}/seed{seed}", f"{task}/genome_plus/n{len(answers)}/seed{seed}"
        last = f"{results}/runs/{run}/generation_1/population.json"
        write_population(last, replace(population, generation=1), EXPERTS)
        self.inputs["populations"].append(last)
        if initial:
            first = f"{results}/runs/{task}/initial-pairs/{place}/population.json"
            write_population(first, population, EXPERTS)
            self.inputs["populations"].append(first)
        roles = ["best", *(f"member{rank}" for rank in range(1, len(answers) + 1))]
        rows = [
            {"role": role, "individual": member.name, "sample": i, "response": answer}
            for role, member, given in zip(roles, (members[0], *members), (answers[0], *answers), strict=True)
            for i, answer in enumerate(given)
        ]
        responses = f"{results}/test/{task}/{run}/responses.jsonl"
        write_jsonl(responses, rows)
        experts = [{"name": expert.name, "sha256": expert.sha256} for expert in EXPERTS]
        origin = {"engine": ENGINE, "members": len(answers), "experts": experts, "versions": {}}
        write_json(Path(responses).with_suffix(".json"), origin)
        self.inputs["responses"].append(responses)

    def shuffled(self):
        """Return the inputs with every list reversed."""
        return {name: files[::-1] if isinstance(files, list) else files for name, files in self.inputs.items()}

    def written(self, module, settings, inputs, *names):
        """Return the texts that a module writes as its outputs of these names."""
        outputs = {
            name: f"out/{name}.{'svg' if name == 'svg' else 'png' if name == 'png' else 'txt'}" for name in names
        }
        Path("out").mkdir(exist_ok=True)
        module.write(json.loads(json.dumps(settings)), inputs, outputs)
        return {name: Path(path).read_bytes() for name, path in outputs.items()}


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Results()

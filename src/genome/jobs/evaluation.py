"""Stages that read test data: the responses of a run's chosen models, and their scores."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genome.engine.state import STORE
from genome.errors import GenomeError
from genome.experts.peft import read_expert
from genome.files import write_json, write_jsonl
from genome.genotype import Genotype
from genome.jobs import log
from genome.jobs.evolution import Site
from genome.lora.store import store_expert, store_genotypes
from genome.scoring.ensemble import combine
from genome.scoring.fitness import respond
from genome.scoring.results import read_evaluations, read_origin, read_responses, read_samples
from genome.scoring.teams import choose_team
from genome.search.population import Individual, Population, check_engine, read_population, top
from genome.search.population import origin as origin_of_experts
from genome.tasks import Task, parse_task
from genome.tasks.lengths import check_lengths
from genome.tasks.scoring import extra_results, extract, for_base, judge, parts, standard_error


def answer_test(
    site: Site, settings: str, model: str, validation: Sequence[str], prompts: str, responses: str, origin: str
) -> None:
    """Keep the responses of a run's chosen models to a test split: of its best, and of its top members or its team.

    `model` is a population file or the provenance file of an adapter of its own (Data Merge, DARE-TIES). `validation`
    are the files that a team is chosen by: the run's `evaluations.jsonl`, each beside its population, and then each
    task's samples. `origin` keeps which engine answered, what the models were made of, and how many members were asked.
    """
    resolved, samples = json.loads(settings), read_samples(prompts, asked=True)
    max_tokens = resolved["max_tokens"] or Task.max_tokens
    check_lengths(Path(prompts).parent.name, samples, site.base, max_tokens, site.engine.get("max_model_len"))
    if Path(model).name == "provenance.json":
        experts = [read_expert(Path(model).parent)]
        engine = site.connect()
        names, folders = [experts[0].name], [store_expert(experts[0], STORE)]
    else:
        experts = site.experts()
        population = read_population(model, experts)
        engine = site.connect(population, model)
        members = _team(site, population, resolved, validation) if validation else top(population, resolved["members"])
        chosen = [population.best, *members]
        names = [individual.name for individual in chosen]
        folders = store_genotypes([individual.genotype for individual in chosen], experts, STORE, names)
    distinct = list(dict.fromkeys(folders))
    [texts] = respond(engine, distinct, [(samples, max_tokens)])
    by_folder = dict(zip(distinct, texts, strict=True))
    roles = ["best", *(f"member{rank}" for rank in range(1, len(names)))]
    write_jsonl(
        responses,
        (
            {"role": role, "individual": name, "sample": sample["id"], "response": response}
            for role, name, folder in zip(roles, names, folders, strict=True)
            for sample, response in zip(samples, by_folder[folder], strict=True)
        ),
    )
    who = {"engine": engine.fingerprint, "members": resolved["members"], **origin_of_experts(experts)}
    write_json(origin, who)
    log.info("%d responses of %d models", len(samples) * len(distinct), len(distinct))


@dataclass(frozen=True)
class Model:
    """An individual of a run, by name, and the answers found in its responses to a test, one a sample."""

    name: str
    answers: list[str | None]


def read_models(
    task: Task, samples: Sequence[Mapping[str, Any]], responses: Path | str, members: int | None = None
) -> list[Model]:
    """Return what answered a test: the run's best, then its members, fittest first, `members` of them (None: all)."""
    last = None if members is None else 1 + members
    return [
        Model(name, [extract(task, sample, text) for sample, text in zip(samples, texts, strict=True)])
        for name, texts in list(read_responses(responses, samples).values())[:last]
    ]


def check_members(models: Sequence[Model], population: Population, k: int, responses: Path | str) -> None:
    """Raise GenomeError unless the best and the k fittest of a population, or its whole, are who gave the responses."""
    expected = [population.best.name, *(member.name for member in top(population, k))]
    found = [model.name for model in models]
    if found != expected:
        raise GenomeError(
            f"{responses}: responses of {' '.join(found)}, expected those of {' '.join(expected)}; "
            "delete the file to have it made again"
        )


def _team(
    site: Site, population: Population, settings: Mapping[str, Any], validation: Sequence[str]
) -> list[Individual]:
    """Return the members that answer together, chosen by the answers that the run has kept."""
    tasks = settings["fitness"]["tasks"]
    files = list(map(Path, validation))
    objectives = [
        (for_base(parse_task(entry["name"], entry["definition"]), site.base), read_samples(path), entry["weight"])
        for entry, path in zip(tasks, files[-len(tasks) :], strict=True)
    ]
    expected = {(task.name, sample["id"]) for task, samples, _ in objectives for sample in samples}
    kept: dict[Genotype, dict[tuple[str, Any], str | None]] = {}
    for path in files[: -len(tasks)]:
        file = path.with_name("population.json")
        evaluated = read_population(file)
        check_engine(file, evaluated.engine, population.engine)
        genotypes = {x.name: x.genotype for x in (*evaluated.created, *evaluated.members)}
        for row in read_evaluations(path):
            if (row["task"], row["sample"]) not in expected:
                raise GenomeError(
                    f"{path}: an answer to {row['task']} {row['sample']}, which is not among the validation samples; "
                    "delete the file to have it made again"
                )
            # Whom a race has stopped is in no population.
            if row["individual"] in genotypes:
                kept.setdefault(genotypes[row["individual"]], {})[row["task"], row["sample"]] = row["answer"]
    for member in population.members:
        missing = expected - kept.get(member.genotype, {}).keys()
        if missing:
            task, sample = min(missing, key=str)
            raise GenomeError(
                f"{files[-len(tasks) - 1]}: it and those before it have no answer of {member.name} to {task} {sample}; "
                "delete the file to have it made again"
            )
    answers = {
        genotype: {
            task.name: [found.get((task.name, sample["id"])) for sample in samples] for task, samples, _ in objectives
        }
        for genotype, found in kept.items()
    }
    return choose_team(population, settings["members"], objectives, answers, settings["similarity"])


def score_test(settings: str, base: str, prompts: str, responses: str, origin: str, scores: str, answers: str) -> None:
    """Score a run's responses to a test split: its best individual, and the ensemble of its top k members.

    `answers` keeps what the scores are made of, sample by sample, so that statistics need no test data.
    `base` is the base model's folder, whose tokenizer cuts texts where the task's BLEU asks for it, and `origin` the
    file that says which engine answered.
    """
    resolved = json.loads(settings)
    task, samples = for_base(parse_task(*resolved["task"]), base), read_samples(prompts)
    engine = read_origin(origin)["engine"]
    best, *members = (model.answers for model in read_models(task, samples, responses, resolved["k"]))
    reported = {"best": best}
    if members:
        reported["ensemble"] = combine(task, samples, members, resolved["similarity"])
    judged = judge(task, samples, list(reported.values()))
    write_jsonl(
        answers,
        (
            {"report": report, "sample": sample["id"], "answer": answer, "score": score, **kept}
            for (report, by_report), result in zip(reported.items(), judged, strict=True)
            for sample, answer, score, kept in zip(
                samples, by_report, result.scores, parts(task, samples, by_report), strict=True
            )
        ),
    )
    rows = [
        {
            **resolved["run"],
            "report": report,
            "test_task": task.name,
            "score": result.value,
            "n": len(samples),
            "standard_error": standard_error(task, samples, by_report, result),
            "unparsed": result.unparsed,
            "engine": engine,
            **extra_results(task, samples, by_report),
        }
        for (report, by_report), result in zip(reported.items(), judged, strict=True)
    ]
    write_json(scores, rows)
    for row in rows:
        log.info("%s of %s on %s: %.4f (n = %d)", row["report"], row["run"], task.name, row["score"], row["n"])

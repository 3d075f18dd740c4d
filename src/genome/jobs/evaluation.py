"""Stages that read test data: the responses of a run's chosen models, and their scores."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genome.engine.client import Engine
from genome.engine.state import STORE
from genome.errors import GenomeError
from genome.experts.expert import ENDING, Expert, read_expert
from genome.files import write_json, write_jsonl
from genome.genotype import expert
from genome.jobs import log
from genome.jobs.constant import FILE as CONSTANT
from genome.jobs.constant import answer_always
from genome.jobs.site import Site
from genome.lora.store import store_genotypes
from genome.scoring.answers import answers_by_genotype, read_model_answers
from genome.scoring.asking import respond
from genome.scoring.calibration import read_calibrations
from genome.scoring.ensemble import combine
from genome.scoring.likelihood import calibrated_response
from genome.scoring.results import read_evaluations, read_origin, read_samples, read_scored_task
from genome.scoring.teams import choose_team
from genome.scoring.usage import Meter
from genome.search.finalists import kind_of
from genome.search.measure import Measure
from genome.search.population import Individual, Population, top
from genome.search.records import check_engine, check_measure, read_population
from genome.search.records import origin as origin_of_experts
from genome.tasks import Task
from genome.tasks.lengths import check_lengths, response_limits
from genome.tasks.scoring import extra_results, judge, parts, standard_error
from genome.workflow.names import whole_of


def answer_test(
    site: Site,
    settings: str,
    model: str,
    validation: Sequence[str],
    prompts: str,
    responses: str,
    origin: str,
    record: str,
    calibration: Sequence[str] = (),
) -> None:
    """Write the responses of a run's chosen models to a test split: its best, and its top members or its team.

    `model` is a population file, the file of an expert that answers alone (Data Merge, TIES, an oracle, …), that of an
    answer that is the same for all samples, or, if the settings have a `fusion`, the manifest of experts that answer
    together. `validation` are the files that a team is chosen by: all `evaluations.jsonl` of the run, each next to its
    population, and each task's samples, TASK/validation.jsonl. `origin` records which engine answered, the experts of
    the models, how many members answered, and what kind of model the best one is (`genome.search.finalists.Kind`);
    `record` what that cost. `calibration` is the file of what was fitted to the validation answers of a run's
    finalists, if they are calibrated: it changes their answers by likelihood to the same task.
    """
    started = time.perf_counter()
    resolved, samples = json.loads(settings), read_samples(prompts, asked=True)
    if Path(model).name == CONSTANT:
        answer_always(site, model, prompts, samples, responses, origin, record)
        return
    fitted = [read_calibrations(path) for path in calibration]
    task = Path(prompts).parent.name
    max_tokens, stop = response_limits(samples, resolved["max_tokens"] or Task.max_tokens, resolved.get("stop", ()))
    meter = site.meter([task])
    check_lengths(task, samples, site.base, max_tokens, site.engine.get("max_model_len"))
    if "fusion" in resolved:
        models = _together(site, meter)
    elif Path(model).suffix == ENDING:
        models = _alone(site, model, meter)
    else:
        models = _chosen(site, model, resolved, validation, Measure(calibrated=bool(fitted)), meter)
    with meter.asking():
        if "fusion" in resolved:
            answered = [_fused(models, samples, max_tokens, stop, resolved["fusion"])]
        else:
            distinct = list(dict.fromkeys(models.folders))
            [texts] = respond(models.engine, distinct, [(samples, max_tokens, stop)])
            by_folder = dict(zip(distinct, texts, strict=True))
            answered = [by_folder[folder] for folder in models.folders]
    roles = ["best", *(f"member{rank}" for rank in range(1, len(models.names)))]

    def calibrated(name: str, given: Sequence[str]) -> Sequence[str]:
        """Return a model's responses with what was fitted to its validation answers to this task."""
        fits = (each.get(name, {}) for each in fitted)  # nothing is fitted to generated answers
        for by_task in ({whole_of(task): found for task, found in each.items()} for each in fits):
            if task in by_task:
                return [calibrated_response(each, resolved["likelihood_per"], by_task[task]) for each in given]
        return given

    write_jsonl(
        responses,
        (
            {"role": role, "individual": name, "sample": sample["id"], "response": response}
            for role, name, texts in zip(roles, models.names, answered, strict=True)
            for sample, response in zip(samples, calibrated(name, texts), strict=True)
        ),
    )
    answered_by = {"engine": models.engine.fingerprint, "members": resolved["members"], **models.handed_out}
    write_json(origin, answered_by | origin_of_experts(models.experts))
    write_json(record, {"seconds": round(time.perf_counter() - started, 3), **meter.spent(models.engine)})
    log.info("%d responses of %d models", len(samples) * len({*models.folders}), len({*models.folders}))


@dataclass(frozen=True)
class _Models:
    """The models that answer a test, the best first: their names and stored adapters.

    handed_out: what kind of model the best one is, if it is of a population
    """

    engine: Engine
    experts: Sequence[Expert]
    names: Sequence[str]
    folders: Sequence[Path]
    handed_out: Mapping[str, str] = field(default_factory=dict[str, str])


def _alone(site: Site, model: str, meter: Meter) -> _Models:
    """Return an expert that answers alone."""
    found = read_expert(model)
    with meter.connecting():
        engine = site.connect(rank=found.rank, keep=True)
    return _Models(engine, [found], [found.name], store_genotypes([expert(0, 1)], [found], STORE, [found.name]))


def _together(site: Site, meter: Meter) -> _Models:
    """Return all experts, which answer as one model."""
    experts = site.experts()
    n, names = len(experts), [each.name for each in experts]
    with meter.connecting():
        engine = site.connect(keep=True)
    folders = store_genotypes([expert(i, n) for i in range(n)], experts, STORE, names)
    return _Models(engine, experts, ["all experts"], folders)


def _chosen(
    site: Site, model: str, settings: Mapping[str, Any], validation: Sequence[str], measure: Measure, meter: Meter
) -> _Models:
    """Return the best of a population, and its top members or its team."""
    experts = site.experts()
    population = read_population(model, experts)
    check_measure(model, population.measure, measure)
    with meter.connecting():
        engine = site.connect(population, model, keep=True)
    members = _team(site, population, settings, validation) if validation else top(population, settings["members"])
    chosen = [population.best, *members]
    names = [individual.name for individual in chosen]
    folders = store_genotypes([each.genotype for each in chosen], experts, STORE, names, site.joint_basis)
    kind = kind_of(population.best.genotype, [each.name for each in experts])
    return _Models(engine, experts, names, folders, {"handed_out": kind})


def _fused(
    models: _Models, samples: Sequence[Any], max_tokens: int, stop: Sequence[str], settings: Mapping[str, Any]
) -> list[str]:
    """Return the answers of experts by the sum of their logits, weighted for each prompt (`genome.engine.fusion`)."""
    with models.engine.serving(models.folders):
        return models.engine.fuse(
            [folder.name for folder in models.folders],
            [sample["tokens"] for sample in samples],
            max_tokens,
            settings["tau"] if settings["weights"] == "sim" else None,
            stop,
        )


def _team(
    site: Site, population: Population, settings: Mapping[str, Any], validation: Sequence[str]
) -> list[Individual]:
    """Return the members that answer together, chosen by the validation answers that the run has kept."""
    prompts, evaluations = _validation_files(validation, [entry["name"] for entry in settings["fitness"]["tasks"]])
    objectives = []
    for entry in settings["fitness"]["tasks"]:
        task, samples = site.scored_task(entry["name"], entry["definition"], prompts[entry["name"]])
        objectives.append((task, samples, entry["weight"]))
    expected = {(task.name, sample["id"]) for task, samples, _ in objectives for sample in samples}
    populations: list[Population] = []
    rows: list[Mapping[str, Any]] = []
    for path in evaluations:
        file = Path(path).with_name("population.json")
        evaluated = read_population(file)
        check_engine(file, evaluated.engine, population.engine)
        populations.append(evaluated)
        for row in read_evaluations(path):
            if (row["task"], row["sample"]) not in expected:
                raise GenomeError(
                    f"{path}: an answer to {row['task']} {row['sample']}, which is not among the validation samples; "
                    "delete the file to have it made again"
                )
            rows.append(row)
    kept = answers_by_genotype(populations, rows)
    for member in population.members:
        missing = expected - kept.get(member.genotype, {}).keys()
        if missing:
            task, sample = min(missing, key=str)
            raise GenomeError(
                f"{evaluations[-1]}: it and those before it have no answer of {member.name} to {task} {sample}; "
                "delete the file to have it made again"
            )
    answers = {
        genotype: {
            task.name: [found.get((task.name, sample["id"])) for sample in samples] for task, samples, _ in objectives
        }
        for genotype, found in kept.items()
    }
    return choose_team(population, settings["members"], objectives, answers, settings["similarity"])


def _validation_files(validation: Sequence[str], tasks: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the prepared samples of each task, by their folder, and the evaluations of the run, in their order."""
    prompts = {Path(path).parent.name: path for path in validation if Path(path).name == "validation.jsonl"}
    evaluations = [path for path in validation if Path(path).name == "evaluations.jsonl"]
    if {*prompts} != {*tasks} or len(prompts) + len(evaluations) != len(validation) or not evaluations:
        raise GenomeError(
            f"a team is chosen by evaluations.jsonl files and TASK/validation.jsonl of {', '.join(tasks)}; "
            f"found {' '.join(validation)}"
        )
    return prompts, evaluations


def score_test(settings: str, base: str, prompts: str, responses: str, origin: str, scores: str, answers: str) -> None:
    """Score a run's responses to a test split: its best individual, and the ensemble of its top k members.

    `answers` keeps answer and score of each sample, so that statistics need no test data. `base` is the base model's
    folder, whose tokenizer splits texts for BLEU if the task asks for it, and `origin` records which engine answered.
    """
    resolved = json.loads(settings)
    name, definition = resolved["task"]
    task, samples = read_scored_task(name, definition, base, prompts)
    answered_by = read_origin(origin)
    handed_out = {key: answered_by[key] for key in ("handed_out",) if key in answered_by}
    best, *members = (model.answers for model in read_model_answers(task, samples, responses, resolved["k"]))
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
            "engine": answered_by["engine"],
            **handed_out,
            **extra_results(task, samples, by_report),
        }
        for (report, by_report), result in zip(reported.items(), judged, strict=True)
    ]
    write_json(scores, rows)
    for row in rows:
        log.info("%s of %s on %s: %.4f (n = %d)", row["report"], row["run"], task.name, row["score"], row["n"])

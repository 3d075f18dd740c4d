"""Runs on validation data: their names, the stages and populations that they consist of, what their jobs record."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from genome.config import names
from genome.errors import GenomeError
from genome.genotype import shared_rank
from genome.search import racing
from genome.search.measure import LIKELIHOOD, OF_PAPER, Measure
from genome.search.method import STATIC_STAGES, deciding
from genome.search.settings import (
    FROM_EXPERTS,
    GIVEN,
    KNEE,
    RANDOM,
    SEARCH,
    ExpertSet,
    Result,
    measure_of,
    scheme_name,
    set_of,
)
from genome.workflow import applies
from genome.workflow.names import STATIC, RunName
from genome.workflow.plan import Plan, unique


def prompts_of(plan: Plan, tasks: Sequence[str], split: str = "validation") -> list[str]:
    """Return the prepared prompts of tasks."""
    return [f"results/prompts/{plan.base}/{task}/{split}.jsonl" for task in tasks]


def validation_of(plan: Plan, tasks: Sequence[str], measure: Measure = OF_PAPER) -> list[str]:
    """Return the validation prompts of a run over tasks, with continuations if they are scored by likelihood.

    GenomeError if there can be no run over these tasks.
    """
    joined = "+".join(tasks)
    if problems := names.joined_problems(f"target {joined[:60]}", tasks):
        raise GenomeError("\n".join(problems))
    return prompts_of(plan, tasks, "validation-likelihood" if measure.objective == LIKELIHOOD else "validation")


def control_prompts(plan: Plan, variant: str, tasks: Sequence[str]) -> list[str]:
    """Return the validation prompts of a control that does not search; GenomeError if it has no result on the tasks."""
    for task in tasks:
        applies.require(plan, variant, "+".join(tasks), task)
    return validation_of(plan, tasks)


def require_size(size: int) -> None:
    """Raise GenomeError for a population of one, which cannot evolve."""
    if size < 2:
        raise GenomeError(f"n{size}: a population has 2 or more members; name a run of n2 or more")


def experts_of(tasks: str, experts: ExpertSet = GIVEN, seed: int | None = None) -> str:
    """Return the population of the scored experts on tasks: those given, or another set of them, made by a seed."""
    return f"results/runs/{scoring_of(tasks, experts, seed)}/population.json"


def scoring_of(tasks: str, experts: ExpertSet, seed: int | None) -> str:
    """Return the stage that scores experts, as a path below results/runs."""
    return f"{tasks}/experts" if experts == GIVEN else f"{tasks}/experts-{experts}/seed{seed}"


def manifest_of(plan: Plan, experts: ExpertSet, tasks: str, seed: int | None) -> str:
    """Return the list of checked experts of a set: random ones depend on the seed, others also on the tasks."""
    place = f"results/experts/{plan.base}"
    places = {GIVEN: place, RANDOM: f"{place}-random/seed{seed}"}
    return f"{places.get(experts, f'{place}-{experts}/{tasks}/seed{seed}')}.json"


def set_of_run(plan: Plan, run: RunName) -> ExpertSet:
    """Return the set of experts that a run mixes."""
    return plan.set_of({"variant": run.variant})


def scored_experts_of(plan: Plan, run: RunName) -> str:
    """Return the population of the scored experts that a run mixes."""
    return experts_of(run.task_names, set_of_run(plan, run), run.seed)


def scheme_of(plan: Plan, variant: str) -> str:
    """Return how generation 0 of a variant is made and scored."""
    settings = plan.variant(variant).settings
    return scheme_name(settings.initialisation, settings.merge_space, measure_of(settings), set_of(settings))


def basis_of(manifest: str, space: str) -> list[str]:
    """Return the file of the joint basis in which the experts of a list are merged; none outside of shared spaces."""
    return [] if shared_rank(space) is None else [f"{manifest.removesuffix('.json')}_{space}.safetensors"]


def initial_of(plan: Plan, run: RunName) -> str:
    """Return the run (below results/runs) that is generation 0 of an evolving variant's: variants share it."""
    return f"{run.task_names}/initial-{scheme_of(plan, run.variant)}/n{run.n}/seed{run.seed}"


def previous_of(plan: Plan, run: RunName, generation: int) -> str:
    """Return the population that a generation starts from; GenomeError for a generation that the config has not."""
    if generation not in plan.generations:
        raise GenomeError(
            f"generation {generation} is out of range: the config's `generations` is {plan.config.generations}"
        )
    return populations_of(plan, run)[generation - 1]


def populations_of(plan: Plan, run: RunName) -> list[str]:
    """Return all populations of a run in their order: from generation 0 to the last, or a baseline's only one."""
    search = search_of(plan, run)
    if not plan.evolves(run.variant):
        return [f"{search.folder}/population.json"]
    initial = f"results/runs/{initial_of(plan, run)}/population.json"
    return [initial, *(search.generation(number) for number in plan.generations)]


def search_of(plan: Plan, run: RunName) -> RunName:
    """Return the run whose search a run hands out something of: a knee may be of the search of its plain method."""
    method = plan.variant(run.variant).method.name
    if plan.variant(run.variant).result != KNEE or search_settings(plan, method) != search_settings(plan, run.variant):
        return run
    return replace(run, variant=method)


def tried_populations(plan: Plan, run: RunName) -> list[str]:
    """Return the populations before the last of a run that hands out a knee; none of others."""
    return populations_of(plan, run)[:-1] if plan.variant(run.variant).result == KNEE else []


def has_finalists(plan: Plan, variant: str) -> bool:
    """Tell whether a variant's runs end with finalists, which answer all validation samples."""
    return variant in plan.variants and plan.variants[variant].has_finalists


def is_calibrated(plan: Plan, variant: str) -> bool:
    """Tell whether a variant calibrates likelihoods."""
    return variant in plan.variants and measure_of(plan.variants[variant].settings).calibrated


def finalists_of(plan: Plan, variant: str) -> int:
    """Return how many of its best a search sends among the finalists, at least its ensemble; 0 without finalists.

    If it hands out what it found, these are no more.
    """
    found = plan.variant(variant)
    if not found.has_finalists:
        return 0
    return max(found.settings.finalists if found.result != SEARCH else 1, found.ensemble_size)


def decided_by(plan: Plan, variant: str) -> tuple[int, Result]:
    """Return how a variant's runs decide what they hand out: the number of finalists, and whether others take part."""
    return finalists_of(plan, variant), plan.variant(variant).result


def result_of(plan: Plan, run: RunName) -> str:
    """Return the population that a run's result is in: its finalists, or the last of its search."""
    return (
        f"{run.folder}/finalists/population.json" if has_finalists(plan, run.variant) else populations_of(plan, run)[-1]
    )


def shown_populations(plan: Plan, run: RunName) -> list[str]:
    """Return the populations of a run whose fitness is the metric: of other searches, only the finalists have it."""
    searched = populations_of(plan, run) if measure_of(plan.variant(run.variant).settings) == OF_PAPER else []
    return [*searched, result_of(plan, run)] if has_finalists(plan, run.variant) else searched


def answers_of(plan: Plan, run: RunName) -> list[str]:
    """Return the answers to all validation samples of the models among which a run's team is chosen."""
    if not has_finalists(plan, run.variant):
        return evaluations_of(plan, run)
    populations = unique([scored_experts_of(plan, run), *shown_populations(plan, run)])
    return [population.replace("population.json", "evaluations.jsonl") for population in populations]


def evaluations_of(plan: Plan, run: RunName) -> list[str]:
    """Return all validation answers of a run; the experts' too unless its generation 0 is without them."""
    populations = populations_of(plan, run)
    if not plan.evolves(run.variant) or plan.variant(run.variant).settings.initialisation in FROM_EXPERTS:
        populations = [scored_experts_of(plan, run), *populations]
    return [population.replace("population.json", "evaluations.jsonl") for population in populations]


def stages_of(plan: Plan, run: RunName) -> list[str]:
    """Return the parts of a run on validation data, as paths below results/runs: first those that runs share."""
    if run.is_static:
        raise GenomeError(f"config.table7.variants: {run.variant} has no run on validation data; take it out")
    if plan.variant(run.variant).method.stage in ("training", "constant"):
        return [str(run)]
    experts, finalists = scoring_of(run.task_names, set_of_run(plan, run), run.seed), has_finalists(plan, run.variant)
    search, last = str(search_of(plan, run)), [f"{run}/finalists"] if finalists else []
    if not plan.evolves(run.variant):
        return [experts, search, *last]
    initial = initial_of(plan, run)
    from_experts = finalists or plan.variant(run.variant).settings.initialisation in FROM_EXPERTS
    return [experts, initial, search, *last] if from_experts else [initial, search]


def records_of(plan: Plan, runs: Iterable[RunName]) -> list[str]:
    """Return what the jobs of runs have recorded of their cost; of a job that runs share once."""
    return unique(record for run in runs for stage in stages_of(plan, run) for record in _records_of_stage(plan, stage))


def _records_of_stage(plan: Plan, stage: str) -> list[str]:
    folder = f"results/benchmarks/runs/{stage}"
    _, variant, *rest = stage.split("/")
    return (
        [f"{folder}/generation_{number}.json" for number in plan.generations]
        if plan.evolves(variant) and rest[-1] != "finalists"
        else [f"{folder}.json"]
    )


def search_settings(plan: Plan, variant: str) -> dict[str, object]:
    """Return all that decides what a variant finds; how it is reported later is not part of it."""
    found = plan.variant(variant)
    settings = deciding(found.settings)
    races = {"races": racing.VERSION} if settings.get("racing") else {}
    return {
        "method": found.method.name,
        **settings,
        **races,
        **likelihood(plan, measure_of(found.settings)),
        "stage": found.method.version,
    }


def likelihood(plan: Plan, measure: Measure) -> dict[str, object]:
    """Return the version of the likelihood, for a fitness that is one."""
    return {"likelihood": plan.versions["likelihood"]} if measure.objective == LIKELIHOOD else {}


@cache
def searched_as(plan: Plan, variant: str) -> str:
    """Return the variant whose runs serve `variant` too: its method's own if just the ensemble is left out."""
    plain = plan.variant(variant).method.name
    if plain not in plan.variants or search_settings(plan, plain) != search_settings(plan, variant):
        return variant
    if decided_by(plan, plain) != decided_by(plan, variant):
        return variant
    ensembles = [getattr(plan.variant(name).settings, "ensemble", None) for name in (variant, plain)]
    return plain if ensembles[0] in (False, None, ensembles[1]) else variant


def run_of(plan: Plan, variant: str, tasks: str, seed: int, size: int | None = None) -> RunName:
    """Return the run whose models a variant reports for a seed, of a population of `size` (None: the config's)."""
    method, shared = plan.variant(variant).method, searched_as(plan, variant)
    return RunName(
        (STATIC,) if method.stage in STATIC_STAGES else tuple(tasks.split("+")),
        shared,
        n=(size or plan.config.population_size) if method.stage == "generation" else None,
        seed=seed if method.seeded else None,
    )

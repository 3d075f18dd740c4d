"""Stages of an evolving run: scores of the experts, generation 0, and each further generation."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace

from genome.engine.state import STORE
from genome.errors import GenomeError
from genome.experts.expert import is_mixed
from genome.files import replacing_directory
from genome.jobs import log
from genome.jobs.checks import check_answers, check_objectives
from genome.jobs.site import Outputs, Site
from genome.jobs.spending import allowance_of
from genome.lora.store import link_adapter, store_genotypes
from genome.search import driver
from genome.search.methods import read_method
from genome.search.racing import TRIALS
from genome.search.settings import measure_of, read_initial, settled, space_of


def score_experts(site: Site, settings: str, prompts: Sequence[str], unparsed: str, out: Outputs) -> None:
    """Score the experts themselves, as Best Single, Expert Fusion and the ablation without initialisation need.

    `unparsed` ("stop" or "warn") is what to do about a task on which no answer of any expert can be parsed.
    """
    started = time.perf_counter()
    experts, params = site.experts(), json.loads(settings)
    evaluator = site.evaluator(params["tasks"], prompts, experts)
    check_objectives(evaluator.objectives, site.base, site.engine)
    scored = driver.score_experts(experts, evaluator)
    check_answers(evaluator.objectives, evaluator.records, stop=unparsed == "stop")
    out.write(started, scored, None, evaluator)


def initial_population(
    site: Site, settings: str, prompts: Sequence[str], scored_experts: str, size: int, seed: int, out: Outputs
) -> None:
    """Make and score generation 0, which the evolving methods of one seed share."""
    started = time.perf_counter()
    experts, params = site.experts(), json.loads(settings)
    start = site.read(scored_experts, params["tasks"], experts)
    chosen = settled(read_initial(params), mixed=is_mixed(experts))
    space = space_of(chosen.merge_space)
    measure = chosen.measure
    evaluator = site.evaluator(params["tasks"], prompts, experts, space, start, scored_experts, measure, draw=(seed, 0))
    population = driver.initial_population(experts, start, chosen, size, seed, evaluator)
    shared = measure == start.measure and start.scored.keys() <= population.scored.keys()
    out.write(started, population, start if shared else replace(start, samples=0), evaluator)


def generation(
    site: Site,
    settings: str,
    prompts: Sequence[str],
    previous: str,
    records: Sequence[str],
    seed: int,
    keep_adapters: bool,
    adapters: str,
    out: Outputs,
) -> None:
    """Advance a run by one generation; with `keep_adapters`, keep its members as PEFT folders.

    `records` are those of the stages before generation 1, if the run has a budget in tokens.
    """
    started = time.perf_counter()
    experts, params = site.experts(), json.loads(settings)
    method, given = read_method(params)
    chosen, measure = settled(given, mixed=is_mixed(experts)), measure_of(given)
    before = site.read(previous, params["tasks"], experts, measure)
    space = space_of(chosen.merge_space)
    draw = (seed, before.generation + 1 if getattr(chosen, "redraw", False) else 0)
    evaluator = site.evaluator(params["tasks"], prompts, experts, space, before, previous, measure, draw)
    course = evaluator.course(seed)
    if course is not None and not all(map(course.fits, before.state.get(TRIALS, {}).values())):
        raise GenomeError(f"{previous}: raced on other samples than these; delete the file to have it made again")
    allowance = allowance_of(site, params, prompts, records, before, experts, evaluator)
    following = driver.next_generation(before, method, chosen, seed, experts, evaluator, course, allowance)
    if allowance is not None and allowance.budget.unit == "tokens":
        following = replace(following, tokens=allowance.spent())
    if following.ended and not before.ended:
        log.info("the run has ended: %s", following.ended)
    with replacing_directory(adapters) as folder:
        if keep_adapters:
            kept = following.members
            genotypes, names = [x.genotype for x in kept], [x.name for x in kept]
            stored = store_genotypes(genotypes, experts, STORE, names, site.joint_basis)
            for member, source in zip(kept, stored, strict=True):
                link_adapter(source, folder / member.name)
    out.write(started, following, before, evaluator)

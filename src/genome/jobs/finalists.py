"""The stage at the end of a run that decides by the metric on all validation samples what the run hands out."""

import json
import time
from collections.abc import Sequence

from genome.jobs import log
from genome.jobs.site import Outputs, Site
from genome.scoring.calibration import write_calibrations
from genome.search.finalists import compare, decide
from genome.search.front import two_errors, with_knee
from genome.search.measure import Measure
from genome.search.population import fittest, seen_in
from genome.search.records import check_engine, check_measure, read_population
from genome.search.settings import KNEE, SEARCH


def finalists(
    site: Site,
    settings: str,
    prompts: Sequence[str],
    population: str,
    scored_experts: str,
    calibration: str,
    out: Outputs,
    tried: Sequence[str] = (),
) -> None:
    """Ask a run's finalists for all validation samples, and write them as a population; its best is the result.

    `population` is the last of the run. Its samples, those of the experts and those of this stage are counted.
    `calibration` is the file of what is fitted to the finalists' answers by likelihood: nothing by default. `tried` are
    the other populations of a run that hands out the knee of its front.
    """
    started = time.perf_counter()
    experts, params = site.experts(), json.loads(settings)
    last, start = read_population(population, experts), site.read(scored_experts, params["tasks"], experts)
    if last.engine is not None:
        check_engine(population, last.engine, start.engine)
    check_measure(population, last.measure, Measure(**params["measure"]))
    space = last.best.genotype.space
    measure = Measure(calibrated=params.get("calibrated", False))
    evaluator = site.evaluator(params["tasks"], prompts, experts, space, start, scored_experts, measure)
    others = params["result"] != SEARCH
    decided = decide(last, start, params["finalists"], experts, evaluator, measure, others=others)
    ranked = ", ".join(f"{each.name} {each.score:.4f}" for each in fittest(decided.members))
    log.info("finalists by the metric on all validation samples: %s", ranked)
    if params["result"] == KNEE:
        searched = [start, *(read_population(path, experts) for path in tried), last]
        comparable = [each for population in searched if population.measure == measure for each in seen_in(population)]
        least = {each.task.name: two_errors(len(each.samples)) for each in evaluator.objectives}
        decided = with_knee(decided, comparable, least)
    write_calibrations(calibration, evaluator.calibrations)
    out.write(started, decided, decided, evaluator)
    log.info("handed out: %s", compare(decided, start, experts).text(evaluator.sample_count))

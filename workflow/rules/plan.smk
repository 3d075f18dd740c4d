# Requires: the jobs of a plan.
# Provides: announce_plan, which says at a run's start what it will cost; for `genome plan`, which makes a dry run with
#   GENOME_PLAN in its environment, the plan as a JSON file of that name.

import atexit

from snakemake.logging import logger

from genome.forecast import STAGES, Job, Setting, forecast, headline, measure


def planned_jobs():
    """Return what would run. Settings are asked for only where they decide what a job costs."""
    jobs = workflow.dag.needrun_jobs()
    named = [(job.rule.name, job.wildcards_dict, job) for job in jobs]
    return [Job(name, parts, job.params.settings if name in STAGES else "{}") for name, parts, job in named]


def plan_setting(jobs):
    """Return what the planned jobs share."""
    named = [part for job in jobs for key in ("tasks", "test_task") for part in job.parts.get(key, "").split("+")]
    return Setting(
        base=BASE,
        experts=list(EXPERTS),
        generations=config["generations"],
        adapters=config["adapters"],
        splits=config["splits"],
        tasks={name: task_definition(name) for name in unique(named) if name},
    )


def announce_plan():
    jobs = planned_jobs()
    setting = plan_setting(jobs)
    try:
        logger.info(headline(forecast(jobs, setting, measure(jobs, setting))))
    except GenomeError as error:
        raise WorkflowError(str(error))


def hand_over_plan(path):
    """Write jobs and setting for `genome plan`, which does not know Snakemake, once the dry run is through."""
    jobs = planned_jobs()
    plan = {"jobs": [vars(job) for job in jobs], "setting": vars(plan_setting(jobs))}
    Path(path).write_text(json.dumps(plan))


if asked_for := os.environ.get("GENOME_PLAN"):
    # There is no hook for dry runs.
    atexit.register(hand_over_plan, asked_for)

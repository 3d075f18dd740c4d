# Requires: `plan`, Snakemake's workflow object, and the jobs that it has planned.
# Provides: the actions at the start and the end of a run: owning and stopping the engine, starting the workers that run
#   scripts, sending metrics to trackers, keeping larger tables, and a forecast of the costs.
#   With GENOME_PLAN in the environment, the planned jobs are written to that file: `genome plan` makes a dry run for it,
#   `genome evolve` forecasts the time that is left.

import atexit
import subprocess

from snakemake import benchmark as benchmarks
from snakemake.logging import logger
from snakemake.shell import shell

from genome.forecast import forecast, headline, measure
from genome.tracking import end_watcher, missing_problems, start_watcher
from genome.warm import is_worth, leave_out_clients, start_workers
from genome.workflow.costs import hand_over, jobs_of, setting_of
from genome.workflow.keeping import keep_larger
from genome.workflow.trackers import remade_by, runs_of, settings_of, tracked


def engine_command(*arguments):
    """Call `python -m genome.engine` in a separate process, which imports the engine's libraries; return its output."""
    # -P: a file called json.py in the working folder must not replace Python's.
    command = [sys.executable, "-P", "-m", "genome.engine", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def schedule_at_once():
    """Lift Snakemake's limit of jobs per second.

    With the limit, each scheduling pass schedules another one second later, and so does every job that ends: the
    scheduler soon does nothing else. The limit protects queues of clusters; unless there is one engine per job, hardly
    anything but engines is submitted. The attribute is private and may move: then the limit stays, and runs are slower.
    """
    if not plan.per_job and hasattr(getattr(workflow, "scheduler", None), "job_rate_limiter"):
        workflow.scheduler.job_rate_limiter = None


def own_engine():
    """Make this process the owner of the run's engine: a job that needs it starts it, and it ends with its owner."""
    # All jobs share one engine, whichever starts it: it must serve the adapters of all spaces
    # and sets of experts.
    config["engine"]["spaces"] = sorted({plan.space_of(job.wildcards_dict) for job in workflow.dag.needrun_jobs()})
    config["engine"]["added_rank"] = plan.added_rank(
        plan.set_of(job.wildcards_dict) for job in workflow.dag.needrun_jobs()
    )
    if problem := plan.submission_problem(local=workflow.local_exec):
        raise WorkflowError(problem)
    os.environ.update(GENOME_OWNER=engine_command("own", str(os.getpid())))


def stop_engine():
    """Stop the run's engine at once; without this it would end soon after this process."""
    engine_command("stop", os.environ.get("GENOME_OWNER", "").rpartition(":")[2])


def warm_up():
    """Have scripts run in forks of workers, if there are enough of them on this machine."""
    rules = [job.rule.name for job in workflow.dag.needrun_jobs()]
    if workflow.local_exec and is_worth(len(rules)):
        shell.prefix(start_workers(rules))
        leave_out_clients(benchmarks)


def start_trackers():
    """Send metrics to the trackers that the config names while jobs run: those of the runs that the jobs are about."""
    trackers = settings_of(plan)
    if problems := missing_problems(trackers):
        raise WorkflowError("\n".join(problems))
    if trackers:
        jobs = list(workflow.dag.needrun_jobs())
        start_watcher(trackers, tracked(plan, runs_of(jobs)), remade_by(jobs))


def keep_tables():
    """Keep tables in whose place the planned jobs make smaller ones."""
    for folder in keep_larger(workflow.dag.needrun_jobs()):
        logger.info(f"{folder}: the table before this run, which had other methods or tests too")


def announce_plan():
    """Log what the run will cost."""
    jobs = jobs_of(plan, workflow.dag.needrun_jobs())
    setting = setting_of(plan, jobs, workflow.overwrite_configfiles)
    measured = refusing(measure, jobs, setting)
    # Side by side: on the cores of this machine, or on the nodes of a cluster.
    at_once = workflow.cores if workflow.local_exec else workflow.nodes
    logger.info(headline(refusing(forecast, jobs, setting, measured, at_once or 1)))
    if asked_for:
        atexit.unregister(hand_over_plan)
        hand_over_plan()


def hand_over_plan():
    """Write the planned jobs to the file that was asked for."""
    hand_over(plan, workflow.dag.needrun_jobs(), workflow.overwrite_configfiles, asked_for)


# Jobs that read this file again must not write theirs.
if asked_for := os.environ.pop("GENOME_PLAN", ""):
    atexit.register(hand_over_plan)  # there is no hook for dry runs

# Requires: the config, and the files that it was read from.
# Provides: `plan` (the checked config, resolved), and what rules ask it: `inputs`, `settings`, `captions`, `patterns`.

from snakemake.exceptions import WorkflowError

from genome.errors import GenomeError
from genome.workflow.captions import Captions
from genome.workflow.patterns import Patterns
from genome.workflow.reading import read_plan
from genome.workflow.results import pages
from genome.workflow.rules import Inputs, Settings


def refusing(call, *arguments, **options):
    """Return what the library returns; Snakemake reports what the library refuses, in one line."""
    try:
        return call(*arguments, **options)
    except GenomeError as error:
        raise WorkflowError(str(error))


# A job on another machine need not see the files that were copied here.
plan = refusing(read_plan, config, project, workflow.configfiles, check_sources=workflow.is_main_process)
config.update(plan.of_scripts, report=pages(plan))
inputs, settings, captions, patterns = Inputs(plan), Settings(plan), Captions(), Patterns(plan)


wildcard_constraints:
    tasks=rf"{patterns.task}(\+{patterns.task})*",
    task=patterns.task,
    whole="[A-Za-z0-9_]+",
    part=patterns.part,
    test_task="[A-Za-z0-9_]+",
    split="validation|test",
    n="[1-9][0-9]*",
    seed="0|[1-9][0-9]*",
    generation="[1-9][0-9]*",
    base=patterns.bases,
    scheme=patterns.schemes,
    run=r"[^/]+/[^/]+(/n[1-9][0-9]*)?(/seed(0|[1-9][0-9]*))?",

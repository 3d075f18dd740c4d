"""The commands of README.md and docs/ make what they say: every target is planned with its config; nothing is run."""

import os
import shlex
import subprocess
import sys
from collections import defaultdict

import pytest
import yaml
from snakemake.cli import get_argument_parser

from builders import write_adapter, write_base
from pages import PROJECT, blocks, commands, name_of
from workflow.conftest import new_project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RUN_BY_OTHERS = {"docs/own.md", "docs/smollm2.md"}  # test_own, test_smollm2
PAGES = [
    page
    for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
    if name_of(page) not in RUN_BY_OTHERS
]
NOT_PLANNED = {"--unlock", "--report", "--directory"}  # make nothing, or are a run in another folder
FINISHED_ELSEWHERE = {"results/tables/across.csv"}  # needs the finished run of another folder: test_across

KEYS = {*yaml.safe_load((PROJECT / "workflow/schemas/config.schema.yaml").read_text())["properties"]}
EXAMPLES = [
    (page, block)
    for page in PAGES
    if page.stem != "extending"
    for block in blocks(page, "yaml")
    if {*yaml.safe_load(block)} <= KEYS
]
"""Pages and their examples of a config; docs/extending.md is followed in test_extending.py."""


def planned():
    """Return all targets by the options of their command and by `mine.yaml`, the first example of the page."""
    targets = defaultdict(dict)
    for page in PAGES:
        mine = next((example for of, example in EXAMPLES if of is page), "{}")
        for program, *words in commands(page):
            if program == "genome" and words[0] == "plan":
                arguments = get_argument_parser().parse_args(words[1:])
            elif program == "snakemake" and not NOT_PLANNED & {*words}:
                arguments = get_argument_parser().parse_args(words)
            else:
                continue
            files = [str(path) for path in arguments.configfile or ()]
            options = tuple(f"--configfile={file}" for file in files)
            if arguments.workflow_profile:
                options += (f"--workflow-profile={arguments.workflow_profile}",)
            made = {*(arguments.targets or ["all"])} - FINISHED_ELSEWHERE
            if made:
                targets[options, mine if "mine.yaml" in files else ""].update(dict.fromkeys(sorted(made)))
    return [(options, mine, [*found]) for (options, mine), found in targets.items()]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project without results, and the files that the examples name as a user's own."""
    project = new_project(tmp_path_factory.mktemp("docs") / "project")
    folder = project.folder
    (folder / "tests").mkdir()
    (folder / "tests/data").symlink_to(PROJECT / "tests/data")
    (folder / "adapters").mkdir()
    write_adapter(folder / "adapters/maths", 0)
    write_base(folder / "models/gemma-2-2b-law")
    (folder / "corpora").mkdir()
    for corpus in ("poetry", "coding"):
        (folder / f"corpora/{corpus}.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    (folder / "capitals.jsonl").write_text('{"question": "?", "choices": ["a", "b"], "answer": "A"}\n')
    (folder / ".vllm/bin").mkdir(parents=True)
    (folder / ".vllm/bin/python").symlink_to(sys.executable)
    return project


def plan(project, mine, *arguments):
    (project.folder / "mine.yaml").write_text(mine)
    environment = {key: value for key, value in os.environ.items() if key != "GENOME_DATA"}
    command = [sys.executable, "-P", "-m", "snakemake", "-n", "--quiet", "--cores", "1", *arguments]
    result = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, f"{shlex.join(arguments)}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"


PLANNED = planned()


@pytest.mark.parametrize(("options", "mine", "targets"), PLANNED, ids=[" ".join(options) for options, _, _ in PLANNED])
def test_every_target_on_the_pages_can_be_planned(project, options, mine, targets):
    plan(project, mine, *options, "--", *targets)


@pytest.mark.parametrize(("page", "example"), EXAMPLES, ids=lambda value: getattr(value, "stem", ""))
def test_every_example_config_is_accepted(project, page, example):
    plan(project, example, "--configfile=mine.yaml", "--", "results/tables/table1.csv")

"""The project's own config, to be changed and checked without Snakemake."""

from copy import deepcopy
from pathlib import Path

import pytest

from genome.config.check import check_paths, read_config, read_task_files
from genome.config.values import overlay
from genome.errors import GenomeError
from genome.yaml_files import read_yaml

PROJECT = Path(__file__).parent.parent.parent
DEFAULT = read_yaml(PROJECT / "config.yaml")
TASK_FILES = read_task_files(PROJECT / "config/tasks")


def laid_over(changes):
    """Return the default config with changes laid over, as Snakemake passes it to the workflow."""
    return overlay(deepcopy(DEFAULT), changes)


def read(changes, task_files=TASK_FILES):
    """Return the default config with changes laid over as a value."""
    return read_config(laid_over(changes), task_files)


def problems(config, task_files=TASK_FILES, *, files=False):
    """Return the lines in which a config is refused, none if it is not; with `files` those about paths too."""
    try:
        value = read_config(config, task_files)
        if files:
            check_paths(value, task_files)
    except GenomeError as error:
        header, *lines = str(error).splitlines()
        if header.startswith("config.data_dir: "):
            return [header]
        assert header == "The config is not valid:"
        assert lines
        assert all(line.startswith("  ") for line in lines)
        return [line.strip() for line in lines]
    return []


@pytest.fixture
def refused():
    """Return a function from changes of the default config to the lines in which they are refused."""

    def refused(changes, task_files=TASK_FILES, *, files=False):
        return problems(laid_over(changes), task_files, files=files)

    return refused

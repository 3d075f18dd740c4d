"""Where the workflow is: its Snakefile, rules, default config, task files and profiles.

In a clone they are in the repository's root, next to src/. A wheel installs them as data files, in share/genome of the
environment.
"""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from genome.errors import GenomeError

SNAKEFILE = "Snakefile"
TASKS = "config/tasks"
"""The folder of task files, in the project and in a user's folder."""


def project() -> Path:
    """Return the folder of the workflow; GenomeError if only the library is there."""
    clone = Path(__file__).parents[2]
    if (clone / SNAKEFILE).is_file():
        return clone
    try:
        installed = files("genome") or []
    except PackageNotFoundError:
        installed = []
    for file in installed:
        if file.parts[-3:] == ("share", "genome", SNAKEFILE):
            return Path(str(file.locate())).resolve().parent
    raise GenomeError(
        f"{clone}: the workflow is not next to the library; install it again: pip install -e . in a clone"
    )


def snakefile() -> str:
    """Return the path of the workflow's Snakefile, which a user's Snakefile includes."""
    return str(project() / SNAKEFILE)

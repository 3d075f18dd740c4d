"""The `genome` command: what is useful beside the workflow."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from genome.errors import GenomeError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def genome() -> None:
    """Population-based evolution of LoRA experts. The workflow itself runs with `snakemake`."""


@app.command()
def materialise(
    population: Annotated[Path, typer.Argument(help="A population.json of any generation.")],
    out: Annotated[Path, typer.Argument(help="The PEFT folder to write; it must not exist.")],
    member: Annotated[str, typer.Option(help="Name of an individual, or `best` for the best ever.")] = "best",
    experts: Annotated[Path, typer.Option(help="Folder of the experts.")] = Path("resources/experts"),
) -> None:
    """Rebuild an individual's adapter, bit for bit, from a run's population file."""
    from genome.rebuild import rebuild

    try:
        rebuild(population, member, experts, out)
    except GenomeError as error:
        sys.exit(f"error: {error}")
    typer.echo(f"{out}: {member} of {population}")

"""Commands on experts and adapters: import, materialise, gguf."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from genome.cli.errors import one_line_errors


def import_(
    sources: Annotated[
        list[str], typer.Argument(help="Fine-tunes: folders, or OWNER/NAME\\[@revision]\\[:subfolder].")
    ],
    base: Annotated[str, typer.Option(help="The base model: a folder, a GGUF file, or OWNER/NAME of the hub.")],
    rank: Annotated[
        int | None, typer.Option(min=1, help="Rank of changes that are not LoRA, such as full fine-tunes; default: 64.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="What to leave out: embeddings, norms, biases, lm_head, … or a module.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the experts' files; default: only the table.")] = None,
) -> None:
    """Show what fine-tunes are as experts of a base, and whether they can be merged; with `--out`, write them."""
    from rich.console import Console
    from rich.table import Table

    from genome.jobs.importing import columns, import_sources, verdict

    with one_line_errors():
        imported = import_sources(sources, base, out, rank, drop or ())
    if imported.experts:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        cells = columns(imported.experts)
        for name, column in cells.items():
            # In 80 columns cells are wrapped at spaces, and only long names are broken.
            longest = max(len(word) for text in (name, *column) for word in text.split())
            table.add_column(name, overflow="fold", min_width=min(longest, {"kind": 9, "dropped": 8}.get(name, 7)))
        for line in zip(*cells.values(), strict=True):
            table.add_row(*line)
        Console().print(table)
    for line in imported.warnings:
        typer.echo(f"warning: {line}", err=True)
    for line in imported.problems:
        typer.echo(f"error: {line}", err=True)
    typer.echo(verdict(imported))
    if imported.problems:
        sys.exit(1)


def materialise(
    population: Annotated[
        Path, typer.Argument(help="A population.json, an export's genotype.json, or the file of an expert.")
    ],
    out: Annotated[Path, typer.Argument(help="The PEFT folder to write; it must not exist.")],
    member: Annotated[str, typer.Option(help="Name of an individual, or `best` for the best ever.")] = "best",
    experts: Annotated[Path, typer.Option(help="Folder of the experts' files.")] = Path("resources/experts"),
    rank: Annotated[int | None, typer.Option(help="Compress a wider adapter to this rank.")] = None,
    basis: Annotated[
        Path | None,
        typer.Option(help="Joint basis (merge_space: shared); default: that of the project of the population."),
    ] = None,
) -> None:
    """Rebuild an individual's adapter bit for bit from a run's population file, or write an expert as a PEFT folder."""
    from genome.jobs.rebuild import rebuild

    with one_line_errors():
        lost = rebuild(population, member, experts, out, rank, basis)
    what = str(population) if population.suffix == ".safetensors" else f"{member} of {population}"
    note = "" if rank is None else f", at rank {rank} at most: {100 * lost:.2f} % of the update's norm is lost"
    typer.echo(f"{out}: {what}{note}")


def gguf(
    adapter: Annotated[Path, typer.Argument(help="A PEFT folder: an export, or what `genome materialise` wrote.")],
    out: Annotated[Path, typer.Argument(help="The GGUF file to write; it must not exist.")],
    base: Annotated[Path, typer.Option(help="Folder of the base model; only its config.json is read.")],
) -> None:
    """Write an adapter as a GGUF file for llama.cpp, whose `--lora` loads it with a GGUF file of the base."""
    from genome.lora.gguf_adapter import write_gguf

    with one_line_errors():
        write_gguf(adapter, base, out)
    typer.echo(f"{out}: {adapter} for llama.cpp")

"""The `genome` command: tools in addition to the workflow."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from genome.errors import GenomeError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the command with one line on standard error if the library refuses its input."""
    try:
        yield
    except GenomeError as error:
        sys.exit(f"error: {error}")
    except OSError as error:  # from the system, or from a library that loads a model, with messages of several lines
        sys.exit(f"error: {' '.join(str(error).split())}")


@app.callback()
def genome() -> None:
    """Population-based evolution of LoRA experts. The workflow itself runs with `snakemake`."""


@app.command()
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


@app.command()
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


@app.command("import")
def import_(
    sources: Annotated[list[str], typer.Argument(help="Fine-tunes: folders, or OWNER/NAME[@revision][:subfolder].")],
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


@app.command()
def score(
    task: Annotated[str, typer.Argument(help="A task of config/tasks, or the path of a task file.")],
    responses: Annotated[Path, typer.Argument(help="JSON Lines: `sample` (a row of the data set) and `response`.")],
    details: Annotated[
        Path | None, typer.Option(help="Where to write answer, reference and score of each line.")
    ] = None,
    base: Annotated[
        Path | None, typer.Option(help="Base model whose tokenizer is used for BLEU, if the task requires it.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="BERTScore's model for ensembles of free text; default: chrF.")
    ] = None,
    layer: Annotated[int, typer.Option(help="The layer of that model.")] = 1,
) -> None:
    """Score existing responses; if each line has `responses` (fittest first), score their ensemble."""
    from genome.scoring.responses import find_task, score_responses
    from genome.tasks.scoring import for_base

    similarity: dict[str, Any] = (
        {"metric": "bertscore", "model": encoder, "layer": layer} if encoder else {"metric": "chrf"}
    )
    with one_line_errors():
        definition = find_task(task)
        scored = definition if base is None else for_base(definition, base)
        result = score_responses(scored, responses, similarity, details)
    typer.echo(json.dumps(result, ensure_ascii=False, indent=2))


@app.command()
def plan(
    targets: Annotated[list[str] | None, typer.Argument(help="Targets to make; default: as for Snakemake.")] = None,
    configfile: Annotated[
        list[Path] | None, typer.Option(help="As for Snakemake; repeat it for several files.")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="Jobs side by side, as for Snakemake.")] = 1,
    tokens_per_second: Annotated[
        str | None,
        typer.Option(help="PROMPT,RESPONSE: tokens that the engine reads and writes, instead of measured rates."),
    ] = None,
) -> None:
    """Forecast the cost of a run: evaluations, samples, tokens, disk and hours. Nothing is started or fetched."""
    from dataclasses import replace

    from genome.forecast import describe, forecast, given_rate, measure
    from genome.forecast.dry_run import read_plan

    with one_line_errors():
        rate = given_rate(tokens_per_second) if tokens_per_second else None
        jobs, setting = read_plan(targets or (), configfile or ())
        measured = measure(jobs, setting)
        if rate:
            measured = replace(measured, rate=rate)
        text = describe(forecast(jobs, setting, measured, cores)) if jobs else "Nothing to be done."
    typer.echo(text)


config = typer.Typer(help="The reference of the config: every key with its type, default and meaning.")
app.add_typer(config, name="config")


@config.command("schema")
def config_schema() -> None:
    """Print the JSON schema of the config, for editors."""
    from genome.config.reference import schema

    typer.echo(schema(), nl=False)


@config.command("reference")
def config_reference() -> None:
    """Print the page docs/config.md."""
    from genome.config.reference import reference

    typer.echo(reference(), nl=False)


@config.command("update")
def config_update() -> None:
    """Write both into the project, after a change of the config's models or of a method's settings."""
    from genome.config.reference import write

    for file in write(Path(__file__).parents[2]):
        typer.echo(file)

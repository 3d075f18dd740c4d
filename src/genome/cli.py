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
    population: Annotated[Path, typer.Argument(help="A population.json, or an export's genotype.json.")],
    out: Annotated[Path, typer.Argument(help="The PEFT folder to write; it must not exist.")],
    member: Annotated[str, typer.Option(help="Name of an individual, or `best` for the best ever.")] = "best",
    experts: Annotated[Path, typer.Option(help="Folder of the experts.")] = Path("resources/experts"),
    rank: Annotated[
        int | None, typer.Option(help="Compress a wider adapter (merge_space: product) to this rank.")
    ] = None,
) -> None:
    """Rebuild an individual's adapter bit for bit from a run's population file."""
    from genome.jobs.rebuild import rebuild

    with one_line_errors():
        lost = rebuild(population, member, experts, out, rank)
    note = "" if rank is None else f", at rank {rank} at most: {100 * lost:.2f} % of the update's norm is lost"
    typer.echo(f"{out}: {member} of {population}{note}")


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
    samples_per_second: Annotated[
        float | None, typer.Option(min=0.001, help="Rate for the hours, instead of the measured one.")
    ] = None,
) -> None:
    """Forecast the cost of a run: evaluations, samples, tokens, disk and hours. Nothing is started or fetched."""
    from dataclasses import replace

    from genome.forecast import Rate, describe, forecast, measure
    from genome.forecast.dry_run import read_plan

    with one_line_errors():
        jobs, setting = read_plan(targets or (), configfile or ())
        measured = measure(jobs, setting)
        if samples_per_second:
            measured = replace(measured, rate=Rate(samples_per_second, 0, "as given"))
        text = describe(forecast(jobs, setting, measured)) if jobs else "Nothing to be done."
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

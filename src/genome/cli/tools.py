"""Commands around runs of the workflow: plan, export, log, score."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from genome.cli.errors import one_line_errors


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


def export(
    run: Annotated[str, typer.Argument(help="A run: TASKS/VARIANT\\[/nN]\\[/seedS], its folder in results/runs.")],
    configfile: Annotated[
        list[Path] | None, typer.Option(help="As for Snakemake; repeat it for several files.")
    ] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Jobs side by side; default: one per core.")] = None,
    push: Annotated[str | None, typer.Option(help="Upload it to OWNER/NAME of the hub, a private repository.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Allow a repository that has files already.")] = False,
) -> None:
    """Write a run's best individual as a PEFT folder with a model card; a run that is not finished is made first."""
    from genome.api.running import options_of
    from genome.api.running import run as make
    from genome.workflow.names import RunName

    with one_line_errors():
        name = RunName.parse(run.removeprefix("results/runs/").rstrip("/"))
        folder = Path(f"results/export/{name}")
        if push is not None:
            from genome.api.publishing import check_target

            check_target(push, overwrite=overwrite)
        make(Path(), [str(folder / "README.md")], options_of(cores, None, configfile or ()), lambda *_: None)
        typer.echo(folder)
        if push is not None:
            from genome.api.publishing import push_export

            typer.echo(push_export(folder, push, str(name), public=public))


def log(
    configfile: Annotated[
        list[Path] | None, typer.Option(help="As for Snakemake; repeat it for several files.")
    ] = None,
) -> None:
    """Send the config's trackers (`log`) what the results here have and they do not, after a run without them."""
    from genome.api.sending import send_results

    with one_line_errors():
        sent = send_results(configfile or ())
    for name, number in sent.items():
        typer.echo(f"{name}: {f'news of {number} runs' if number else 'nothing new'}")

"""Commands from a user's rows and experts to an adapter: evolve, init, clean."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from genome.cli.errors import one_line_errors

ROWS = "What rows do not show"
"""The panel of options that say how rows are read."""


def folder_options(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where config, task and all results are; a run there continues.")
    ],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The base model: a folder, a GGUF file, or OWNER/NAME\\[@revision] of the hub."
        ),
    ] = None,
    expert: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADAPTER",
            help="A fine-tune of the base: \\[NAME=]FOLDER or OWNER/NAME\\[@revision]\\[:subfolder]. Repeat it.",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="ROWS",
            help="\\[NAME=]FILE of rows (JSON Lines, CSV, Parquet), a task file, or the name of a known task.",
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="The search, such as genome_plus; default: cma_es.")
    ] = None,
    generations: Annotated[
        int | None,
        typer.Option(min=1, metavar="NUMBER", help="Generations of the search; more of them continue a finished run."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(metavar="AMOUNT", help="What the search may cost, such as '5000 samples'; more continues it."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help="Seed of the search; default: 1.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            help="transformers (default), vllm, the Python of an environment with vLLM, or http://HOST:PORT.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A further key of the config (docs/config.md), such as population_size=20. Repeat it.",
        ),
    ] = None,
    question: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the question.", rich_help_panel=ROWS)
    ] = None,
    answer: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the right answer.", rich_help_panel=ROWS)
    ] = None,
    options: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the options.", rich_help_panel=ROWS)
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="choice, label, number or text.", rich_help_panel=ROWS)
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="Template of the prompt; default: the question, and a line that asks for the answer alone.",
            rich_help_panel=ROWS,
        ),
    ] = None,
) -> None:
    """Have the options of both `evolve` and `init`, which `with_folder_options` gives them."""


def with_folder_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command of `context` and further options with those of `folder_options` in between.

    Typer reads options from the signature, and their values are in the context's `params`.
    """
    context, *own = inspect.signature(command).parameters.values()
    shared = inspect.signature(folder_options).parameters.values()
    parameters = [context, *(each.replace(kind=each.KEYWORD_ONLY) for each in (*shared, *own))]

    def called(context: typer.Context, **given: Any) -> None:
        command(context, **{each.name: given[each.name] for each in own})

    called.__doc__ = command.__doc__
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    called.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    return called


@with_folder_options
def evolve(
    context: typer.Context,
    cores: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Jobs side by side; default: one per core.")
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Profile of Snakemake for this run: profiles/slurm, or your copy of it; default: that of --out.",
        ),
    ] = None,
) -> None:
    """Evolve experts for a task, and say what to use: the adapter, an expert, the base, or a LoRA of the same samples.

    The kind of task follows from its rows. Ctrl-C ends the command, and the same one continues.
    `genome evolve --out FOLDER` runs what is in the folder, after changes of its config too.
    """
    from genome import api

    out = context.params["out"]
    try:
        with one_line_errors():
            found = api.evolve(*_what(context), cores=cores, profile=profile, **_how(context))
    except KeyboardInterrupt:
        again = f" --profile {profile}" if profile else ""
        typer.echo(f"stopped; `genome evolve --out {out}{again}` continues", err=True)
        raise typer.Exit(130) from None
    typer.echo(found)


@with_folder_options
def init(context: typer.Context) -> None:
    """Write a commented config and task, to be read and changed before `genome evolve --out FOLDER` runs them."""
    from genome import api

    with one_line_errors():
        folder = api.init(*_what(context), **_how(context))
    files = sorted(folder.glob("config/tasks/*.yaml"))
    written = " and ".join(map(str, (folder / "config.yaml", *files)))
    typer.echo(f"{written}: read them, then genome evolve --out {context.params['out']}")


def clean(
    folder: Annotated[Path, typer.Argument(help="Folder of `genome evolve`, or a project.")] = Path(),
    yes: Annotated[bool, typer.Option("--yes", help="Delete it; without this, nothing is deleted.")] = False,
) -> None:
    """Say what can be deleted because it can be made again, and how much that frees; with `--yes`, delete it."""
    from genome.api.cleaning import deletable, delete
    from genome.forecast.text import size

    with one_line_errors():
        found = deletable(folder)
        if yes:
            delete(found)
    for each in found:
        typer.echo(f"{each.what}: {len(each.paths)}, {size(each.bytes)}; {each.why}")
    total = size(sum(each.bytes for each in found))
    typer.echo("Nothing to delete." if not found else f"{total} freed." if yes else f"--yes deletes them: {total}.")


def _what(context: typer.Context) -> tuple[Path, str | None, Sequence[str], str | None]:
    """Return the folder, the base, the experts and the task that a command was given."""
    given = context.params
    return given["out"], given["base"], given["expert"] or (), given["task"]


def _how(context: typer.Context) -> Any:
    """Return the options of `genome.api` that a command was given."""
    from genome.api import Options

    given = {name: value for name in Options.__annotations__ if (value := context.params[name]) is not None}
    return given | {"settings": _settings(given.get("settings", ()))}


def _settings(given: Sequence[str]) -> dict[str, Any]:
    """Return keys of a config from KEY=VALUE, with the value in YAML; a key of a section is SECTION.KEY."""
    import yaml

    from genome.config.values import overlay
    from genome.errors import GenomeError

    settings: dict[str, Any] = {}
    for text in given:
        key, found, written = text.partition("=")
        try:
            value = yaml.safe_load(written)
        except yaml.YAMLError:
            found = ""
        if not found or not key:
            raise GenomeError(f"--set {text}: expected KEY=VALUE, such as generations=5")
        for part in reversed(key.split(".")):
            value = {part: value}
        settings = overlay(settings, value)
    return settings

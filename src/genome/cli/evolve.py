"""Commands from a user's rows and experts to an adapter: evolve, init, clean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from genome.cli.errors import one_line_errors

Out = Annotated[Path, typer.Option(help="Folder for the config, the task and all results; it can be resumed.")]
Base = Annotated[
    str | None, typer.Option(help="The base model: a folder, a GGUF file, or OWNER/NAME\\[@revision] of the hub.")
]
Experts = Annotated[
    list[str] | None,
    typer.Option(
        "--expert", help="A fine-tune of the base: \\[NAME=]FOLDER or OWNER/NAME\\[@revision]\\[:subfolder]. Repeat it."
    ),
]
Task = Annotated[
    str | None,
    typer.Option(help="\\[NAME=]FILE of rows (JSON Lines, CSV, Parquet), a task file, or the name of a known task."),
]
Method = Annotated[str | None, typer.Option(help="The search, such as genome_plus; default: cma_es.")]
Budget = Annotated[str | None, typer.Option(help="What the search may cost, such as '5000 samples'.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of the search; default: 1.")]
Engine = Annotated[
    str | None,
    typer.Option(help="transformers (default), vllm, the Python of an environment with vLLM, or http://HOST:PORT."),
]
ROWS = "What rows do not show"
Question = Annotated[str | None, typer.Option(help="Column of the question.", rich_help_panel=ROWS)]
Answer = Annotated[str | None, typer.Option(help="Column of the right answer.", rich_help_panel=ROWS)]
Choices = Annotated[str | None, typer.Option("--options", help="Column of the options.", rich_help_panel=ROWS)]
Kind = Annotated[str | None, typer.Option(help="choice, label, number or text.", rich_help_panel=ROWS)]
Prompt = Annotated[
    str | None,
    typer.Option(
        help="Template of the prompt; default: the question, and a line that asks for the answer alone.",
        rich_help_panel=ROWS,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A further key of the config (docs/config.md): KEY=VALUE, such as generations=5."),
]


def evolve(
    context: typer.Context,
    out: Out,
    base: Base = None,
    expert: Experts = None,
    task: Task = None,
    method: Method = None,
    budget: Budget = None,
    seed: Seed = None,
    engine: Engine = None,
    question: Question = None,
    answer: Answer = None,
    options: Choices = None,
    kind: Kind = None,
    prompt: Prompt = None,
    settings: Settings = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Jobs side by side; default: one per core.")] = None,
) -> None:
    """Evolve experts for a task, and say what to use: the adapter, an expert, the base, or a LoRA of the same samples.

    The kind of task follows from its rows. Ctrl-C ends the command, and the same one continues.
    `genome evolve --out FOLDER` runs what is in the folder, after changes of its config too.
    """
    from genome import api

    try:
        with one_line_errors():
            found = api.evolve(out, base, expert or (), task, cores=cores, **_options(context))
    except KeyboardInterrupt:
        typer.echo(f"stopped; `genome evolve --out {out}` continues", err=True)
        raise typer.Exit(130) from None
    typer.echo(found)


def init(
    context: typer.Context,
    out: Out,
    base: Base = None,
    expert: Experts = None,
    task: Task = None,
    method: Method = None,
    budget: Budget = None,
    seed: Seed = None,
    engine: Engine = None,
    question: Question = None,
    answer: Answer = None,
    options: Choices = None,
    kind: Kind = None,
    prompt: Prompt = None,
    settings: Settings = None,
) -> None:
    """Write a commented config and task, to be read and changed before `genome evolve --out FOLDER` runs them."""
    from genome import api

    with one_line_errors():
        folder = api.init(out, base, expert or (), task, **_options(context))
    files = sorted(folder.glob("config/tasks/*.yaml"))
    typer.echo(f"{' and '.join(map(str, (folder / 'config.yaml', *files)))}: read them, then genome evolve --out {out}")


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


def _options(context: typer.Context) -> Any:
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

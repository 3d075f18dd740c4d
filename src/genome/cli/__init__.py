"""The `genome` command. Each command imports what it needs when it is called, so that `--help` is quick."""

import typer

from genome.cli import config, evolve, experts, tools

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

OWN, EXPERTS, RUNS = "Your experts and your task", "Experts and adapters", "Runs"
"""Panels of `genome --help`."""


@app.callback()
def genome() -> None:
    """Evolve LoRA experts of a language model for a task. `genome evolve` does it in one command.

    Everything is a Snakemake workflow, so `snakemake` makes single runs, tables and figures.
    """


for panel, commands in {
    OWN: {"evolve": evolve.evolve, "init": evolve.init, "clean": evolve.clean},
    EXPERTS: {"import": experts.import_, "materialise": experts.materialise, "gguf": experts.gguf},
    RUNS: {"plan": tools.plan, "export": tools.export, "log": tools.log, "score": tools.score},
}.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)
app.add_typer(config.app, name="config", rich_help_panel=RUNS)

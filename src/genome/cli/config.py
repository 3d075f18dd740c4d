"""Commands that print the reference of the config: config schema, reference, update."""

import typer

app = typer.Typer(help="The reference of the config: every key with its type, default and meaning.")


@app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of the config, for editors."""
    from genome.config.reference import schema

    typer.echo(schema(), nl=False)


@app.command("reference")
def config_reference() -> None:
    """Print the page docs/config.md."""
    from genome.config.reference import reference

    typer.echo(reference(), nl=False)


@app.command("update")
def config_update() -> None:
    """Write both into the project, after a change of the config's models or of a method's settings."""
    from genome.config.reference import write
    from genome.project import project

    for file in write(project()):
        typer.echo(file)

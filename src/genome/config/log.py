"""Where else results go: to experiment trackers, next to the files of the run."""

from typing import Literal

from pydantic import Field

from genome.validation.section import Section, Text

FOLDER = "null: the name of the working folder."


class Mlflow(Section):
    """An MLflow server or store."""

    uri: Text | None = Field(
        None,
        description="The server or store, such as `http://HOST:5000` or `sqlite:///mlflow.db`; null: "
        "MLFLOW_TRACKING_URI, or MLflow's default.",
    )
    experiment: Text | None = Field(None, description=f"The experiment; {FOLDER}")


class Wandb(Section):
    """Weights & Biases."""

    project: Text | None = Field(None, description=f"The project; {FOLDER}")
    entity: Text | None = Field(None, description="The user or team; null: WANDB_ENTITY, or the account's default.")
    mode: Literal["online", "offline"] | None = Field(
        None, description="`offline` writes to `wandb/`, for `wandb sync`; null: WANDB_MODE, or online."
    )


class Trackio(Section):
    """Trackio, which keeps its files on this machine."""

    project: Text | None = Field(None, description=f"The project; {FOLDER}")
    space: Text | None = Field(None, description="A Space of the Hugging Face hub; null: TRACKIO_SPACE_ID, or local.")


class Log(Section):
    """Trackers; several can be given."""

    mlflow: Mlflow | None = Field(None, description="An MLflow server or store; `{}` for its defaults, null for none.")
    wandb: Wandb | None = Field(None, description="Weights & Biases; `{}` for its defaults, null for none.")
    trackio: Trackio | None = Field(None, description="Trackio; `{}` for its defaults, null for none.")

"""Base models, their experts, and how adapters are trained."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, Tag

from genome.tasks.chat_settings import AnyChat
from genome.validation.section import Count, Names, Number, Section, Seed, Text, one_of


class Training(Section):
    """Training (paper, Table 9); the learning rate rises over the warm-up and then falls as a cosine."""

    kind: Literal["lora", "rslora", "dora", "full"] = Field(
        "lora", description="What is trained: an adapter, or the weights of the target modules themselves (`full`)."
    )
    rank: Count = Field(8, description="Rank of the adapter; of a full fine-tune, the rank to which it is reduced.")
    alpha: Count = Field(16, description="Scale of the adapter: alpha / rank, of rslora alpha / sqrt(rank).")
    target_modules: Names = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        description="Linear layers that are changed.",
    )
    learning_rate: Annotated[Number, Field(gt=0)] = Field(2e-4, description="Highest learning rate.")
    warmup_ratio: Annotated[Number, Field(ge=0, le=1)] = Field(0.1, description="Share of the steps that warm up.")
    epochs: Count = Field(5, description="Passes over the corpus.")
    batch_size: Count = Field(32, description="Rows per step.")
    rows_per_pass: Count | None = Field(
        None, description="Rows in memory at once, which does not change the step; null: all rows of a step."
    )
    max_length: int = Field(1024, ge=2, description="Tokens at which a row is cut.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Type of the base's weights; the adapter's are float32."
    )
    threads: Count = Field(1, description="Threads of torch.")
    seed: Seed = Field(0, description="Seed of the order of rows.")
    init_seed: Seed | None = Field(
        0, description="Seed of the adapter's initialisation, which experts share; null: each has its own, by its name."
    )


class GeneratedModel(Section):
    """A base model that the workflow makes."""

    generator: Literal["micro"] = Field(description="The micro suite's model, trained here.")


class LocalModel(Section):
    """A base model in a folder or a GGUF file."""

    path: Text = Field(
        description="A folder with config.json, safetensors weights and a tokenizer, or a GGUF file (NAME.gguf)."
    )


class HubModel(Section):
    """A base model on the Hugging Face hub."""

    hub: Text = Field(description="Repository, OWNER/NAME.")
    revision: Text | None = Field(None, description="Commit, branch or tag.")
    file: Text | None = Field(
        None, description="The GGUF file of the repository to use; null: its config.json and safetensors weights."
    )


Model = Annotated[
    Annotated[GeneratedModel, Tag("<with generator>")]
    | Annotated[HubModel, Tag("<with hub>")]
    | Annotated[LocalModel, Tag("<with path>")],
    one_of("generator", "hub", "path"),
]


class TrainedAdapter(Section):
    """A fine-tune that is trained here."""

    corpus: Text | Names = Field(description="JSON Lines of `prompt` and `response`, one file or several.")
    training: Training | None = Field(None, description="Changes to the base's `training`.")


Rank = Annotated[
    Count,
    Field(
        description="Rank to which changes are reduced that are not products of two small matrices, such as those of a "
        "full fine-tune; a LoRA's rank stays."
    ),
]
Drop = Annotated[
    Names | None,
    Field(
        description="Changes to leave out because they cannot be merged: `embeddings`, `norms`, `biases`, `lm_head`, "
        "`modules_to_save`, or the name of a module; null: refuse them."
    ),
]


class LocalFineTune(Section):
    """A fine-tune in a folder, of any kind that PEFT can turn into changes of linear layers, or a whole model."""

    path: Text = Field(description="A PEFT folder, or the folder of a fully fine-tuned model.")
    rank: Rank = 64
    drop: Drop = None


class HubFineTune(Section):
    """A fine-tune on the Hugging Face hub, of the same kinds."""

    hub: Text = Field(description="Repository, OWNER/NAME.")
    revision: Text | None = Field(None, description="Commit, branch or tag.")
    subfolder: str | None = Field(None, description="Folder of the fine-tune in the repository.")
    rank: Rank = 64
    drop: Drop = None


Adapter = Annotated[
    Annotated[TrainedAdapter, Tag("<with corpus>")]
    | Annotated[HubFineTune, Tag("<with hub>")]
    | Annotated[LocalFineTune, Tag("<with path>")],
    one_of("corpus", "hub", "path"),
]

Choice = dict[str, Annotated[tuple[JsonValue, ...], Field(min_length=1)]]


class Corpus(Section):
    """A hub data set with a column `messages`, of which the first exchange of each row is used."""

    hub: Text = Field(description="Data set, OWNER/NAME.")
    config: Text | None = Field(None, description="Configuration of the data set.")
    split: Text = Field(description="Split of the data set.")
    revision: Text = Field(description="Commit, so that the rows stay the same.")
    path: Text | None = Field(None, description="Its local copy below `data_dir`, if one is given.")
    only: Choice | None = Field(None, description="Use the rows that have one of these values, per column.")
    without: Choice | None = Field(None, description="Leave out the rows that have one of these values, per column.")


class Base(Section):
    """A base model with its experts."""

    model: Model = Field(description="Where the base model is from: one of `generator`, `hub` or `path`.")
    experts: dict[str, Adapter | None] = Field(
        description="Two or more fine-tunes of the base by name, each from a `corpus`, the `hub` or a `path`; null "
        "leaves one out."
    )
    data_merge: Adapter | None = Field(
        None, description="The adapter trained on all experts' data (Data Merge), given like an expert; null for none."
    )
    corpora: dict[str, Corpus] = Field(
        {}, description="Published conversations as training corpora: resources/datasets/corpora/NAME.jsonl."
    )
    training: Training = Field(default_factory=Training.model_construct, description="How adapters are trained.")
    chat: AnyChat = Field(
        None,
        description="How prompts are rendered and where responses end, or `plain` for no template; null: the template "
        "as it is.",
    )

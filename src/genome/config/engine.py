"""The server that answers for the models: one model per backend."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from genome.validation.section import Count, Number, Section, Text, by_value
from genome.validation.words import Words


class Slurm(Section):
    """Options of sbatch for engines that are SLURM jobs."""

    partition: str | int | None = Field(None, description="Partition.")
    account: str | int | None = Field(None, description="Account.")
    gpus: int | str | None = Field(None, description="GPUs of one engine, as a number or as TYPE:NUMBER.")
    cpus: Count | None = Field(None, description="CPUs of one engine.")
    mem_mb: Count | None = Field(None, description="Memory of one engine in MB.")
    runtime: Count | None = Field(
        None, description="Minutes; an engine that reaches its time limit is submitted again."
    )
    extra: str | None = Field(None, description="Further options of sbatch.")


class Engine(Section):
    """What engines of all backends share."""

    batch_size: Count = Field(256, description="Prompts per request.")
    concurrency: Count = Field(64, description="Requests of a job in flight at once.")
    timeout: Annotated[Number, Field(gt=0)] = Field(
        600,
        description="Seconds without any progress before an engine is given up; requests wait while it computes. A "
        "start is given up after this long without a new line in the engine's log, but not before half an hour.",
    )
    replicas: Count = Field(1, description="Engines that share the work if they are SLURM jobs.")
    idle: Annotated[Number, Field(ge=30)] = Field(
        600, description="Seconds after which an engine that is a SLURM job ends if no job needs it."
    )
    per_job: bool = Field(
        False, description="Under SLURM, submit every job that needs an engine with a separate engine."
    )
    slurm: Slurm | None = Field(
        None,
        description="Engines are SLURM jobs, submitted with these options of sbatch (profiles/slurm). A server that "
        "runs already ignores them.",
    )


class Transformers(Engine):
    """The built-in server, for CPUs and small models."""

    backend: Literal["transformers"] = Field("transformers", description="The built-in server.")
    threads: Count = Field(1, description="Threads of torch per worker.")
    workers: Count = Field(1, description="Models that answer in parallel.")
    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(
        None, description="Type of the base model's weights in memory; null: as in its files."
    )
    batch_tokens: Count = Field(
        32768,
        description="Most tokens of prompts and responses in memory at a time, per worker; a longer prompt is alone.",
    )


class Vllm(Engine):
    """vLLM, for GPUs."""

    backend: Literal["vllm"] = Field(description="The server of vLLM, from a separate environment.")
    python: Text = Field(description="Python of an environment that has vLLM (envs/vllm.yaml).")
    max_loras: Count = Field(16, description="Adapters in one step.")
    max_cpu_loras: Count = Field(64, description="Adapters in the host's memory.")
    max_lora_rank: Count | None = Field(
        None,
        description="Highest rank of an adapter; null: the highest that the run needs, which depends on `merge_space`.",
    )
    max_model_len: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Most tokens of prompt and response; null: the model's."
    )
    gpu_memory_utilization: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="Share of a GPU's memory; null: vLLM's default."
    )
    data_parallel_size: Count | None = Field(None, description="Copies of the model; null: one per GPU.")
    batch_invariant: bool = Field(
        False, description="The same answers whatever else runs, at some cost in speed; for GPUs only."
    )
    args: tuple[str | Number, ...] = Field((), description="Further flags of vLLM's server, as on its command line.")
    env: dict[str, str | Number] = Field({}, description="Further environment variables of the server.")


class Url(Engine):
    """A server that runs already."""

    backend: Literal["url"] = Field(description="A vLLM server that runs already.")
    url: Annotated[str, Field(pattern="^https?://"), Words("an address such as http://HOST:PORT")] = Field(
        description="Address of a vLLM server that sees the workflow's folder under the same path.",
    )
    key_variable: str | None = Field(
        "GENOME_API_KEY", description="Environment variable that contains the server's key; null for no key."
    )
    model_name: str = Field("base", description="Name under which the server knows the base model.")


AnyEngine = Annotated[
    Annotated[Transformers, Tag("<backend transformers>")]
    | Annotated[Vllm, Tag("<backend vllm>")]
    | Annotated[Url, Tag("<backend url>")],
    by_value("backend", "transformers", "vllm", "url"),
]

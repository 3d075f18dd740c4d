"""`genome.evolve`, and the commands of the same names: a folder, a run of the workflow in it, and its result.

`folder` writes a config, and a task from a look at its rows (`guess`); `longer` raises its `length`; `running`
runs Snakemake (`runner`) and follows what it says; `progress` shows that, with the time that `remaining` forecasts;
`outcome` reads what came out, and `advice` says what to use; `cleaning` removes what can be made again.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

from genome.api.folder import CONFIG, METHOD, Wanted, named_experts, prepare
from genome.api.length import LENGTH
from genome.api.longer import lengthen
from genome.api.outcome import Evolved, aim_of, outcome
from genome.errors import GenomeError

__all__ = ["METHOD", "Evolved", "Options", "evolve", "init"]

Source = str | Path
"""A folder, or OWNER/NAME[@revision][:subfolder] of the hub."""


class Options(TypedDict, total=False):
    """How experts are evolved; what is not given has the default of the config, or follows from the rows.

    method, seed: the search, and its seed
    generations, budget: how long it searches, and what it may cost, such as "5000 samples"; in a folder that is there,
        more of them continue its run
    engine: `transformers`, `vllm`, the Python of an environment that has vLLM, or the address of a server
    question, answer, options: the columns of rows; kind: choice, label, number or text
    prompt: the template of a prompt, instead of the question and a line that asks for the answer alone
    settings: further keys of the config
    """

    method: str
    generations: int | None
    budget: str | None
    seed: int
    engine: str | None
    question: str | None
    answer: str | None
    options: str | None
    kind: str | None
    prompt: str | None
    settings: Mapping[str, Any]


def init(
    out: str | Path,
    base: Source | None = None,
    experts: Mapping[str, Source] | Iterable[Source] = (),
    task: str | Path | None = None,
    **options: Unpack[Options],
) -> Path:
    """Write the folder `out` that `evolve` would run, and return it; a folder that says the same stays as it is.

    If it says the same but for fewer generations or a smaller budget, these are raised, and its run continues.

    Experts are given by name, or named by their folders. The task is a file of rows (JSON Lines, CSV, Parquet), a task
    file, or the name of a task that comes with GENOME. Without base, experts and task the folder must be there, and
    only generations and budget can be given. GenomeError says in one line what is missing or ambiguous.
    """
    out = Path(out).expanduser()
    if isinstance(experts, Mapping):
        named = {str(name): str(source) for name, source in experts.items()}
    else:
        named = named_experts([str(each) for each in experts])
    if base is None and task is None and not named:
        if any(value for key, value in options.items() if key not in LENGTH):
            raise GenomeError(
                f"{out / CONFIG} says how to search: change it there, or give a base, experts and a task too"
            )
        prepare(out, None)
        more = {key: value for key in LENGTH if (value := options.get(key)) is not None}
    elif base is None or task is None or len(named) < 2:
        raise GenomeError("give a base, two experts or more, and a task: --base, --expert, --expert, --task")
    else:
        more = prepare(out, Wanted(str(base), named, str(task), **options))
    if more:
        lengthen(out, more)
    return out


def evolve(
    out: str | Path,
    base: Source | None = None,
    experts: Mapping[str, Source] | Iterable[Source] = (),
    task: str | Path | None = None,
    *,
    cores: int | None = None,
    profile: str | Path | None = None,
    quiet: bool = False,
    **options: Unpack[Options],
) -> Evolved:
    """Evolve experts of a base model for a task, in the folder `out`, and return what came out.

    The arguments are those of `init`; with `out` alone, what is in that folder is run. An interrupted run continues
    with the same call, and `snakemake` in the folder shows and makes the same. `cores` is how many jobs run side by
    side, by default one per core; `profile` is a folder with Snakemake's options for this call, such as profiles/slurm.
    `quiet` shows no progress. GenomeError says in one line why it could not be done.
    """
    from rich.console import Console

    from genome.api.progress import shown
    from genome.api.remaining import Remaining
    from genome.api.running import options_of, run

    how = options_of(cores, profile, [CONFIG] if profile else ())
    folder = init(out, base, experts, task, **options)
    aim = aim_of(folder)
    with shown(aim, Remaining(folder, cores), Console(stderr=True, quiet=quiet)) as tell:
        run(folder, aim.targets, how, tell)
    return outcome(aim)

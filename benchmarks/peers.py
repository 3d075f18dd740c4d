"""Our baselines next to their authors' code: `python benchmarks/peers.py run PROJECT --clones FOLDER --out FILE`.

PROJECT is a folder of this workflow with a base, experts and prepared prompts. FOLDER has clones of the peers, which
each user fetches: `lorahub` (github.com/sail-sg/lorahub), `model_swarm`
(github.com/BunsenFeng/model_swarm) and `mergekit` (github.com/arcee-ai/mergekit). PEFT is installed. Their code is
executed as it is, on the same adapters, and asks for the same fitness: the metric of the validation samples, by our
engine. What is replaced is listed in the page benchmarks/peers.md. A run adds a line to FILE; those that it has are
left out.

`python benchmarks/peers.py report PROJECT FILE` compares these with the rows that PROJECT has of the same tasks.
"""

import contextlib
import functools
import hashlib
import json
import logging
import multiprocessing
import os
import platform
import random
import runpy
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import torch
import typer
from safetensors.torch import load_file, save_file

from genome.engine.launcher import connect
from genome.engine.owner import current_owner
from genome.engine.state import stop
from genome.files import read_jsonl
from genome.report.markdown import pipe_table
from genome.rng import stream
from genome.scoring.asking import respond
from genome.scoring.intervals import of_difference, of_score
from genome.scoring.manifest import read_manifest
from genome.scoring.results import read_scored_task
from genome.scoring.statistics import Answered, of_answers, read_answers
from genome.tasks import Task
from genome.tasks.scoring import extract, judge
from genome.workflow.reading import read_plan
from genome.workflow.settings import named_task
from genome.yaml_files import read_yaml

ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"
SCALES = [step / 20 for step in range(1, 21)]
"""Factors of task arithmetic, as in our row (Ilharco et al. 2023)."""

Tensors = dict[str, torch.Tensor]


@dataclass
class Judge:
    """Scores PEFT folders on one task, by our engine and our metric; equal adapters are not asked again.

    `asked` counts scored adapters on validation samples, repeats too.
    """

    task: Task
    samples: dict[str, list[dict[str, Any]]]
    engine: Any
    store: Path
    asked: int = 0
    known: dict[tuple[str, str], Answered] = field(default_factory=dict)

    def __call__(self, folder: Path, split: str = "validation") -> Answered:
        """Return the scores of the adapter in a PEFT folder on the samples of a split."""
        self.asked += split == "validation"
        name = hashlib.sha256((folder / CONFIG).read_bytes() + (folder / ADAPTER).read_bytes()).hexdigest()
        if (name, split) not in self.known:
            copy = self.store / name
            if not copy.exists():
                shutil.copytree(folder, copy)
            samples = self.samples[split]
            [[responses]] = respond(self.engine, [copy], [(samples, self.task.max_tokens, self.task.stop)])
            answers = [extract(self.task, sample, text) for sample, text in zip(samples, responses, strict=True)]
            [scores] = judge(self.task, samples, [answers])
            self.known[name, split] = of_answers(self.task, samples, answers, scores.scores)
        return self.known[name, split]


@dataclass(frozen=True)
class Site:
    """What a peer's run needs: the base model's folder, the experts' PEFT folders in our order, and the clones."""

    base: Path
    experts: Sequence[Path]
    clones: Path
    scratch: Path

    def folder(self, name: str, tensors: Tensors, rank: int | None = None) -> Path:
        """Return a new PEFT folder with these tensors and the config of the experts; with `rank`, alpha is the rank."""
        made = self.scratch / name
        made.mkdir(exist_ok=True)
        config = json.loads((self.experts[0] / CONFIG).read_text())
        (made / CONFIG).write_text(json.dumps(config | ({} if rank is None else {"r": rank, "lora_alpha": rank})))
        save_file({key: value.detach().clone().contiguous() for key, value in tensors.items()}, made / ADAPTER)
        return made


def lorahub(site: Site, fitness: Judge, seed: int) -> Path:
    """Return what `lorahub_learning` recommends after 50 steps, with -fitness as `get_loss`."""
    from peft.utils.save_and_load import get_peft_model_state_dict
    from transformers import AutoModelForCausalLM

    algorithm = _module(site.clones / "lorahub", "lorahub.algorithm")
    algorithm.AutoModelForSeq2SeqLM = AutoModelForCausalLM

    def get_loss(dataset: Any, model: Any, batch_size: int | None) -> float:
        return -fitness(site.folder("trial", get_peft_model_state_dict(model))).value

    names = [str(expert) for expert in site.experts]
    weights, *_ = algorithm.lorahub_learning(
        names, ["1"], ["1"], max_inference_step=50, model_name_or_path=str(site.base), get_loss=get_loss, seed=seed
    )
    _, _, cache = algorithm.load_base_model_and_lora_modules(names, str(site.base))
    return site.folder("recommended", algorithm.get_final_weights(weights, names, cache))


class _FinishedError(Exception):
    """The search has ended; what follows in the peer's script is its report."""


class _InTurn:
    """multiprocessing.Pool, in this process: one seed decides all random numbers."""

    def __init__(self, processes: int = 1):
        pass

    def starmap(self, function: Callable[..., Any], arguments: Sequence[Any], chunksize: int = 1) -> list[Any]:
        return [function(*each) for each in arguments]

    def close(self) -> None:
        pass

    join = close


ITERATIONS = 10
SWARM = {"inertia": 0.2, "cognitive_coeff": 0.2, "social_coeff": 0.2, "repel_coeff": 0.1, "max_iteration": ITERATIONS}
"""The weights and the length of GENOME's comparison; everything else is the script's default."""


def model_swarms(site: Site, fitness: Judge, seed: int, *, our_draws: bool = False) -> Path:
    """Return the personal best of the best particle on validation data, as `overall_metrics` chooses it.

    With `our_draws`, the script gets the random numbers of our run with this seed: it has to find the same particles.
    """
    found: list[Path] = []

    def evaluate(path: str, *_: Any, **__: Any) -> float:
        return fitness(Path(path).resolve()).value

    def overall_metrics(name: str, *_: Any) -> None:
        utility = json.loads(Path("search", name, "utility_scratchpad.json").read_text())
        bests = [utility[f"particle_{i}_best"] for i in range(len(site.experts))]
        kept = site.scratch / "swarm"
        shutil.copytree(Path("search", name, f"particle_{bests.index(max(bests))}", "personal_best"), kept)
        found.append(kept)
        raise _FinishedError

    nothing = functools.partial(lambda *_, **__: None)
    stubs = {
        "wandb": {"init": lambda **_: _Settings(), "log": nothing},
        "trl": dict.fromkeys(("SFTConfig", "SFTTrainer", "DataCollatorForCompletionOnlyLM")),
        "evaluate": {
            "evaluate": evaluate,
            "evaluate_test": nothing,
            "update_only_one_or_two": nothing,
            "lora_weight_visualize": nothing,
        },
        "overall_metrics": {"overall_metrics": overall_metrics},
    }
    clone, seeded = site.clones / "model_swarm", random.seed
    work = site.scratch / "work"
    # The script sorts by name; our swarm is sorted by fitness, which decides whose the draws are.
    ordered = sorted(site.experts, key=lambda expert: -fitness(expert).value if our_draws else 0)
    for i, expert in enumerate(ordered):
        shutil.copytree(expert, work / "experts" / f"{i:03}-{expert.name}")
    (work / "search").mkdir()
    arguments = {"name": "peer", "eval_type": "exact_match", "dataset": "ours", "gpus": "0", **SWARM}
    line = [word for key, value in arguments.items() for word in (f"--{key}", str(value))]
    with contextlib.ExitStack() as restored:
        restored.enter_context(_stubs(stubs))
        restored.enter_context(contextlib.chdir(work))
        restored.callback(setattr, random, "seed", seeded)
        restored.callback(setattr, multiprocessing, "Pool", multiprocessing.Pool)
        restored.callback(setattr, torch.multiprocessing, "set_start_method", torch.multiprocessing.set_start_method)
        restored.callback(setattr, sys, "argv", sys.argv)
        restored.callback(sys.path.remove, str(clone))
        restored.enter_context(_root_logger())
        sys.path.insert(0, str(clone))
        sys.argv = ["search.py", *line, "--initial_expert_directory", "experts", "--base_model", str(site.base)]
        multiprocessing.Pool = _InTurn
        torch.multiprocessing.set_start_method = nothing
        random.seed = lambda _: seeded(seed)  # instead of the script's 42
        if our_draws:
            for name, draws in zip(("randint", "uniform"), _our_draws(len(site.experts), seed), strict=True):
                restored.callback(setattr, random, name, getattr(random, name))
                setattr(random, name, functools.partial(lambda found, *_: next(found), draws))
        with contextlib.suppress(_FinishedError):
            runpy.run_path(str(clone / "search.py"), run_name="__main__")
    return found[0]


def _our_draws(n: int, seed: int) -> tuple[Iterator[int], Iterator[float]]:
    """Return the partners of first velocities, and the weights of all steps, of our run with this seed."""
    places = [int(stream(seed, "velocity", i).integers(n - 1)) for i in range(n)]
    steps = range(1, ITERATIONS + 1)
    weights = (r for step in steps for i in range(n) for r in stream(seed, "swarm", step, i).random(4).tolist())
    return iter([place + (place >= i) for i, place in enumerate(places)]), weights


class _Settings:
    """What wandb.init returns, as far as it is used."""

    @property
    def config(self) -> "_Settings":
        return self

    def update(self, _: Any) -> None:
        pass


@contextlib.contextmanager
def _stubs(modules: dict[str, dict[str, Any]]) -> Iterator[None]:
    """Let imports find these modules instead of others of their names."""
    before = {name: sys.modules.get(name) for name in (*modules, "merge")}
    for name, members in modules.items():
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__spec__ = ModuleSpec(name, None)  # transformers asks whether wandb is there
        vars(sys.modules[name]).update(members)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


@contextlib.contextmanager
def _root_logger() -> Iterator[None]:
    """Give the script the root logger that it expects to set up, and take it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def _module(clone: Path, name: str) -> Any:
    """Import a module of a clone."""
    if str(clone) not in sys.path:
        sys.path.insert(0, str(clone))
    return __import__(name, fromlist=["_"])


def peft_merge(kind: str, density: float | None, rank: int | None = None) -> Callable[[Site, Judge, int], Path]:
    """Return the merge by PEFT's `add_weighted_adapter` with weights of 1."""

    def merge(site: Site, fitness: Judge, seed: int) -> Path:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        names = [expert.name for expert in site.experts]
        base = AutoModelForCausalLM.from_pretrained(site.base)
        model = PeftModel.from_pretrained(base, str(site.experts[0]), adapter_name=names[0])
        for expert in site.experts[1:]:
            model.load_adapter(str(expert), adapter_name=expert.name)
        torch.manual_seed(seed)
        model.add_weighted_adapter(names, [1.0] * len(names), "merged", kind, svd_rank=rank, density=density)
        model.save_pretrained(str(site.scratch), selected_adapters=["merged"])
        return site.scratch / "merged"

    return merge


def mergekit_merge(kind: str, weight: float = 1, **parameters: Any) -> Callable[[Site, Judge, int], Path]:
    """Return the merge of whole models by mergekit's `GTATask`, with its defaults for what is not given."""

    def merge(site: Site, fitness: Judge, seed: int) -> Path:
        torch.manual_seed(seed)
        return site.folder(kind, *_mergekit(site, kind, weight, parameters))

    return merge


def task_arithmetic(site: Site, fitness: Judge, seed: int) -> Path:
    """Return mergekit's task arithmetic with the lambda that is best on validation data, the smallest if tied."""
    made = [site.folder(f"scale{scale}", *_mergekit(site, "task_arithmetic", 1, {"lambda": scale})) for scale in SCALES]
    return max(made, key=lambda folder: fitness(folder).value)


def _mergekit(site: Site, kind: str, weight: float, given: dict[str, Any]) -> tuple[Tensors, int]:
    """Return the merged change of each layer as exact factors of full rank, and that rank."""
    graph = _module(site.clones / "mergekit", "mergekit.graph")
    graph.Task.model_config["arbitrary_types_allowed"] = True  # needed with the pydantic of today
    methods = _module(site.clones / "mergekit", "mergekit.merge_methods")
    common = _module(site.clones / "mergekit", "mergekit.common")
    weights = _module(site.clones / "mergekit", "mergekit.architecture").WeightInfo
    tasks = _module(site.clones / "mergekit", "mergekit.merge_methods.generalized_task_arithmetic")
    method = methods.REGISTERED_MERGE_METHODS[kind]
    chosen = {each.name: given.get(each.name, each.default_value) for each in method.parameters()}
    of_tensors = {"weight": weight, "density": given.get("density", 1.0)}
    model = load_file(site.base / "model.safetensors")
    adapters = {expert.name: load_file(expert / ADAPTER) for expert in site.experts}
    config = json.loads((site.experts[0] / CONFIG).read_text())
    scale = config["lora_alpha"] / config["r"]
    base = common.ModelReference.parse("base")
    merged: Tensors = {}
    rank = 0
    for a in [name for name in next(iter(adapters.values())) if name.endswith("lora_A.weight")]:
        layer, b = a.removesuffix(".lora_A.weight"), a.replace("lora_A", "lora_B")
        original = model[layer.removeprefix("base_model.model.") + ".weight"]
        references = {name: common.ModelReference.parse(name) for name in adapters}
        tuned = {references[n]: original + scale * tensors[b] @ tensors[a] for n, tensors in adapters.items()}
        task = tasks.GTATask.model_construct(
            method=method,
            base_model=base,
            tensor_parameters=common.ImmutableMap({each: common.ImmutableMap(of_tensors) for each in tuned}),
            weight_info=weights(name=layer),
            int8_mask=chosen["int8_mask"],
            normalize=chosen["normalize"],
            lambda_=chosen["lambda"],
            rescale_norm=methods.generalized_task_arithmetic.RescaleNorm.l1 if chosen["rescale"] else None,
        )
        u, s, v = torch.linalg.svd(task.execute(tensors={base: original, **tuned}) - original, full_matrices=False)
        merged[a], merged[b], rank = v, u * s, max(rank, len(s))
    return merged, rank


@dataclass(frozen=True)
class Peer:
    """A peer's code, and the row of ours that is the same method; `seeded` if it draws random numbers."""

    run: Callable[[Site, Judge, int], Path]
    ours: str
    seeded: bool = True


PEERS = {
    "Model Swarms, its authors' code": Peer(model_swarms, "{task}/model_swarms/n10/seed{seed}"),
    "Model Swarms, its authors' code, our draws": Peer(
        functools.partial(model_swarms, our_draws=True), "{task}/model_swarms/n10/seed{seed}"
    ),
    "LoraHub, its authors' code": Peer(lorahub, "{task}/lorahub/seed{seed}"),
    "DARE_TIES, PEFT, factors": Peer(peft_merge("dare_ties", 0.7), "static/dare_ties-factors/seed{seed}"),
    "DARE_TIES, PEFT, updates": Peer(peft_merge("dare_ties_svd", 0.7, 64), "static/dare_ties/seed{seed}"),
    "DARE_TIES, mergekit, normalised": Peer(
        mergekit_merge("dare_ties", density=0.7, normalize=True), "static/dare_ties/seed{seed}"
    ),
    "DARE_TIES, mergekit, weights 1/n": Peer(
        mergekit_merge("dare_ties", weight=0.1, density=0.7), "static/dare_ties/seed{seed}"
    ),
    "TIES, PEFT, updates": Peer(peft_merge("ties_svd", 0.2, 64), "static/ties", seeded=False),
    "TIES, PEFT, factors": Peer(peft_merge("ties", 0.2), "static/ties", seeded=False),
    "TIES, mergekit": Peer(mergekit_merge("ties", density=0.2), "static/ties", seeded=False),
    "Task arithmetic, mergekit": Peer(task_arithmetic, "{task}/task_arithmetic", seeded=False),
}

app = typer.Typer(add_completion=False, help=__doc__)
Project = Annotated[Path, typer.Argument(help="A folder of the workflow, with results.")]


def _definition(name: str) -> Any:
    """Return the definition of a task of the project in this folder."""
    plan = read_plan(read_yaml(Path("config.yaml")), ".", [], check_sources=False)
    return named_task(plan, name)[1]


@app.command()
def run(
    project: Project,
    clones: Annotated[Path, typer.Option(help="The folder of the clones.")],
    out: Annotated[Path, typer.Option(help="File of the results, a line per run.")],
    task: Annotated[list[str], typer.Option(help="A task; can be repeated.")],
    seed: Annotated[list[int], typer.Option(help="A seed; can be repeated.")],
    only: Annotated[str, typer.Option(help="Part of the names of the peers to run.")] = "",
) -> None:
    """Run the peers' code; a line of FILE has the scores of each test sample."""
    clones, out = clones.resolve(), out.resolve()
    done = {(row["peer"], row["task"], row["seed"]) for row in read_jsonl(out)} if out.exists() else set()
    os.chdir(project)
    base = Path("resources/models/micro").resolve()
    experts = [Path(file).with_suffix("").resolve() for file, _ in read_manifest("results/experts/micro.json").files]
    engine = connect({"backend": "transformers", "batch_size": 256}, base, 80)
    try:
        for name in task:
            prompts = Path("results/prompts/micro", name)
            read = {
                split: read_scored_task(name, _definition(name), base, prompts / f"{split}.jsonl")
                for split in ("validation", "test")
            }
            for (label, peer), each in ((x, s) for s in seed for x in PEERS.items()):
                if only not in label or (label, name, each) in done or (not peer.seeded and each != seed[0]):
                    continue
                with tempfile.TemporaryDirectory() as store:
                    (Path(store) / "scratch").mkdir()
                    site = Site(base, experts, clones, Path(store) / "scratch")
                    fitness = Judge(read["test"][0], {k: v for k, (_, v) in read.items()}, engine, Path(store))
                    started = time.perf_counter()
                    found = peer.run(site, fitness, each)
                    asked, tested = fitness.asked, fitness(found, "test")
                    row = {
                        "peer": label,
                        "task": name,
                        "seed": each,
                        "evaluations": asked,
                        "seconds": round(time.perf_counter() - started, 1),
                        "validation": fitness(found).value,
                        "test": tested.value,
                        "metric": tested.metric,
                        "samples": tested.samples,
                        "scores": tested.scores,
                        "columns": [column.tolist() for column in tested.columns],
                    }
                with out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{label}, {name}, seed {each}: {100 * row['test']:.2f}", flush=True)
    finally:
        stop(current_owner().token)


@app.command()
def report(project: Project, results: Annotated[Path, typer.Argument(help="The file of `run`.")]) -> None:
    """Print a table of the peers' scores and ours, on the tests that both have."""
    rows, table = read_jsonl(results), []
    for (label, peer), name in ((x, t) for x in PEERS.items() for t in dict.fromkeys(row["task"] for row in rows)):
        theirs = [row for row in rows if (row["peer"], row["task"]) == (label, name)]
        pattern = peer.ours.format(task=name, seed="*")
        files = sorted((project / "results/test" / name).glob(f"{pattern}/answers.jsonl"))
        if not theirs or not files:
            continue
        ours = [read_answers(file, theirs[0]["metric"])["best"] for file in files]
        peers = [_answered(row) for row in theirs]
        own, difference = of_score(ours), of_difference(*_paired(ours, peers))
        mean = float(np.mean([each.value for each in peers]))
        interval, gap = own.interval, difference.interval
        table.append(
            [
                label,
                name,
                _spread([each.value for each in peers]),
                _spread([each.value for each in ours]),
                f"{100 * difference.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]",
                f"{100 * interval.low:.1f} to {100 * interval.high:.1f}",
                "yes" if interval.low <= mean <= interval.high else "**no**",
                f"{len(theirs)} / {len(ours)}",
            ]
        )
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    heading = ["peer", "task", "theirs", "ours", "ours − theirs", "interval of ours", "theirs in it", "runs"]
    print(pipe_table(table, heading))


def _answered(row: dict[str, Any]) -> Answered:
    columns = tuple(np.array(column) for column in row["columns"])
    return Answered(row["metric"], tuple(row["samples"]), tuple(row["scores"]), columns)


def _paired(ours: Sequence[Answered], theirs: Sequence[Answered]) -> tuple[Sequence[Answered], Sequence[Answered]]:
    """Return as many runs of both; a single run is compared with all of the other side."""
    size = min(len(ours), len(theirs))
    return (ours, theirs) if size == 1 else (ours[:size], theirs[:size])


def _spread(values: Sequence[float]) -> str:
    mean, low, high = (100 * f(values) for f in (np.mean, min, max))
    return f"{mean:.1f}" if len(values) == 1 else f"{mean:.1f} ({low:.1f}–{high:.1f})"


if __name__ == "__main__":
    app()

"""Entry points for users' files: each door has good input, a function that reads it, and the files to damage.

`given/` contains a user's input or files between two stages; the stage writes to `out/`. A door's `enter` runs in the
folder of its case and returns the result as JSON values, to be compared with the result of the good input.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import load_file, save_file

from builders import (
    fake_experts,
    initial_population,
    next_generation,
    paper_settings,
    write_adapter,
    write_base,
    write_expert,
)
from fuzz.mutations import DAMAGE, FATAL, FILES, JSON_FILE, JSON_LINES, SAFETENSORS, TEXT, YAML_FILE, Mutation
from genome.config.check import check_files, check_paths, read_config, read_task_files
from genome.experts.adapter_files import CONFIG, WEIGHTS
from genome.experts.base_model import fetch_base
from genome.experts.corpora import read_corpus
from genome.experts.expert import ENDING, read_expert
from genome.files import read_json, write_json, write_jsonl, write_text
from genome.genotype import mixture
from genome.jobs.data import split
from genome.jobs.evaluation import score_test
from genome.jobs.experts import check_experts, import_adapter
from genome.jobs.rebuild import rebuild
from genome.lora.materialise import materialise
from genome.report import comparison
from genome.scoring.responses import find_task, score_responses
from genome.search.driver import score_experts
from genome.search.population import Fitness
from genome.search.records import read_population, write_population
from genome.tasks import parse_task
from genome.tasks.prompts import columns, place_row, prepare, sample
from genome.tasks.scoring import extract
from genome.yaml_files import read_yaml

GIVEN, OUT = Path("given"), Path("out")


@dataclass(frozen=True)
class Door:
    """`build` makes good input under `given/`; `enter` reads it; `damaged` has its files and their mutations."""

    build: Callable[[], None]
    enter: Callable[[], Any]
    damaged: dict[str, Sequence[Mutation]]
    names: tuple[str, ...] = ()
    """Texts that an error may contain instead of the damaged file's name."""
    repeats: bool = True
    """Whether random mutations are repeated."""
    libraries: tuple[str, ...] = ()
    """Modules that are slow to import, imported once for all cases."""


def digest(folder: Path) -> dict[str, Any]:
    """Return a PEFT folder's rounded tensors and its form, for comparison."""
    form = read_json(folder / CONFIG)
    tensors = {name: np.round(values.astype(float), 5).tolist() for name, values in load_file(folder / WEIGHTS).items()}
    return {"tensors": tensors, "r": form["r"], "alpha": form["lora_alpha"]}


# Adapters that a user gives by `path`.


def build_adapters() -> None:
    """Two adapters as PEFT writes them, and their base."""
    write_base(GIVEN / "base")
    for seed, name in enumerate(("one", "two")):
        write_adapter(GIVEN / name, seed)


def headers(mutations: Sequence[Mutation]) -> list[Mutation]:
    """Return mutations of the header of a file whose weights are not read: a base's, by the import of LoRA adapters."""
    return [each for each in mutations if "in a weight" not in each.name]


def enter_adapters() -> Any:
    """Import both, check them as a set, and write their mean."""
    files = [OUT / f"{name}{ENDING}" for name in ("one", "two")]
    for file in files:
        source = {"path": str(GIVEN / file.stem)}
        import_adapter(json.dumps({"version": 1, "source": source}), str(GIVEN / "base"), str(file))
    check_experts("{}", str(GIVEN / "base"), [str(file) for file in files], OUT / "experts.json")
    experts = [read_expert(file) for file in files]
    materialise([mixture([0.5, 0.5])], experts, [OUT / "mean"])
    mean, whole = digest(OUT / "mean"), [load_file(GIVEN / name / WEIGHTS) for name in ("one", "two")]
    for name, values in mean["tensors"].items():
        expected = sum(0.5 * tensors[name].astype(float) for tensors in whole)
        assert np.allclose(values, expected, rtol=1e-3, atol=1e-4), f"{name} is not the mean of what was given"
    return mean


# Experts between two stages.


def build_experts() -> None:
    """Two experts as the workflow stores them."""
    for seed, name in enumerate(("one", "two")):
        write_expert(GIVEN / name, seed)


def enter_experts() -> Any:
    """Check them as a set."""
    files = [str(GIVEN / f"{name}{ENDING}") for name in ("one", "two")]
    check_experts("{}", "tiny", files, OUT / "experts.json")
    return read_json(OUT / "experts.json")


# A user's task and its rows.

TASK = """\
kind: choice
metric: accuracy
category: Mine
source: {path: given/rows.jsonl}
prompt: |
  {{ question }}
  {{ options | listed }}
reference: answer
options: choices
max_tokens: 8
"""
ROWS = [
    {
        "question": f"Which of these is number {i}?",
        "choices": [f"a{i}", f"b{i}", f"c{i}"],
        "answer": "ABC"[i % 3],
        "remark": {"by": "me", "note": None},
    }
    for i in range(12)
]


def build_task() -> None:
    """A task file and its rows."""
    write_text(GIVEN / "mine.yaml", TASK)
    write_jsonl(GIVEN / "rows.jsonl", ROWS)


def enter_task() -> Any:
    """Read the task, draw its samples, and score a few answers."""
    task = find_task(str(GIVEN / "mine.yaml"))
    columns(task)
    settings = {"version": 1, "task": [task.name, read_yaml(GIVEN / "mine.yaml")]}
    settings |= {"validation": 4, "test": 4, "seed": 42}
    out = [str(OUT / name) for name in ("validation.jsonl", "test.jsonl", "provenance.json")]
    split(json.dumps(settings), None, *out)
    drawn = [json.loads(line) for name in out[:2] for line in Path(name).read_text().splitlines()]
    samples = [sample(task, row) for row in drawn]
    answers = [extract(task, one, f"Well.\nAnswer: {letter}") for one, letter in zip(samples, "ABCABCAB", strict=True)]
    for one in samples:
        assert "None" not in one["prompt"], "the word None in a prompt"
        assert "nan" not in one["prompt"], "the word nan in a prompt"
    return {"samples": samples, "answers": answers}


# Training corpora.


def build_corpus() -> None:
    """Published conversations in a user's file."""
    rows = [
        {
            "dataset": "mine",
            "messages": [{"role": "user", "content": f"Say {i}."}, {"role": "assistant", "content": f"{i}!"}],
        }
        for i in range(6)
    ]
    write_jsonl(GIVEN / "talks.jsonl", rows)


def enter_corpus() -> Any:
    """Read the corpus as for training."""
    rows, empty = read_corpus({"path": str(GIVEN / "talks.jsonl"), "only": {"dataset": ["mine"]}})
    write_jsonl(OUT / "corpus.jsonl", rows)
    return [rows, empty]


# Responses of a user's model.


def build_responses() -> None:
    """Rows and responses in one file."""
    lines = [{"sample": row, "response": f"It is so.\nAnswer: {'ABC'[i % 2]}"} for i, row in enumerate(ROWS)]
    write_text(GIVEN / "mine.yaml", TASK)
    write_jsonl(GIVEN / "responses.jsonl", lines)


def enter_responses() -> Any:
    """Run `genome score`."""
    task = find_task(str(GIVEN / "mine.yaml"))
    return score_responses(task, GIVEN / "responses.jsonl", {"metric": "chrf"}, OUT / "details.jsonl")


# A run between two generations.

EXPERTS = fake_experts(3)


def evaluate(individuals: Sequence[Any]) -> list[Fitness]:
    """Score individuals by their coefficients only."""
    values = [float(np.exp(-np.sum((np.array(x.genotype.coefficients) - 0.4) ** 2))) for x in individuals]
    return [Fitness(value, {"t": value}) for value in values]


def build_population() -> None:
    """A run of GENOME+ after two generations, and its experts."""
    settings = paper_settings("genome_plus")
    experts = [write_expert(GIVEN / "experts" / f"e{i}", i) for i in range(3)]
    scored = score_experts(experts, evaluate)
    population = initial_population(experts, scored, settings, 4, 1, evaluate)
    for _ in range(2):
        population = next_generation(population, settings, 1, experts, evaluate)
    write_population(GIVEN / "population.json", population, experts)


def enter_population() -> Any:
    """Rebuild the best individual and continue for one generation."""
    experts = [read_expert(file) for file in sorted((GIVEN / "experts").iterdir())]
    population = read_population(GIVEN / "population.json")
    rebuild(GIVEN / "population.json", "best", GIVEN / "experts", OUT / "best")
    following = next_generation(population, paper_settings("genome_plus"), 1, experts, evaluate)
    write_population(OUT / "population.json", following, experts)
    written = read_json(OUT / "population.json")
    return {"best": digest(OUT / "best"), "following": written["members"], "ever": written["best"]}


# A run's answers to a test.

ANSWERED = ("prompts.jsonl", "responses.jsonl", "responses.json")
ENGINE = {"backend": "transformers", "version": "1", "dtype": "float32"}


def build_test() -> None:
    """Prepared prompts and the responses of a run's best and three members."""
    task = parse_task("mine", _task())
    samples = [{**sample(task, {"id": f"mine-{i}", **row}), "tokens": [1, 2]} for i, row in enumerate(ROWS)]
    roles = {"best": "g2-a", "member1": "g2-a", "member2": "g2-b", "member3": "g2-c"}
    rows = [
        {
            "role": role,
            "individual": name,
            "sample": one["id"],
            "response": f"Answer: {'ABC'[(i + ord(name[-1]) - ord('a')) % 3]}",
        }
        for role, name in roles.items()
        for i, one in enumerate(samples)
    ]
    write_jsonl(GIVEN / "prompts.jsonl", samples)
    write_jsonl(GIVEN / "responses.jsonl", rows)
    experts = [{"name": each.name, "sha256": each.sha256} for each in fake_experts(3)]
    write_json(GIVEN / "responses.json", {"engine": ENGINE, "experts": experts, "versions": {}, "members": 3})


def _task() -> dict[str, Any]:
    return yaml.safe_load(TASK)


def enter_test() -> Any:
    """Score them."""
    run = {"method": "m", "tasks": "mine", "seed": 1, "population_size": 4, "run": "results/runs/mine/m/n4/seed1"}
    settings = {"task": ["mine", _task()], "similarity": {"metric": "chrf"}, "k": 3, "run": run}
    files = [str(GIVEN / name) for name in ANSWERED]
    score_test(json.dumps(settings), "base", *files, str(OUT / "scores.json"), str(OUT / "answers.jsonl"))
    return read_json(OUT / "scores.json")


# Scores for a table.


def build_scores() -> None:
    """Two methods' scores of one task, with their answers."""
    build_test()
    OUT.mkdir()
    for method in ("best_single", "genome"):
        run = {"method": method, "tasks": "mine", "seed": 1, "population_size": 4, "run": f"given/runs/mine/{method}"}
        settings = {"task": ["mine", _task()], "similarity": {"metric": "chrf"}, "k": 0, "run": run}
        files = [str(GIVEN / name) for name in ANSWERED]
        folder = GIVEN / f"test/mine/mine/{method}"
        score_test(json.dumps(settings), "base", *files, str(folder / "scores.json"), str(folder / "answers.jsonl"))
    for name in ANSWERED:
        (GIVEN / name).unlink()
    OUT.rmdir()


def enter_scores() -> Any:
    """Compare them in a table."""
    names = ("best_single", "genome")
    methods = [{**dict.fromkeys(("name", "variant", "label", "shown"), name), "report": "best", "group": "paper"}
               for name in names]  # fmt: skip
    columns = [{"name": "mine", "tasks": "mine", "test_task": "mine", "metric": "accuracy"}]
    settings = {"table": "table2", "methods": methods, "columns": columns, "seeds": [1]}
    files = [str(GIVEN / f"test/mine/mine/{method}/scores.json") for method in names]
    outputs = {"table": "table.csv", "markdown": "table.md", "scores": "scores.csv", "uncertainty": "uncertainty.csv"}
    out = {output: str(OUT / name) for output, name in outputs.items()}
    comparison.write(settings, {"scores": files}, out)
    return [Path(path).read_text() for path in out.values()]


# A config.

PROJECT = Path(__file__).parent.parent.parent


def build_config() -> None:
    """The project's config, and a user's overlay."""
    config = read_yaml(PROJECT / "config.yaml")
    config["tasks"] = {"mine": _task()}
    config["weights"] = {"sums": 2}
    write_json(GIVEN / "config.json", config)
    write_jsonl(GIVEN / "rows.jsonl", ROWS)


def enter_config() -> Any:
    """Read and check it as the workflow does at its start."""
    check_files([GIVEN / "config.json"])
    config = read_yaml(GIVEN / "config.json")
    tasks = read_task_files(PROJECT / "config/tasks")
    check_paths(read_config(config, tasks), tasks)
    return sorted(config)


# A base model's folder.


def unmarked(mutations: Sequence[Mutation]) -> list[Mutation]:
    """Return mutations of a file that transformers reads too, which does not accept a byte order mark."""
    return [replace(each, effect=FATAL) if each.name == "a byte order mark" else each for each in mutations]


def build_base() -> None:
    """The files of a base model that fetching and tokenising read; its weights are not checked here."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1} | {f"w{i}": i for i in range(2, 20)}, "<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")
    tokenizer.chat_template = "{% for m in messages %}w2 {{ m.content }} w3{% endfor %}"
    tokenizer.save_pretrained(GIVEN / "base")
    write_text(GIVEN / "base/chat_template.jinja", tokenizer.chat_template)
    write_json(GIVEN / "base/config.json", {"model_type": "llama", "max_position_embeddings": 64})
    save_file({"w": np.zeros(2, "f4")}, GIVEN / "base/model.safetensors")


def enter_base() -> Any:
    """Fetch the base and tokenise a prompt."""
    fetch_base({"path": str(GIVEN / "base")}, OUT / "base")
    return prepare(parse_task("mine", _task()), [place_row(ROWS[0], "mine-0")], OUT / "base")


DOORS: dict[str, Door] = {
    "adapters": Door(
        build_adapters,
        enter_adapters,
        {
            f"given/one/{CONFIG}": JSON_FILE,
            f"given/one/{WEIGHTS}": SAFETENSORS,
            "given/base/model.safetensors": headers(SAFETENSORS),
        },
        ("given/one", "one", "given/base"),
    ),
    "experts": Door(
        build_experts,
        enter_experts,
        {f"given/one{ENDING}": SAFETENSORS},
        ("given/one", "one"),
    ),
    "tasks": Door(build_task, enter_task, {"given/mine.yaml": YAML_FILE}, ("mine",)),
    "rows": Door(build_task, enter_task, {"given/rows.jsonl": JSON_LINES}, ("mine",)),
    "corpora": Door(build_corpus, enter_corpus, {"given/talks.jsonl": JSON_LINES}, ("talks",)),
    "scored responses": Door(
        build_responses, enter_responses, {"given/responses.jsonl": JSON_LINES, "given/mine.yaml": YAML_FILE}, ("mine",)
    ),
    "populations": Door(build_population, enter_population, {"given/population.json": JSON_FILE}),
    "test responses": Door(
        build_test,
        enter_test,
        {
            "given/responses.jsonl": JSON_LINES,
            "given/prompts.jsonl": JSON_LINES,
            "given/responses.json": JSON_FILE,
        },
        ("given/responses.jsonl",),
    ),
    "configs": Door(build_config, enter_config, {"given/config.json": JSON_FILE}, ("config",)),
    "bases": Door(
        build_base,
        enter_base,
        {
            "given/base/config.json": unmarked(JSON_FILE),
            "given/base/tokenizer.json": (*FILES, *DAMAGE),
            "given/base/tokenizer_config.json": unmarked(JSON_FILE[1:]),  # tokenizer.json is enough
            "given/base/chat_template.jinja": unmarked((*FILES[1:], *DAMAGE, *TEXT)),
        },
        ("given/base", "out/base"),
        False,
        ("transformers.models.auto.tokenization_auto", "transformers.tokenization_utils_tokenizers"),
    ),
    "scores": Door(
        build_scores,
        enter_scores,
        {"given/test/mine/mine/genome/scores.json": JSON_FILE, "given/test/mine/mine/genome/answers.jsonl": JSON_LINES},
        ("given/test/mine/mine/genome",),
    ),
}

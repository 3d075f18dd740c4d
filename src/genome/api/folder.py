"""A user's folder: a config, a task and a Snakefile, so that plain `snakemake` makes and shows everything in it.

config.yaml            laid over the defaults
config/tasks/NAME.yaml the task, if it is the user's own
profiles/default/      the options of `snakemake`, one of which names config.yaml
Snakefile              includes the workflow
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from genome.api.guess import Said, guess_task
from genome.api.length import LENGTH, check_length, length_in, of_length
from genome.config.anchors import anchored, map_paths
from genome.config.check import check_present, read_config, read_task_files
from genome.config.values import overlay
from genome.errors import GenomeError, nearest
from genome.files import is_file, write_text
from genome.jobs.importing import expert_names, parse_source
from genome.project import SNAKEFILE, TASKS, project
from genome.search.methods import METHODS
from genome.tasks.file import check_task
from genome.tasks.harness_file import is_harness
from genome.tasks.row_files import read_rows
from genome.tasks.sources import is_published
from genome.yaml_files import read_yaml

CONFIG = "config.yaml"
PROFILE = "profiles/default/config.yaml"
BASE = "own"
"""The name of the user's base in the config."""

METHOD = "cma_es"
"""The search if none is named: it scores higher than GENOME+ with fewer samples (docs/results.md)."""

CONTROLS = ("base", "best_single", "validation_lora")
"""What a search is compared with: what there is without one."""

VALIDATION, TEST = 200, 1000
"""Samples that choose, and samples that report, if there are enough rows."""

SEARCHING = ("generation", "baseline")
"""Stages of methods whose result is a mixture of experts."""

VLLM = Path(".vllm/bin/python")
"""The Python of `--engine vllm`."""

NAMED = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)=(.+)")
"""A source with a name: NAME=SOURCE."""

INCLUDING = """# The workflow on config.yaml: `snakemake -n` shows what is left, `snakemake --cores all` makes tables.

from genome.project import snakefile


include: snakefile()


rule tables:
    default_target: True  # that of a Snakefile that is included does not count
    input:
        inputs.everything,
    localrule: True
"""

COMMENTS = {
    "base": "What is evolved: an entry of `bases`.",
    "bases": "Base model and experts: {path: FOLDER} or {hub: OWNER/NAME, revision: COMMIT}. Paths start here.",
    "seeds": "With several seeds, tables show means; the adapter is that of the first.",
    "population_size": "Candidates of a generation (N), and generations (K). More of both search longer.",
    "splits": "Samples that choose, and samples that report. The more choose, the less does luck.",
    "adapters": "Which generations keep adapters: all, final or none; `genome materialise` rebuilds any of them.",
    "methods": "One adapter is handed out, not an ensemble. A `budget` is what a run may cost.",
    "engine": "The server that answers for the models.",
    "table1": "What `snakemake --cores all` shows. The last variant is the search whose adapter is exported.",
}
"""What is said above the keys of a config."""


@dataclass(frozen=True)
class Wanted:
    """What a user wants: a base, experts by name (by number if they have none) and a task, and how to search.

    base, experts: folders, or OWNER/NAME[@revision][:subfolder] of the hub
    task: a file of rows, a task file, or the name of a task
    generations: of the search; None: the default of the config
    question, answer, options, kind, prompt: what rows do not show, as in `Said`
    engine: a backend, the address of a server, or the Python of an environment that has vLLM
    settings: further keys of the config, laid over all others
    """

    base: str
    experts: Mapping[str, str]
    task: str
    method: str = METHOD
    generations: int | None = None
    budget: str | None = None
    seed: int = 1
    engine: str | None = None
    question: str | None = None
    answer: str | None = None
    options: str | None = None
    kind: str | None = None
    prompt: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def said(self) -> Said:
        """What is said of the rows."""
        return Said(self.question, self.answer, self.options, self.kind, self.prompt)


def named_experts(given: Sequence[str]) -> dict[str, str]:
    """Return experts by name from `NAME=SOURCE` or `SOURCE`, which has the name of its folder."""
    pairs = [NAMED.fullmatch(text) for text in given]
    sources = [found[2] if found else text for found, text in zip(pairs, given, strict=True)]
    guessed = [re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".-") or "expert" for name in expert_names(sources)]
    names = [found[1] if found else name for found, name in zip(pairs, guessed, strict=True)]
    for name in names:
        if names.count(name) > 1:
            raise GenomeError(f"two experts are named {name!r}; name one of them: --expert NAME=SOURCE")
    return dict(zip(names, sources, strict=True))


def prepare(out: Path, wanted: Wanted | None) -> dict[str, Any]:
    """Write a user's folder; without a wish, the folder must be there already.

    A config that is there stays as it is. Return what is wanted of `LENGTH` if it says the same but for this.
    GenomeError if it says something else than what is wanted, if a config or a task would not be valid, or if the
    folder has files of other programs.
    """
    config = out / CONFIG
    if wanted is None:
        if not is_file(out / SNAKEFILE) or not is_file(config):
            raise GenomeError(f"{out}: no {CONFIG} and {SNAKEFILE} of `genome init`; give --base, --expert and --task")
        return {}
    files = contents(out, wanted)
    if is_file(config):
        now = {name: _says(out / name) for name in files}
        then = {name: yaml.safe_load(text) for name, text in files.items()}
        other = [name for name in files if now[name] != then[name]]
        method = _method(wanted.method, read_yaml(project() / CONFIG)["variants"])
        length = length_in(then[CONFIG], method)
        if other == [CONFIG] and overlay(now[CONFIG], of_length(length, method)) == then[CONFIG]:
            return dict(length.items() - length_in(now[CONFIG], method).items())
        if other:
            raise GenomeError(
                f"{out / other[0]} is there and says something else than these options; change the file and call "
                f"`genome evolve --out {out}` alone, or choose another --out"
            )
        return {}
    if is_file(out / SNAKEFILE):
        raise GenomeError(f"{out}: it has a Snakefile of another workflow; choose another --out")
    for name, text in {**files, PROFILE: _profile(), SNAKEFILE: INCLUDING}.items():
        write_text(out / name, text)
    return {}


def contents(out: Path, wanted: Wanted) -> dict[str, str]:
    """Return the texts of a folder's config and, if it is the user's own, task, by their names."""
    name, definition, task_text, rows = _task(out, wanted)
    defaults = read_yaml(project() / CONFIG)
    config = _config(out, wanted, name, rows, defaults)
    tasks = read_task_files(project() / TASKS) | ({name: _placed(out, definition)} if definition else {})
    # Refuses what is not valid. Whether a run in `out` would write over what is named, it sees itself.
    check_present(read_config(_placed(out, overlay(defaults, config)), tasks), tasks)
    return {CONFIG: _commented(config), **({f"{TASKS}/{name}.yaml": task_text} if definition else {})}


def _config(out: Path, wanted: Wanted, task: str, rows: int | None, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a folder; `rows` is how many samples the task has, None if that is not known."""
    method = _method(wanted.method, defaults["variants"])
    length = {key: value for key in LENGTH if (value := getattr(wanted, key)) is not None}
    check_length(length, method)
    experts = {name: _source(out, text) for name, text in wanted.experts.items()}
    suite = {"model": _source(out, wanted.base), "experts": experts}
    validation = VALIDATION if rows is None else min(VALIDATION, rows // 2)
    enough = rows is None or rows >= validation + TEST
    config: dict[str, Any] = {
        "base": BASE,
        "bases": {**dict.fromkeys(defaults["bases"]), BASE: suite},
        "seeds": [wanted.seed],
        "population_size": defaults["population_size"],
        "generations": defaults["generations"],
        "splits": {"validation": validation, "test": TEST if enough else "rest"},
        "adapters": "none",
        **({"methods": {method: {"ensemble": False}}} if "ensemble" in _settings(method) else {}),
        **({"engine": _engine(wanted.engine)} if wanted.engine else {}),
        "table1": {"tasks": [task]},
        "table2": {"tasks": [task], "variants": [*CONTROLS, wanted.method]},
        "all": ["table1", "table2"],
    }
    return overlay(overlay(config, of_length(length, method)), wanted.settings)


def _method(variant: str, variants: Mapping[str, Any]) -> str:
    """Return the method of a variant; GenomeError unless it searches for a mixture of experts."""
    known = {name: name for name in METHODS} | {name: changes["method"] for name, changes in variants.items()}
    searching = [name for name, method in known.items() if METHODS[method].stage in SEARCHING and name not in CONTROLS]
    if variant not in searching:
        raise GenomeError(f"--method {variant}: not a search for a mixture of experts; {nearest(variant, searching)}")
    return known[variant]


def _settings(method: str) -> Mapping[str, Any]:
    return vars(METHODS[method].settings())


def _engine(text: str) -> dict[str, Any]:
    """Return the engine that one word names: a backend, an address, or the Python of vLLM's environment."""
    if re.match("https?://", text):
        return {"backend": "url", "url": text}
    python = Path(VLLM if text == "vllm" else text).expanduser()
    if text == "transformers":
        return {"backend": text}
    if not is_file(python):
        made = f" make its environment, conda env create -f envs/vllm.yaml -p {VLLM.parent.parent}, or"
        raise GenomeError(
            f"--engine {text}: no file {python};{made if text == 'vllm' else ''} give `transformers`, "
            "http://HOST:PORT, or the Python of an environment that has vLLM (docs/engines.md)"
        )
    return {"backend": "vllm", "python": str(python.absolute())}


def _source(out: Path, text: str) -> dict[str, Any]:
    """Return a source as a config names it."""
    source = parse_source(text)
    return {**source, "path": _path(out, source["path"])} if "path" in source else source


def _path(out: Path, path: str | Path) -> str:
    """Return a path as a file in `out` names it: relative if it is inside, otherwise absolute."""
    whole = Path(path).expanduser().absolute()
    return str(whole.relative_to(out.absolute()) if whole.is_relative_to(out.absolute()) else whole)


def _placed(out: Path, value: Any) -> Any:
    """Return what a file in `out` says with the paths that a run there would read."""
    return map_paths(value, lambda _, path: str(out.absolute() / path))


def _task(out: Path, wanted: Wanted) -> tuple[str, dict[str, Any] | None, str, int | None]:
    """Return a task's name; if it is the user's own, its definition and the text of its file; and its rows if known."""
    named = NAMED.fullmatch(wanted.task)
    file = Path(named[2] if named else wanted.task).expanduser()
    known = sorted(path.stem for path in (project() / TASKS).glob("*.yaml"))
    if wanted.task in known and not is_file(file):
        return wanted.task, None, "", None
    if not is_file(file):
        raise GenomeError(
            f"--task {wanted.task}: no such file of rows, and no task of this name ({nearest(wanted.task, known)})"
        )
    name = named[1] if named else re.sub(r"[^A-Za-z0-9_]+", "_", file.name.partition(".")[0]).strip("_") or "task"
    if file.suffix in (".yaml", ".yml"):
        definition = read_yaml(file)
        check_task(name, definition)
        if is_harness(definition) or not is_published(definition["source"]):  # its `path` is below data_dir
            definition = map_paths(anchored(definition, file), lambda _, path: _path(out, path))
        return name, definition, yaml.safe_dump(definition, sort_keys=False, allow_unicode=True), None
    rows = read_rows(file)
    guess = guess_task(name, rows, str(file), wanted.said)
    definition = {"kind": guess.fields["kind"], "source": {"path": _path(out, file)}, **guess.fields}
    return name, definition, _commented_task(definition, guess.reasons, f"{len(rows)} rows of {file.name}"), len(rows)


def _commented_task(definition: Mapping[str, Any], reasons: Mapping[str, str], origin: str) -> str:
    """Return the text of a task file that says why it is as it is."""
    said = {
        "kind": reasons["kind"],
        "prompt": "a template over the columns of a row",
        "reference": "an expression over the columns: the right answer",
        "pattern": 'the whole response is the answer; without this line, what follows its last "Answer:"',
        "max_tokens": "the most of a response; more if it should show its working",
    }
    lines = [f"# From a look at the {origin}; docs/tasks.md describes every field."]
    for key, value in definition.items():
        text = _yaml(key, value)
        comment = said.get(key)
        if comment and "\n" in text:
            lines += [f"# {key}: {comment}", text]
        else:
            lines.append(f"{text} # {comment}" if comment else text)
    if definition["kind"] in ("choice", "label"):
        lines.append("# answer_by: likelihood # compare options instead of generating: for models that name none")
    return "\n".join(lines) + "\n"


def _commented(config: Mapping[str, Any]) -> str:
    """Return the text of a config with a comment above its keys."""
    lines = [
        "# Laid over the defaults of GENOME; docs/config.md describes every key. After a change, `genome evolve`",
        "# makes again what depends on it.",
    ]
    for key, value in config.items():
        lines += ["", f"# {COMMENTS[key]}"] if key in COMMENTS else []
        lines.append(_yaml(key, value))
    return "\n".join(lines) + "\n"


def _yaml(key: str, value: Any) -> str:
    """Return `key: value` with the innermost lists and mappings on one line."""
    flow = None if isinstance(value, list | dict) else False
    form = {"sort_keys": False, "allow_unicode": True, "width": 110}
    return yaml.dump({key: value}, Dumper=_Dumper, default_flow_style=flow, **form).rstrip("\n")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and null as people do."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _says(file: Path) -> Any:
    return read_yaml(file) if is_file(file) else None


def _profile() -> str:
    """Return the options of `snakemake` in a user's folder: the project's, and the config."""
    # As a list: Snakemake takes a single name for that of a file next to the profile.
    return f"configfile: [{CONFIG}]\n{(project() / PROFILE).read_text(encoding='utf-8')}"

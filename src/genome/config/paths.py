"""Paths that a config names: no source of the user's is where the workflow writes, and every source exists.

Snakemake removes what a rule writes before it runs the rule, so a source in such a place would be lost. Places are
compared as the file system has them, links followed.
"""

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from genome.config.bases import Base as Suite
from genome.config.bases import LocalFineTune, LocalModel
from genome.config.config import Config
from genome.config.names import LONGEST_FILE, micro_tasks, oracles
from genome.config.similarity import BertScore
from genome.errors import GenomeError
from genome.experts import base_model, importing
from genome.experts.base_layers import INDEX, WEIGHTS, Base, read_base
from genome.experts.expert import ENDING
from genome.files import sha256
from genome.micro.skills import SKILLS
from genome.tasks.chat import template_text
from genome.tasks.chat_settings import ChatSettings, Given
from genome.tasks.sources import is_local
from genome.validation.readable import is_list, is_mapping

GGUF = ".gguf"
"""The ending of bases that are single files."""

WRITTEN = ("results", "logs", ".snakemake")
"""Folders that the workflow owns, in addition to those of single bases and adapters in resources/."""

LONGEST_PATH = 2000
"""Characters of a path, which is part of longer ones; file systems allow about 4,000."""

HASHED = 1_000_000
"""Bytes up to which a file is identified by its content; larger files by size and time, as in Snakemake."""


@dataclass(frozen=True)
class Named:
    """A path that a config or task file names at `place`; `folder`: it is copied as a whole."""

    place: str
    path: str
    folder: bool = False

    def problem(self, ours: str) -> str:
        """Return the line that refuses it: it is in `ours`, which the workflow writes, or contains it."""
        return (
            f"{self.place}: {self.path} is where this workflow writes ({ours}), which removes what is there; move or "
            "copy it to a place outside of resources/ and results/, and name that"
        )


def resolved(path: str | Path) -> str:
    """Return a path as the file system has it: absolute, links followed, whether it exists or not."""
    return os.path.realpath(Path(path).expanduser() if str(path).startswith("~/") else path)


def adapters_of(config: Config, task_files: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return all fine-tunes by name, as the config gives them: experts (sorted), oracles of micro tasks, Data Merge."""
    # Sorted, since the order of keys changes with the files that make a config.
    chosen = {name: source.given() for name, source in sorted(config.suite.experts.items()) if source}
    trained = {
        name: {"corpus": f"resources/datasets/micro/oracles/{task}.jsonl"} for name, task in oracles(task_files).items()
    }
    merged = {"data_merge": config.suite.data_merge.given()} if config.suite.data_merge else {}
    return {**chosen, **trained, **merged}


def micro_corpora(task_files: Mapping[str, Any]) -> list[str]:
    """Return the names of the corpora of the micro world."""
    return [*(f"experts/{name}" for name in SKILLS), *(f"oracles/{task}" for task in micro_tasks(task_files))]


def own_corpora(config: Config, task_files: Mapping[str, Any]) -> dict[str, str]:
    """Return the corpora that the workflow writes, as it calls them, by their resolved paths."""
    names = [f"resources/datasets/micro/{name}.jsonl" for name in micro_corpora(task_files)]
    names += [f"resources/datasets/corpora/{name}.jsonl" for name in config.suite.corpora]
    return {resolved(name): name for name in names}


def corpora_of(adapter: Mapping[str, Any]) -> list[str]:
    """Return the corpora that an adapter is trained on, as the config names them."""
    corpus: str | list[str] = adapter.get("corpus") or []
    return [corpus] if isinstance(corpus, str) else list(corpus)


def named_paths(config: Config, tasks: Mapping[str, Any], ours: Container[str]) -> Iterator[Named]:
    """Yield the paths that a config names, except the workflow's own corpora; `tasks` are definitions of tasks."""
    for base, suite in config.bases.items():
        if isinstance(suite.model, LocalModel):
            yield Named(f"config.bases.{base}.model.path", suite.model.path, folder=True)
    place = f"config.bases.{config.base}"
    for where, file in template_files(config, tasks).items():
        yield Named(where, file)
    entries = {f"{place}.experts.{name}": source for name, source in config.suite.experts.items()}
    for where, entry in {**entries, f"{place}.data_merge": config.suite.data_merge}.items():
        if isinstance(entry, LocalFineTune):
            yield Named(f"{where}.path", entry.path, folder=True)
        for corpus in corpora_of(entry.given()) if entry else ():
            if resolved(corpus) not in ours:
                yield Named(f"{where}.corpus", corpus)
    if config.data_folder:
        yield Named("config.data_dir", config.data_folder)
    # Published data has its copies in data_dir.
    for name, task in tasks.items():
        source = task.get("source")
        if is_mapping(source) and is_local(source, None):
            for pattern in _patterns(source["path"]):
                yield Named(f"task {name}: source.path", pattern)
        if isinstance(folder := task.get("include_path"), str):
            yield Named(f"task {name}: include_path", folder, folder=True)
    for name, path in (config.across.beside if config.across else {}).items():
        yield Named(f"config.across.beside.{name}", path)
    for path in config.table7.beside if config.table7 else ():
        yield Named("config.table7.beside", path)
    if isinstance(config.similarity, BertScore):  # a hub id is not a folder
        yield Named("config.similarity.model", config.similarity.model)


def _patterns(path: Any) -> list[str]:
    """Return the file names of a source, also if each side has its own; values that are not text are left out."""
    values = list(path.values()) if is_mapping(path) else [path]
    names = [each for value in values for each in (value if is_list(value) else [value])]
    return [name for name in names if isinstance(name, str)]


def written_places(config: Config, task_files: Mapping[str, Any]) -> dict[str, str]:
    """Return the places that rules write, as the workflow calls them, by their resolved paths."""
    names = [
        *WRITTEN,
        *(f"resources/models/{base}" for base in config.bases),
        *(
            f"resources/experts/{adapter}{ending}"
            for adapter in adapters_of(config, task_files)
            for ending in ("", ENDING)  # the folder of a training, and the expert
        ),
        *own_corpora(config, task_files).values(),
    ]
    return {resolved(name): name for name in names}


def overlap_problems(config: Config, tasks: Mapping[str, Any], task_files: Mapping[str, Any]) -> list[str]:
    """Return the user's paths that are where the workflow writes, or that contain such a place."""
    written = written_places(config, task_files)
    # A base from a generator or the hub is not the user's: another base may use it as its source.
    fetched = {
        resolved(f"resources/models/{base}")
        for base, suite in config.bases.items()
        if not isinstance(suite.model, LocalModel) and base != config.base
    }
    problems: list[str] = []
    for named in named_paths(config, tasks, own_corpora(config, task_files)):
        if len(named.path) > LONGEST_PATH or any(len(part) > LONGEST_FILE for part in Path(named.path).parts):
            problems.append(f"{named.place}: a path of {len(named.path)} characters is too long; correct it")
            continue
        is_model = named.place.endswith(".model.path")
        files = _files_of(named)
        for place in [resolved(_fixed(named.path)), *map(resolved, files)]:
            found = [
                ours
                for path, ours in written.items()
                if (_within(place, path) or (named.folder and place not in files and _within(path, place)))
                and not (is_model and path in fetched and _within(place, path))
            ]
            if found:
                problems.append(named.problem(found[0]))
                break
    return problems


def _files_of(named: Named) -> list[str]:
    """Return the files of an expert's or a base's folder that are links, which may lead anywhere."""
    if not named.folder:
        return []
    source, files = {"path": resolved(named.path)}, list[Path]()
    for files_of in (importing.source_files, base_model.source_files):
        with suppress(GenomeError):  # what is wrong in the folder is said when it is checked
            files += files_of(source)
    return [str(file) for file in files if _is_link(file)]


def _is_link(file: Path) -> bool:
    return os.path.islink(file)  # noqa: PTH114  also False if the system refuses to look


def is_file(path: str | Path) -> bool:
    """Say whether a path is a readable file; one with a too long name, for example, is not."""
    return os.path.isfile(resolved(path))  # noqa: PTH113


def _fixed(pattern: str) -> str:
    """Return a path up to its first wildcard or placeholder."""
    cut = min((pattern.find(sign) for sign in "*?[{" if sign in pattern), default=len(pattern))
    return pattern if cut == len(pattern) else str(Path(f"{pattern[:cut]}_").parent)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def missing_problems(config: Config, task_files: Mapping[str, Any], tasks: Mapping[str, Any]) -> list[str]:
    """Return the sources of the chosen base, its experts and `tasks` that are missing or do not fit together."""
    place = f"config.bases.{config.base}"
    adapters = adapters_of(config, task_files)
    problems = _refusals(base_files, place, config.suite.model.given())
    base = None
    try:
        base = None if problems else base_of(config.suite)
    except GenomeError as error:
        problems.append(f"{place}.model.path: {error}")
    for name, source in adapters.items():
        if "path" in source:
            problems += _refusals(importing.check_source, name, source, base)
    for file in template_files(config, tasks).values():
        problems += _refusals(template_text, file)
    ours = own_corpora(config, task_files)
    for name, source in adapters.items():
        where = f"{place}.{name}" if name == "data_merge" else f"{place}.experts.{name}"
        problems += [
            f"{where}.corpus: no file {corpus}; {_near(corpus, [*ours.values(), *_beside(corpus)])}"
            for corpus in corpora_of(source)
            if resolved(corpus) not in ours and not is_file(corpus)
        ]
    return problems


def chat_of(suite: Suite) -> Given:
    """Return the chat settings of a base as JSON."""
    return suite.chat.given() if isinstance(suite.chat, ChatSettings) else suite.chat


def template_files(config: Config, tasks: Mapping[str, Any]) -> dict[str, str]:
    """Return the user's chat templates, those of the base and of definitions of tasks, by their places in the config.

    Values of other types are left out: a definition is checked where it is used.
    """
    chats = {f"config.bases.{config.base}.chat": chat_of(config.suite)}
    chats |= {f"task {name}: chat": task.get("chat") for name, task in tasks.items()}
    files = {where: chat.get("template_file") for where, chat in chats.items() if is_mapping(chat)}
    return {f"{where}.template_file": file for where, file in files.items() if isinstance(file, str)}


def base_of(suite: Suite) -> Base | None:
    """Return the layers of a base given as a folder in safetensors; those of others are known once it is fetched."""
    folder = Path(suite.model.path).expanduser() if isinstance(suite.model, LocalModel) else None
    return read_base(folder) if folder and any(is_file(folder / name) for name in (WEIGHTS, INDEX)) else None


def base_files(place: str, model: Mapping[str, Any]) -> list[Path]:
    """Return the files of a base given by path, otherwise none; GenomeError unless they are a base model's."""
    if "path" in model:
        origin = Path(model["path"]).expanduser()
        if not origin.is_dir() and origin.suffix != GGUF:
            raise GenomeError(f"{place}.model.path: {model['path']} is not a folder; correct it")
        base_model.check_source(model, origin)
    return base_model.source_files(model)


def adapter_files(source: Mapping[str, Any]) -> list[Path]:
    """Return the files of a fine-tune given by path, otherwise none."""
    return importing.source_files(source)


def _refusals(check: Callable[..., Any], *arguments: Any) -> list[str]:
    """Return the one line in which a check refuses its arguments, if it does."""
    try:
        check(*arguments)
    except GenomeError as error:
        return [str(error)]
    except (OSError, RuntimeError) as error:  # a path that is too long or not readable; ~NAME without such a user
        return [f"{arguments[0]}: {error}; correct its path"]
    return []


def _near(path: str, known: list[str]) -> str:
    match = get_close_matches(path, known, n=1)
    return f"did you mean {match[0]!r}?" if match else "correct it, or put lines of {prompt, response} there"


def _beside(path: str) -> list[str]:
    folder = Path(resolved(path)).parent
    return [str(Path(path).parent / file.name) for file in sorted(folder.glob("*.json*"))[:12]]


def require_files(place: str, files: Sequence[str]) -> Sequence[str]:
    """Return files that another workflow has made; GenomeError, at `place` of the config, if one is missing."""
    ours = [file for file in files if file.startswith("results/")]
    missing = [file for file in files if file not in ours and not is_file(file)]
    if missing:
        raise GenomeError(
            f"{place}: {len(missing)} of {len(files) - len(ours)} files are missing, first {missing[0]}; correct the "
            "path, or make them in their own workflow, with the same tasks, seeds and variants"
        )
    return files


def fingerprint(files: Iterable[Path]) -> list[list[Any]]:
    """Return what distinguishes files from later files at the same paths: name and content, or size and time.

    A file that replaces another may be older than the results of the other.
    """
    return [[file.name, *_known_by(file)] for file in files]


def _known_by(file: Path) -> list[Any]:
    found = file.stat()
    return [sha256(file)] if found.st_size < HASHED else [found.st_size, found.st_mtime_ns]

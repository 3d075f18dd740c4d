"""YAML files, read strictly: repeated keys and endless anchors are refused with their line.

PyYAML silently uses the last of several equal keys, and expands an anchor each time it is used. Both are detected in
the nodes of a file, before values are made of them.
"""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from genome.errors import GenomeError
from genome.files import read_text

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Seven times as fast, if PyYAML is built with it."""

DEEPEST = 100
"""Most nested levels of mappings and lists."""

LARGEST = 1_000_000
"""Most values in a file; values of anchors count each time they are used."""

MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path | str) -> Any:
    """Return the value of a YAML file; GenomeError as `check_yaml`."""
    text = read_text(path)
    node = _checked_node(path, text)
    if node is None:
        return None
    loader = Loader(text)
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: the 30th of February
        raise GenomeError(f"{path}{_reason(text, error)}") from error
    finally:
        loader.dispose()


def check_yaml(path: Path | str) -> None:
    """Raise GenomeError, with the line, unless a file is a mapping in YAML or JSON without repeated keys.

    Anchors that contain themselves, and anchors that grow without limit by using each other, are refused too.
    """
    text = read_text(path)
    try:
        # Like Snakemake: JSON may be indented with tabs, YAML may not.
        is_mapping = isinstance(json.loads(text, object_pairs_hook=lambda pairs: _unique(path, pairs)), dict)
    except RecursionError as error:
        raise _too_deep(path) from error
    except ValueError:
        is_mapping = isinstance(_checked_node(path, text), yaml.MappingNode)
    if not is_mapping:
        raise GenomeError(f"{path}: expected a mapping, such as `seeds: [1, 2]`; correct the file")


def _checked_node(path: Path | str, text: str) -> yaml.Node | None:
    """Return the checked root of a YAML text; None if it is empty."""
    try:
        # Nodes are composed by recursion in C, so the depth is checked first.
        depth = 0
        for event in yaml.parse(text, Loader=Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise _too_deep(path)
        node = yaml.compose(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise GenomeError(f"{path}{_reason(text, error)}") from error
    if node is not None:
        _check(path, node, {}, [])
    return node


def _check(path: Path | str, node: yaml.Node, sizes: dict[int, int], above: list[yaml.Node]) -> int:
    """Return the number of values of a node with anchors expanded; GenomeError for repeated keys or endless anchors."""
    if any(node is outer for outer in above):
        raise GenomeError(f"{path}, line {_line(node)}: the anchor here contains itself; write its values out")
    if id(node) not in sizes:
        if isinstance(node, yaml.MappingNode):
            _check_keys(path, node)
        inner = _inner(node)
        sizes[id(node)] = 1 + sum(_check(path, each, sizes, [*above, node]) for each in inner)
        if sizes[id(node)] > LARGEST:
            raise GenomeError(
                f"{path}, line {_line(node)}: anchors expand to more than {LARGEST:,} values here; write the values out"
            )
    return sizes[id(node)]


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _check_keys(path: Path | str, node: yaml.MappingNode) -> None:
    lines: dict[Hashable, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise GenomeError(f"{path}, line {_line(key)}: a list or mapping cannot be a key; put it in quotes")
        known = (key.tag, key.value)
        if known in lines:
            raise GenomeError(
                f"{path}, line {_line(key)}: {key.value!r} is repeated, first in line {lines[known]}; keep one of them"
            )
        lines[known] = _line(key)


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _too_deep(path: Path | str) -> GenomeError:
    return GenomeError(f"{path}: mappings or lists are nested more than {DEEPEST} deep; make it flatter")


def _reason(text: str, error: yaml.YAMLError | ValueError) -> str:
    """Return the fault of a YAML text, to follow the name of its file."""
    mark = getattr(error, "problem_mark", None)
    place = f", line {mark.line + 1}" if mark else ""
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    lines = text.split("\n")[mark.line : mark.line + 1] if mark else []
    hint = "; indent with spaces, not tabs" if any(line.lstrip(" ").startswith("\t") for line in lines) else ""
    return f"{place}: not YAML ({problem}){hint}"


def _unique(path: Path | str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise GenomeError(f"{path}: {name!r} is repeated; keep one of them")
    return dict(pairs)

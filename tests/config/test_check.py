"""The config as a whole: what is refused, and that nothing ends in a traceback."""

import json
import math
import sys
from copy import deepcopy
from itertools import product

import pytest

from config.conftest import DEFAULT, PROJECT, TASK_FILES, laid_over, problems, read
from genome.config.check import check_files, check_python, profile_files, read_config, read_task_files
from genome.config.results import PARTS
from genome.config.values import overlay, settled
from genome.errors import GenomeError
from genome.validation.readable import unreadable
from genome.yaml_files import read_yaml

PRESETS = sorted(PROJECT.glob("config/*.yaml"))
OVER = {PROJECT / f"config/smollm2-{part}.yaml": PROJECT / "config/smollm2.yaml" for part in ("first", "offline")}
"""Presets that are laid over another."""

ODD = (None, [], {}, "", -1, True, "a b", math.nan, 10**400, 1.5, [[]], {"x": {}}, {1: 2})


def preset_of(path):
    """Return a preset, laid over the one that it changes."""
    return overlay(read_yaml(OVER[path]) if path in OVER else {}, read_yaml(path))


def places(value, path=()):
    """Yield the places of a config, as tuples of keys."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield (*path, key)
            yield from places(entry, (*path, key))
    if isinstance(value, list):
        for index, entry in enumerate(value[:2]):
            yield (*path, index)
            yield from places(entry, (*path, index))


def put(config, path, value):
    *above, last = path
    for key in above:
        config = config[key]
    config[last] = value


FULL = overlay(
    DEFAULT,
    {
        "tasks": {"mine": {"kind": "number", "source": {"path": "x.jsonl"}, "prompt": "{{ q }}", "reference": "a"}},
        "weights": {"sums": 2},
        "table6": {"tasks": ["sums"], "variants": ["genome"]},
        "across": {"tasks": ["sums"], "variant": "genome_plus", "beside": {"other": "../other/results"}},
        "engine": {"slurm": {"partition": "gpu"}, "workers": 2},
        "data_dir": None,
        "all": ["table2"],
        "adapters": "final",
        "unparsed": "warn",
        "methods": {
            "genome_plus": {
                "sigma": 0.01,
                "ensemble": {"k": 2},
                "succession": {"step": 1},
                "racing": {"looks": [9], "confidence": 0.9, "share": 1},
            },
            "cma_es": {"bounds": [-1, 1], "patience": 3},
        },
        "bases": {
            "micro": {
                "corpora": {"talks": {"hub": "a/b", "split": "train", "revision": "c", "only": {"x": [1]}}},
                "experts": {"given": {"path": "mine"}, "fetched": {"hub": "a/b", "subfolder": "c"}},
            }
        },
    },
)
"""A config in which every part is in use."""


def test_configs_of_the_project_are_valid():
    assert problems(laid_over({})) == []
    assert problems(laid_over(FULL)) == []
    for preset in PRESETS:
        changes = preset_of(preset)
        tasks = read_task_files(PROJECT / "config/tasks")
        assert problems(laid_over(changes), tasks) == [], preset


@pytest.mark.slow
@pytest.mark.parametrize("part", FULL)
def test_unusual_values_are_accepted_or_refused_in_short_lines(part):
    for path, value in product([path for path in places(FULL) if path[0] == part], ODD):
        config = deepcopy(FULL)
        put(config, path, value)
        for line in problems(laid_over(config)):
            assert len(line) < 1000


def test_infinity_is_refused_in_every_place():
    assert unreadable(FULL) == []
    for path in places(FULL):
        config = deepcopy(FULL)
        put(config, path, -math.inf)
        [line] = unreadable(config)
        assert "-inf is not a finite number" in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": {"genome": {"sigma": math.inf}}}, "methods.genome.sigma: inf is not a finite number; give one"),
        (
            {"variants": {"mine": {"method": "genome", "crossover_rate": math.nan}}},
            "config.variants.mine.crossover_rate: nan is not a finite number; give one",
        ),
        ({"seeds": [10**400]}, "config.seeds[0]: a whole number of 401 digits is too large; give a smaller one"),
        ({"weights": {"sums": math.inf}}, "config.weights.sums: inf is not a finite number; give one"),
        ({"engine": {"timeout": math.nan}}, "config.engine.timeout: nan is not a finite number; give one"),
        ({"engine": {"timeout": ".inf"}}, "config.engine.timeout: inf is not a finite number; give one"),
        ({"population_size": True}, "config.population_size: expected a whole number of at least 2, found true"),
        ({"population_size": 10.0}, "config.population_size: expected a whole number of at least 2, found 10.0"),
        ({"methods": {"genome": {"elite_ratio": True}}}, "elite_ratio: expected a number from 0 to 1, found true"),
        ({"methods": {"genome": {"sigma": "1e-3"}}}, "write 1.0e-3"),
        ({"seeds": []}, "config.seeds: expected a list of one or more whole numbers of at least 0, found []"),
        ({"seeds": [1, 1]}, "config.seeds: 1 is listed twice; keep one"),
        ({"seeds": [1, True]}, "config.seeds[1]: expected a whole number of at least 0, found true"),
        ({"table2": {"tasks": []}}, "config.table2.tasks: expected a list of one or more texts, found []"),
        ({"table2": {"variants": ["genome", "genome"]}}, "config.table2.variants: 'genome' is listed twice; keep one"),
        ({"variants": None}, "config.variants: expected a mapping, found null"),
        ({"variants": ["genome"]}, "config.variants: expected a mapping, found ['genome']"),
        ({"bases": {"micro": {"experts": None}}}, "config.bases.micro: missing key 'experts' (a mapping)"),
        ({"bases": None}, "config.bases: expected a mapping, found null"),
        ({"engine": None}, "config.engine: expected a mapping, found null"),
        ({"base": "mirco"}, "config.base: unknown base 'mirco'; did you mean 'micro'?"),
        (
            {"base": "x", "bases": {"x": {"model": {"generator": "micro"}, "experts": {}}}},
            "config.bases.x.experts: 0 expert(s) given, at least 2 are needed; add experts",
        ),
        ({"table2": {"tasks": [False]}}, "expected text, found false (YAML reads a bare no or off so; put it"),
        ({"table2": {"tasks": [1]}}, "expected text, found 1 (YAML reads it as a number; put it in quotes)"),
        ({"bases": {"micro": {"model": {"path": "", "generator": None}}}}, "config.bases.micro.model"),
        ({"variants": {"mine": {"method": ["genome"]}}}, "config.variants.mine: unknown method ['genome']"),
        ({"tasks": {"mine": {"kind": "number"}}}, "task mine: missing key 'source' (a mapping)"),
    ],
)  # fmt: skip
def test_wrong_value_is_refused_with_its_place(refused, changes, said):
    assert any(said in line for line in refused(changes)), refused(changes)


def test_all_wrong_values_are_named_at_once(refused):
    lines = refused({"population_size": 1, "seeds": [], "methods": {"genome": {"sigma": 0}}})
    assert {line.partition(":")[0] for line in lines} == {
        "config.methods.genome.sigma", "config.population_size", "config.seeds"
    }  # fmt: skip


def test_names_references_and_tasks_are_checked_at_once(refused):
    beside = {"variant": "genome", "tasks": ["sumz"], "beside": {"micro": "results"}}
    assert refused({"across": beside, "tasks": {"a-b": {"kind": "number"}}}) == [
        "config.tasks: 'a-b' cannot be the name of a task, which contains only letters, digits and _; rename it",
        "config.across.beside: 'micro' is taken; give the other base another name",
        "config.across.tasks: unknown task 'sumz', did you mean 'sums'?",
        "config.across.variant: 'genome' does not report an ensemble of its fittest; name a variant that does",
        "task a-b: missing key 'source' (a mapping); missing key 'prompt' (non-empty text); kind 'number' needs the "
        "key 'reference'",
    ]


def test_every_table_and_figure_may_be_null(refused):
    assert refused(dict.fromkeys(PARTS)) == []
    assert read(dict.fromkeys(PARTS)).shown == {}


def test_python_with_a_space_in_its_path_is_refused():
    check_python(sys.executable)
    with pytest.raises(GenomeError, match=r"^/my env/bin/python: Snakemake cannot start jobs with a Python whose path"):
        check_python("/my env/bin/python")


def test_all_files_with_repeated_keys_are_refused(tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("seeds: [1]\nseeds: [2]\n")
    with pytest.raises(GenomeError) as error:
        check_files([tmp_path / "a.yaml", PROJECT / "config.yaml", tmp_path / "b.yaml"])
    lines = str(error.value).splitlines()[1:]
    assert lines == [
        f"  {tmp_path / name}, line 2: 'seeds' is repeated, first in line 1; keep one of them"
        for name in ("a.yaml", "b.yaml")
    ]


def test_profile_files_are_found_in_the_command_line(tmp_path):
    for name in ("profiles/default", "mine", "gpu"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.yaml").touch()
    default, mine, gpu = (tmp_path / name / "config.yaml" for name in ("profiles/default", "mine", "gpu"))
    assert profile_files(["snakemake", "-n"], tmp_path) == [default]
    assert profile_files(["snakemake", "--profile", str(mine.parent)], tmp_path) == [mine, default]
    assert profile_files(["snakemake", f"--workflow-profile={gpu.parent}", "all"], tmp_path) == [gpu]
    assert profile_files(["snakemake", "--workflow-profile", "none"], tmp_path) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "expected a mapping of fields"),
        ("", "expected a mapping of fields"),
        ("labels: {no: x}\n", "YAML reads a name here as False, from a bare no or off; put it in quotes"),
        ("max_tokens: .nan\n", "max_tokens: nan is not a finite number"),
        ("kind: number\nkind: math\n", "line 2: 'kind' is repeated, first in line 1"),
    ],
)
def test_file_that_is_not_a_task_is_refused(tmp_path, text, said):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(GenomeError) as error:
        read_task_files(tmp_path)
    assert str(tmp_path / "mine.yaml") in str(error.value)
    assert said in str(error.value)


def test_only_task_files_that_the_config_names_are_checked(refused):
    broken = {key: value for key, value in TASK_FILES["sums"].items() if key != "reference"}
    [line] = refused({}, {**TASK_FILES, "sums": broken})
    assert line == "task sums: kind 'number' needs the key 'reference'"
    assert refused({}, {**TASK_FILES, "half_written": broken}) == []


@pytest.mark.parametrize("preset", [None, *PRESETS], ids=lambda path: path.stem if path else "all keys")
def test_sections_contain_the_values_of_the_config(preset):
    raw = settled(laid_over(preset_of(preset) if preset else FULL))
    tasks = {**TASK_FILES, "till": TASK_FILES["sums"]}
    config = read_config(raw, tasks)
    assert config.given() == raw
    for part in ("engine", "similarity"):
        assert canonical(getattr(config, part).given()) == canonical(raw[part])
    for name, base in config.bases.items():
        assert canonical(base.given()) == canonical(raw["bases"][name])


def canonical(value):
    return json.dumps(value, sort_keys=True)


def test_seeds_may_be_texts_of_numbers_as_the_command_line_makes_them(refused):
    assert read_config(laid_over({"seeds": ["4", "5"]}), TASK_FILES).seeds == (4, 5)
    assert refused({"seeds": ["4", "a"]}) == ["config.seeds[1]: expected a whole number of at least 0, found 'a'"]


@pytest.mark.parametrize("key", ["training", "corpora", "data_merge", "chat"])
def test_a_null_in_a_base_is_the_same_as_no_key(key):
    suite = read_config(laid_over({"bases": {"micro": {key: None}}}), TASK_FILES).suite
    assert key not in suite.model_fields_set

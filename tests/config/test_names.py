"""Names that a user gives: which they may be, and which are ours."""

import datetime

import pytest

from config.conftest import TASK_FILES

HUB = {"hub": "owner/name"}
MINE = {"kind": "number", "source": {"path": "x.jsonl"}, "prompt": "{{ q }}", "reference": "a"}
WRONG = ("..", ".", "-x", "a/b", "a b", "a+b", ".hidden", "", "a\n", "a:b", "ä", "../../home", "a\\b", "~")


def experts(**named):
    return {"bases": {"micro": {"experts": named}}}


@pytest.mark.parametrize("name", WRONG)
def test_a_name_that_is_no_part_of_a_path_is_refused(refused, name):
    plain = "begins with a letter, a digit or _ and holds letters, digits, _ . and - only; rename it"
    said = f"{name!r} cannot be the name of"
    suite = {"model": {"generator": "micro"}, "experts": {}}
    corpora = {"bases": {"micro": {"corpora": {name: {**HUB, "split": "train", "revision": "c"}}}}}
    across = {"across": {"tasks": ["sums"], "variant": "genome_plus", "beside": {name: "../results"}}}
    for changes, place, kind in (
        (experts(**{name: HUB}), "bases.micro.experts", "an expert"),
        ({"bases": {name: suite}}, "bases", "a base"),
        (corpora, "bases.micro.corpora", "a corpus"),
        (across, "across.beside", "a base"),
    ):
        assert f"config.{place}: {said} {kind}, which {plain}" in refused(changes)
    assert f"config.variants: {said} a variant, which {plain.replace(' . and', ' and')}" in refused(
        {"variants": {name: {"method": "genome"}}}
    )
    only = "a task, which holds letters, digits and _ only; rename it"
    assert f"config.tasks: {said} {only}" in refused({"tasks": {name: MINE}})
    in_file = f"config/tasks/{name}.yaml: ".replace("\n", "\\n")
    assert f"{in_file}{said} {only}" in refused({}, {**TASK_FILES, name: MINE})


def test_a_task_file_is_named_like_a_task(refused):
    [line] = refused({}, {**TASK_FILES, "my-task": MINE})
    assert line == (
        "config/tasks/my-task.yaml: 'my-task' cannot be the name of a task, which holds letters, digits and _ only; "
        "rename it"
    )
    [line] = refused({}, {**TASK_FILES, "static": MINE})
    assert line.startswith("config/tasks/static.yaml: 'static' is a name of our own")


@pytest.mark.parametrize("name", ["a", "1e3", "_x", "0", "Llama-3.1_x"])
def test_names_of_letters_digits_and_signs_are_taken(refused, name):
    assert refused(experts(**{name: HUB})) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (False, "a name is False here, as which YAML reads a bare no or off; put it in quotes"),
        (True, "a name is True here, as which YAML reads a bare yes or on; put it in quotes"),
        (None, "a name is nothing here, as which YAML reads null and ~; put it in quotes"),
        (1, "YAML reads the name 1 as a number; put it in quotes: '1'"),
        (1.5, "YAML reads the name 1.5 as a number; put it in quotes: '1.5'"),
        (datetime.date(2024, 1, 1), "YAML reads the name 2024-01-01 as a date; put it in quotes: '2024-01-01'"),
    ],
)
def test_a_name_that_yaml_reads_otherwise_belongs_in_quotes(refused, name, said):
    assert refused({"bases": {"micro": {"experts": {name: HUB}}}}) == [f"config.bases.micro.experts: {said}"]
    assert refused({"tasks": {name: MINE}}) == [f"config.tasks: {said}"]
    assert refused({"variants": {name: {}}}) == [f"config.variants: {said}"]
    assert refused({name: 1}) == [f"config: {said}"]


def test_a_date_among_values_belongs_in_quotes(refused):
    day = datetime.date(2024, 1, 1)
    assert refused({"table2": {"tasks": [day]}}) == [
        "config.table2.tasks[0]: YAML reads 2024-01-01 as a date; put it in quotes"
    ]


@pytest.mark.parametrize("name", ["data_merge", "oracle_sums"])
def test_an_expert_has_no_name_of_our_own_adapters(refused, name):
    assert refused(experts(**{name: HUB})) == [
        f"config.bases.micro.experts: {name!r} is the name of an adapter of our own; rename the expert"
    ]


def test_only_names_that_are_taken_are_refused(refused):
    assert refused(experts(oracle_db=HUB, experts=HUB, static=HUB)) == []
    assert refused({"variants": {"initial": {"method": "genome"}, "studying": {"method": "genome"}}}) == []
    assert refused({"bases": {"vote": {"model": {"generator": "micro"}, "experts": {}}, "a_cosines": {
        "model": {"generator": "micro"}, "experts": {}}}}) == []  # fmt: skip


def test_an_expert_of_another_base_is_not_overwritten(refused):
    def base(**named):
        return {"base": "mine", "bases": {"mine": {"model": {"generator": "micro"}, "experts": named}}}

    corpus = {"corpus": "resources/datasets/micro/experts/add.jsonl"}
    assert refused(base(add={"path": "mine"}, other=HUB)) == [
        "config.bases.mine.experts: 'add' is an expert of base micro too, from elsewhere, and both would be kept in "
        "resources/experts/add; rename yours"
    ]
    assert refused(base(add=corpus, other=HUB)) == []


@pytest.mark.parametrize("name", ["experts", "initial-pairs", "initial-experts-product", "study-x"])
def test_a_variant_has_no_name_of_our_own_folders(refused, name):
    assert refused({"variants": {name: {"method": "genome"}}}) == [
        f"config.variants: {name!r} is the name of a folder of our own; rename the variant"
    ]


def test_a_variant_of_data_merge_has_no_expert_s_name(refused):
    assert refused({"variants": {"add": {"method": "data_merge"}}}) == [
        "config.variants: 'add' is the name of an expert; rename the variant"
    ]
    assert refused({"variants": {"add": {"method": "genome"}}}) == []


def test_names_that_no_file_system_takes_are_refused(refused):
    long = "x" * 181
    assert refused(experts(**{long: HUB})) == [
        f"config.bases.micro.experts: the name {long[:20]}… has 181 characters, at most 180 fit; shorten it"
    ]
    tasks = {f"{letter}{'x' * 60}": MINE for letter in "abcde"}
    domain = {"name": "all", "tasks": list(tasks)}
    said = "a run over 5 tasks is kept in a folder of their names, which would have 309 characters, 255 at most"
    [line] = refused({"tasks": tasks, "table4": {"domains": [domain]}})
    assert line.startswith(f"config.table4.domains: {said}; take fewer tasks or shorter names")
    [line] = refused({"tasks": tasks, "portraits": {"tasks": ["+".join(tasks)]}})
    assert line.startswith(f"config.portraits.tasks: {said}")
    assert refused({"tasks": tasks, "table4": {"domains": [{**domain, "tasks": list(tasks)[:4]}]}}) == []


def test_a_run_is_over_a_task_once(refused):
    assert refused({"portraits": {"tasks": ["sums+facts+sums"]}}) == [
        "config.portraits.tasks: task 'sums' stands twice in one run; name it once"
    ]
    assert refused({"portraits": {"tasks": ["sums+facts"]}}) == []

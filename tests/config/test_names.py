"""Names that a user gives: which are allowed, and which are reserved."""

import datetime

import pytest

from config.conftest import TASK_FILES

HUB = {"hub": "owner/name"}
MINE = {"kind": "number", "source": {"path": "x.jsonl"}, "prompt": "{{ q }}", "reference": "a"}
WRONG = ("..", ".", "-x", "a/b", "a b", "a+b", ".hidden", "", "a\n", "a:b", "ä", "../../home", "a\\b", "~")


def experts(**named):
    return {"bases": {"micro": {"experts": named}}}


@pytest.mark.parametrize("name", WRONG)
def test_name_that_cannot_be_part_of_a_path_is_refused(refused, name):
    plain = "begins with a letter, a digit or _ and contains only letters, digits, _, . and -; rename it"
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
    assert f"config.variants: {said} a variant, which {plain.replace('_, . and', '_ and')}" in refused(
        {"variants": {name: {"method": "genome"}}}
    )
    only = "a task, which contains only letters, digits and _; rename it"
    assert f"config.tasks: {said} {only}" in refused({"tasks": {name: MINE}})
    in_file = f"config/tasks/{name}.yaml: ".replace("\n", "\\n")
    assert f"{in_file}{said} {only}" in refused({}, {**TASK_FILES, name: MINE})


def test_name_of_a_task_file_is_checked(refused):
    [line] = refused({}, {**TASK_FILES, "my-task": MINE})
    assert line == (
        "config/tasks/my-task.yaml: 'my-task' cannot be the name of a task, which contains only letters, digits and _; "
        "rename it"
    )
    [line] = refused({}, {**TASK_FILES, "static": MINE})
    assert line.startswith("config/tasks/static.yaml: 'static' is reserved")


@pytest.mark.parametrize("name", ["a", "1e3", "_x", "0", "Llama-3.1_x"])
def test_name_of_letters_digits_and_marks_is_accepted(refused, name):
    assert refused(experts(**{name: HUB})) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (False, "YAML reads a name here as False, from a bare no or off; put it in quotes"),
        (True, "YAML reads a name here as True, from a bare yes or on; put it in quotes"),
        (None, "YAML reads a name here as null, from null or ~; put it in quotes"),
        (1, "YAML reads the name 1 as a number; put it in quotes: '1'"),
        (1.5, "YAML reads the name 1.5 as a number; put it in quotes: '1.5'"),
        (datetime.date(2024, 1, 1), "YAML reads the name 2024-01-01 as a date; put it in quotes: '2024-01-01'"),
    ],
)
def test_name_that_yaml_does_not_read_as_text_is_refused(refused, name, said):
    assert refused({"bases": {"micro": {"experts": {name: HUB}}}}) == [f"config.bases.micro.experts: {said}"]
    assert refused({"tasks": {name: MINE}}) == [f"config.tasks: {said}"]
    assert refused({"variants": {name: {}}}) == [f"config.variants: {said}"]
    assert refused({name: 1}) == [f"config: {said}"]


def test_value_that_yaml_reads_as_a_date_is_refused(refused):
    day = datetime.date(2024, 1, 1)
    assert refused({"table2": {"tasks": [day]}}) == [
        "config.table2.tasks[0]: YAML reads 2024-01-01 as a date; put it in quotes"
    ]


@pytest.mark.parametrize("name", ["data_merge", "oracle_sums"])
def test_expert_named_like_an_adapter_of_the_workflow_is_refused(refused, name):
    assert refused(experts(**{name: HUB})) == [
        f"config.bases.micro.experts: {name!r} is the name of an adapter that the workflow makes; rename the expert"
    ]


def test_names_similar_to_reserved_ones_are_accepted(refused):
    assert refused(experts(oracle_db=HUB, experts=HUB, static=HUB)) == []
    assert refused({"variants": {"initial": {"method": "genome"}, "studying": {"method": "genome"}}}) == []
    assert refused({"bases": {"vote": {"model": {"generator": "micro"}, "experts": {}}, "a_cosines": {
        "model": {"generator": "micro"}, "experts": {}}}}) == []  # fmt: skip


def test_expert_named_like_another_base_s_is_refused(refused):
    def base(**named):
        return {"base": "mine", "bases": {"mine": {"model": {"generator": "micro"}, "experts": named}}}

    corpus = {"corpus": "resources/datasets/micro/experts/add.jsonl"}
    assert refused(base(add={"path": "mine"}, other=HUB)) == [
        "config.bases.mine.experts: 'add' is also an expert of base micro, from another source, and both would be "
        "stored in resources/experts/add; rename yours"
    ]
    assert refused(base(add=corpus, other=HUB)) == []


@pytest.mark.parametrize("name", ["experts", "initial-pairs", "initial-experts-product", "study-x"])
def test_variant_named_like_a_folder_of_the_workflow_is_refused(refused, name):
    assert refused({"variants": {name: {"method": "genome"}}}) == [
        f"config.variants: {name!r} is the name of a folder that the workflow writes; rename the variant"
    ]


def test_variant_of_data_merge_named_like_an_expert_is_refused(refused):
    assert refused({"variants": {"add": {"method": "data_merge"}}}) == [
        "config.variants: 'add' is the name of an expert; rename the variant"
    ]
    assert refused({"variants": {"add": {"method": "genome"}}}) == []


def test_too_long_names_are_refused(refused):
    long = "x" * 181
    assert refused(experts(**{long: HUB})) == [
        f"config.bases.micro.experts: the name {long[:20]}… has 181 characters, at most 180 are allowed; shorten it"
    ]
    tasks = {f"{letter}{'x' * 60}": MINE for letter in "abcde"}
    domain = {"name": "all", "tasks": list(tasks)}
    said = "a run over 5 tasks is stored in a folder of their names, which would have 309 characters, 255 at most"
    [line] = refused({"tasks": tasks, "table4": {"domains": [domain]}})
    assert line.startswith(f"config.table4.domains: {said}; use fewer tasks or shorter names")
    [line] = refused({"tasks": tasks, "portraits": {"tasks": ["+".join(tasks)]}})
    assert line.startswith(f"config.portraits.tasks: {said}")
    assert refused({"tasks": tasks, "table4": {"domains": [{**domain, "tasks": list(tasks)[:4]}]}}) == []


def test_repeated_task_in_a_run_is_refused(refused):
    assert refused({"portraits": {"tasks": ["sums+facts+sums"]}}) == [
        "config.portraits.tasks: task 'sums' is listed twice in one run; keep one"
    ]
    assert refused({"portraits": {"tasks": ["sums+facts"]}}) == []

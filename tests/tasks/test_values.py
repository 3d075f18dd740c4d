import json

import pytest

from genome.errors import GenomeError
from genome.files import read_jsonl
from genome.jobs import data as jobs
from genome.tasks import parse_task
from genome.tasks.prompts import evaluate, facts, render, sample
from genome.tasks.splits import provenance, read_rows, split
from genome.tasks.values import fault

FIELDS = {"kind": "text", "source": {"path": "rows.jsonl"}, "prompt": "{{ q }}", "reference": "a"}


def task_of(**changes):
    return parse_task("t", {**FIELDS, **changes})


def rows_in(folder, *rows):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def refusal(function, *arguments):
    with pytest.raises(GenomeError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pool(n=8, **columns):
    return [{"q": f"question {i}", "a": "yes", **columns} for i in range(n)]


def drawn(task, folder, *rows):
    return split(task, read_rows(task, rows_in(folder, *rows)), 2, 2)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (float("nan"), "column 'q' is NaN"),
        (float("-inf"), "column 'q' is Infinity"),
        ("\ud800", "column 'q' contains half of a character"),
        ({"x": [1, "\udfff"]}, "column 'q', 'x', item 2 contains half of a character"),
        ([[float("nan")]], "column 'q', item 1, item 1 is NaN"),
    ],
)
def test_unusable_value_is_named_by_row_and_column(tmp_path, value, part):
    task, rows = task_of(), [*pool(), {"q": value, "a": "no"}]
    said = refusal(drawn, task, tmp_path, *rows)
    assert said.startswith(f"task t, {tmp_path / 'rows.jsonl'}, row 9: {part}")
    chosen = task_of(where='a == "yes"')
    assert [len(side) for side in drawn(chosen, tmp_path, *rows)] == [2, 2]


def test_split_ignores_values_of_unused_columns(tmp_path):
    rows = rows_in(tmp_path, *pool(extra=[float("nan"), "\ud800", None]))
    settings = {"task": ["t", FIELDS | {"source": {"path": str(rows / "rows.jsonl")}}]}
    files = [str(tmp_path / name) for name in ("validation.jsonl", "test.jsonl", "provenance.json")]
    jobs.split(json.dumps(settings | {"validation": 2, "test": 2, "seed": 42}), None, *files)
    row = read_jsonl(files[0], any_value=True)[0]
    assert row["extra"][1:] == ["\ud800", None]
    assert row["extra"][0] != row["extra"][0]


def test_unused_values_that_are_not_json_are_left_out(tmp_path):
    rows = [{**row, "picture": b"\x89PNG"} for row in pool()]
    first, _ = split(task_of(), rows, 2, 2)
    assert first[0].keys() == {"q", "a", "id"}
    assert fault(b"\x89PNG", "column 'picture'") == "column 'picture' is a bytes, which is neither text nor a number"
    assert "thousands of digits" in fault(10**5000, "x")
    deep = []
    for _ in range(200):
        deep = [deep]
    assert fault(deep, "column 'x'") == "column 'x' has more than 50 levels of lists and mappings"


NULLS = [
    ("{{ q }}", {"q": None}, "column 'q' is null"),
    ("{{ q ~ '!' }}", {"q": None}, "column 'q' is null"),
    ("{{ q | join(' ') }}", {"q": ["a", None]}, "column 'q', item 2 is null"),
    ("{{ q }}", {"q": ["a", None]}, "column 'q', item 2 is null"),
    ("{{ q.x }}", {"q": {"x": None}}, "column 'q', 'x' is null"),
    ("{{ '%s' % q }}", {"q": None}, "column 'q' is null"),
    ("{{ q | trim }}", {"q": None}, "column 'q' is null"),
    ("{{ q.get('y') }}", {"q": {"x": 1}}, "it prints a null"),
    ("{{ q | map('upper') }}", {"q": ["a"]}, "it prints an object (generator); add | list"),
    ("{{ q.upper }}", {"q": "a"}, "it prints an object"),
    ("{{ q }}", {"q": " "}, "it is empty"),
]


@pytest.mark.parametrize(("prompt", "row", "part"), NULLS)
def test_null_is_never_printed_as_none(prompt, row, part):
    said = refusal(render, task_of(prompt=prompt), {"a": "yes", **row})
    assert f"prompt: {part}" in said


@pytest.mark.parametrize(
    "prompt",
    [
        "{% if q is none %}-{% endif %}",
        "{% if q == none %}-{% endif %}",
        "{% if not q %}-{% endif %}",
        "{{ q or '-' }}",
        "{{ q | default('-', true) }}",
        "{{ [q] | reject('none') | list | length - 1 }}",
        "-{{ q | tojson | replace('null', '') }}",
    ],
)
def test_template_can_test_for_null(prompt):
    assert render(task_of(prompt=prompt), {"q": None, "a": "yes"}) in ("-", "-1")


def test_expression_returns_null_as_none():
    task = task_of(reference="a", where="q is not none", distinct="[q, 1]")
    row = {"q": None, "a": None}
    assert evaluate(task, row, "where") is False
    assert evaluate(task, row, "distinct") == [None, 1]
    assert "reference: expected text, found None" in refusal(facts, task, row)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["fur", None], "option B must be text or a number, found null"),
        ([{"text": "fur"}], "option A must be text or a number, found a dict"),
        ({"a": "fur", "A": "scale"}, "two of the letters a, A differ only in case"),
    ],
)
def test_options_must_be_text_or_numbers(options, part):
    task = task_of(kind="choice", options="o")
    assert part in refusal(sample, task, {"id": "t-0", "q": "?", "a": "A", "o": options})


def test_empty_option_is_not_named_by_an_empty_answer():
    from genome.tasks.scoring import extract

    task = task_of(kind="choice", options="o")
    row = sample(task, {"id": "t-0", "q": "?", "a": "A", "o": ["", "fur"]})
    assert extract(task, row, "Answer: .") is None
    assert extract(task, row, "Answer: A") == "A"


def test_unreadable_reference_is_named_by_the_users_row(tmp_path):
    task = task_of(kind="number")
    said = refusal(drawn, task, tmp_path, *pool(4))
    assert said.startswith(f"task t, {tmp_path / 'rows.jsonl'}, row ")
    assert said.endswith("reference: 'yes' is not a number")


def test_null_in_distinct_is_refused(tmp_path):
    said = refusal(drawn, task_of(distinct="u"), tmp_path, *pool(u=None))
    assert f"{tmp_path / 'rows.jsonl'}, row 1: distinct: null" in said


def test_columns_with_reserved_names_are_read_unchanged(tmp_path):
    rows = [{"q": f"q{i}", "a": "yes", "id": 100 + i, "examples": f"e{i}", "columns": ["x"]} for i in range(6)]
    task = task_of(prompt="{{ q }} {{ id }} {{ examples }} {{ columns[0] }}", distinct="id")
    first, second = drawn(task, tmp_path, *rows)
    number = first[0]["id"].removeprefix("t-")
    made = sample(task, json.loads(json.dumps(first[0])))
    assert made == {"id": f"t-{number}", "prompt": f"q{number} 10{number} e{number} x", "reference": "yes"}
    files = {"validation": tmp_path / "rows.jsonl"}
    assert provenance(task, read_rows(task, tmp_path), first, second, files)["prompts_on_both_sides"] == 0


def test_columns_with_reserved_names_work_with_shots(tmp_path):
    rows = [{"q": f"q{i}", "a": "yes", "id": i, "examples": 3, "labels": [f"no{i}"]} for i in range(6)]
    task = task_of(
        shots=1, prompt="{% for e in examples %}{{ e.id }}{{ e.reference }} {% endfor %}{{ id }}", reference="labels[0]"
    )
    first, _ = drawn(task, tmp_path, *rows)
    [example] = first[0]["examples"]
    numbers = [row["id"].removeprefix("t-") for row in (example, first[0])]
    assert sample(task, first[0])["prompt"] == f"{numbers[0]}no{numbers[0]} {numbers[1]}"
    assert sample(task, first[0])["reference"] == f"no{numbers[1]}"


@pytest.mark.parametrize(
    ("column", "prompt"),
    [
        ("my column", "{{ my column }}"),
        ("my-column", "{{ my-column }}"),
        ("c.d", "{{ c.d }}"),
        ("not", "{{ not }}"),
        ("true", "{{ true }}"),
        ("none", "{{ none }}"),
    ],
)
def test_columns_that_need_row_brackets_are_explained(tmp_path, column, prompt):
    rows = [{**row, column: f"value {i}"} for i, row in enumerate(pool())]
    assert f"row['{column}']" in refusal(drawn, task_of(prompt=prompt), tmp_path, *rows)
    first, _ = drawn(task_of(prompt=f"{{{{ row['{column}'] }}}}"), tmp_path, *rows)
    assert sample(task_of(prompt=f"{{{{ row['{column}'] }}}}"), first[0])["prompt"].startswith("value ")


@pytest.mark.parametrize("column", ["range", "dict", "loop", "class", "row", "zip", "in", "lambda"])
def test_columns_named_like_globals_are_columns(tmp_path, column):
    rows = [{**row, column: f"value {i}"} for i, row in enumerate(pool())]
    task = task_of(prompt=f"{{{{ {column} }}}}", distinct=column)
    first, _ = drawn(task, tmp_path, *rows)
    assert sample(task, first[0])["prompt"].startswith("value ")
    del rows[3][column]
    assert f"row 4 has no column '{column}'" in refusal(drawn, task, tmp_path, *rows)


def test_column_named_self_is_read_by_row_only(tmp_path):
    rows = pool(self="x")
    assert "prompt: it prints an object" in refusal(drawn, task_of(prompt="{{ self }}"), tmp_path, *rows)
    assert drawn(task_of(prompt="{{ q }} {{ row['self'] }}"), tmp_path, *rows)


@pytest.mark.parametrize(
    "text",
    [
        "'x' * 10**9",
        "range(10**8) | list",
        "10 ** (10 ** 6)",
        "'%1000000000d' % 1",
        "'x' | center(10**10)",
        "(" * 3000 + "q" + ")" * 3000,
        "q.replace('q', 'y' * 10**6).replace('y', 'z' * 10**5)",
        "[0] * 10**10",
    ],
)
def test_endless_expression_is_refused_in_one_line(text):
    row = {"q": "question", "a": "yes"}
    assert "task t" in refusal(facts, task_of(reference=text), row)
    assert "task t" in refusal(render, task_of(prompt="{{ " + text + " }}"), row)


@pytest.mark.parametrize(
    ("prompt", "part"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "prompt takes more than"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "prompt is nested too deeply"),
        (
            "{% set n = namespace(x=q) %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            "prompt uses more than 512 MB of memory",
        ),
        ("{{ 'x' * 20000000 }}", "it has 20000000 characters"),
        ("{% for i in range(10**9) %}x{% endfor %}", "Range too big"),
    ],
)
def test_endless_template_is_refused_in_one_line(monkeypatch, prompt, part):
    if part == "prompt takes more than":  # others may take longer on a slow processor
        monkeypatch.setattr("genome.limits.limited.__wrapped__.__defaults__", (0.5, 512 << 20))
    assert part in refusal(render, task_of(prompt=prompt), {"q": "question", "a": "yes"})


def test_templates_have_no_random_functions():
    assert "No filter named 'random'" in refusal(render, task_of(prompt="{{ ['a', 'b'] | random }}"), {"a": "yes"})
    assert "'lipsum' is undefined" in refusal(render, task_of(prompt="{{ lipsum() }}"), {"a": "yes"})


def test_test_with_a_nul_is_refused_in_one_line():
    task = parse_task("t", {**FIELDS, "kind": "program", "tests": "tests"})
    assert "tests: a NUL character" in refusal(facts, task, {"q": "?", "a": "x", "tests": ["assert '\0'"]})

import gzip
import json
import os
import sys
import types
from pathlib import Path

import pytest
import yaml
from numpy.random import default_rng

from genome.errors import GenomeError
from genome.files import sha256, write_jsonl
from genome.tasks import parse_task
from genome.tasks.prompts import render, sample
from genome.tasks.splits import provenance, read_rows, split

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
FIELDS = {
    "category": "c",
    "kind": "number",
    "metric": "accuracy",
    "source": {"path": "rows.jsonl"},
    "prompt": "{{ q }}",
    "reference": "a",
}


def task_of(**changes):
    return parse_task("sums", {**FIELDS, **changes})


def rows_of(n, **more):
    return [{"q": f"question {i}", "a": str(i), **more} for i in range(n)]


def refusal(function, *arguments, **settings):
    with pytest.raises(GenomeError) as caught:
        function(*arguments, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def gsm8k():
    return parse_task("gsm8k", yaml.safe_load((ROOT / "config/tasks/gsm8k.yaml").read_text(encoding="utf-8")))


def test_read_rows_reads_plain_and_compressed_files_in_order(tmp_path):
    write_jsonl(tmp_path / "b.jsonl", rows_of(2))
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"q": "née", "a": "9"}) + "\n\n")
    names = ["b.jsonl", "a.jsonl.gz"]
    assert [row["a"] for row in read_rows(task_of(source={"path": names}), tmp_path)] == ["0", "1", "9"]
    for pattern in ("*.jsonl*", str(tmp_path / "*.jsonl*")):
        assert [row["a"] for row in read_rows(task_of(source={"path": pattern}), tmp_path)] == ["9", "0", "1"]
    assert len(read_rows(task_of(source={"path": str(tmp_path / "b.jsonl")}))) == 2


def test_read_rows_names_bad_files(tmp_path):
    task = task_of()
    assert "no file" in (text := refusal(read_rows, task, tmp_path))
    assert str(tmp_path / "rows.jsonl") in text
    assert "no file" in refusal(read_rows, task_of(source={"path": "*.jsonl"}), tmp_path)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"q": "x", "a": "1"}\n{"q": ', encoding="utf-8")
    assert "rows.jsonl, line 2: not a row of JSON Lines" in refusal(read_rows, task, tmp_path)
    path.write_text("[1]\n", encoding="utf-8")
    assert "line 1" in refusal(read_rows, task, tmp_path)
    path.write_text("\n", encoding="utf-8")
    assert "contains no rows" in refusal(read_rows, task, tmp_path)
    write_jsonl(path, [{"q": "x", "a": "1"}, {"q": "y", "a": "1"}, {"q": "x", "A": "1"}])
    assert "row 3 has no column 'a'" in refusal(read_rows, task, tmp_path)
    (tmp_path / "rows.jsonl.gz").write_text("not compressed", encoding="utf-8")
    assert "rows.jsonl.gz, line 1" in refusal(read_rows, task_of(source={"path": "rows.jsonl.gz"}), tmp_path)


HUB = {"hub": "some/set", "config": "main", "split": "test", "revision": "abc"}


def test_read_rows_requests_the_pinned_revision(monkeypatch):
    asked = []

    def load_dataset(*arguments, **settings):
        asked.append((arguments, settings))
        return iter(rows_of(3))

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    assert len(read_rows(task_of(source=HUB))) == 3
    assert asked == [(("some/set", "main"), {"split": "test", "revision": "abc"})]


def test_read_rows_reports_an_unreachable_hub_in_one_line(monkeypatch):
    def load_dataset(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    text = refusal(read_rows, task_of(source=HUB))
    assert "cannot load some/set (main, test) from the hub: no route" in text
    assert "data_dir" in text


def test_read_rows_reads_a_data_folder_instead_of_the_hub(tmp_path):
    write_jsonl(tmp_path / "set" / "test.jsonl", rows_of(4))
    assert len(read_rows(task_of(source={**HUB, "path": "set/test.jsonl"}), tmp_path)) == 4


def test_read_rows_reads_tasks_of_the_micro_world(monkeypatch):
    world = types.SimpleNamespace(task_rows=lambda name: rows_of(5, of=name))
    monkeypatch.setitem(sys.modules, "genome.micro.world", world)
    assert read_rows(task_of(source={"generator": "micro"}))[0]["of"] == "sums"


def test_split_is_seeded_disjoint_and_has_the_requested_sizes():
    task, rows = task_of(), rows_of(100)
    validation, test = split(task, rows, 20, 30)
    assert (len(validation), len(test)) == (20, 30)
    assert not {row["q"] for row in validation} & {row["q"] for row in test}
    assert all(row["id"] == f"sums-{row['a']}" for row in validation + test)
    assert split(task, rows, 20, 30) == (validation, test)
    assert split(task, rows, 20, 30, seed=1) != (validation, test)
    for rest in (None, "rest"):
        assert len(split(task, rows, 20, rest)[1]) == 80
    assert split(task, rows, 20, 10)[0] == validation


def test_split_puts_no_prompt_on_both_sides():
    rows = [{"q": f" question {i % 30}", "a": str(i)} for i in range(90)]
    validation, test = ([render(task_of(), row) for row in side] for side in split(task_of(), rows, 10, "rest"))
    assert len(validation) == len(set(validation)) == 10
    assert not set(validation) & set(test)
    assert len(test) == 60  # a prompt that the source repeats is also repeated in the test
    validation, test = split(task_of(distinct="q"), rows, 10, "rest")
    assert len({row["q"] for row in validation + test}) == len(validation + test) == 30


def test_split_chooses_repeated_prompts_last_for_validation():
    """The test loses all rows of a chosen prompt, so repeated prompts are chosen only if no others are left."""
    rows = [{"q": f"question {i}", "a": str(i)} for i in [*range(30), *range(12)]]
    singles = {f"question {i}" for i in range(12, 30)}
    validation, test = split(task_of(), rows, 18, "rest")
    assert {row["q"] for row in validation} == singles
    assert len(test) == 24
    validation, test = split(task_of(), rows, 20, "rest")
    assert singles <= {row["q"] for row in validation[:18]}
    assert len(test) == 20
    # Among equals, the seeded draw determines the order.
    assert split(task_of(), rows, 20, "rest", seed=1)[0] != validation


@pytest.mark.parametrize("distinct", [None, "q"])
def test_split_takes_the_first_drawn_row_of_a_repeated_prompt(distinct):
    """The choice of row matters if the answers differ. With `distinct`, only the draw determines the order."""
    rows = [{"q": f"question {i}", "a": str(n)} for n, i in enumerate([*range(20), *range(20)])]
    order = default_rng(42).permutation(40).tolist()
    firsts = [index for place, index in enumerate(order) if index % 20 not in {i % 20 for i in order[:place]}]
    validation, _ = split(task_of(distinct=distinct), rows, 12, "rest")
    assert [int(row["a"]) for row in validation] == firsts[:12]
    more = [*rows, {"q": "question 20", "a": "40"}]
    order = default_rng(42).permutation(41).tolist()
    validation, _ = split(task_of(distinct=distinct), more, 1, "rest")
    single_first = distinct is None
    assert int(validation[0]["a"]) == (40 if single_first else order[0])


@pytest.mark.parametrize("shots", [1, 3])
@pytest.mark.parametrize("seed", [42, 7])
def test_split_takes_examples_from_the_remaining_rows(seed, shots):
    task = task_of(shots=shots, prompt="{% for e in examples %}{{ e.q }}={{ e.reference }} {% endfor %}{{ q }}")
    validation, test = split(task, rows_of(40), 10, 20, seed=seed)
    taken = {int(row["a"]) for row in validation + test}
    free = [index for index in range(40) if index not in taken]
    expected = [free[place] for place in default_rng(seed).permutation(10)[:shots]]
    for row in validation + test:
        assert [int(example["a"]) for example in row["examples"]] == expected


def test_split_refuses_too_few_rows():
    text = refusal(split, task_of(), rows_of(25) * 2, 20, 11)
    assert text.startswith("task sums: 50 rows are too few for 20 of validation and 11 of test")
    assert "found 20 and 10 with distinct prompts" in text
    assert "at least 1" in refusal(split, task_of(), rows_of(20), 20, "rest")
    assert len(split(task_of(), rows_of(21), 20, "rest")[1]) == 1


def test_split_gives_all_remaining_rows_to_the_test_on_request():
    assert len(split(task_of(test_samples="rest"), rows_of(100), 20, 30)[1]) == 80
    assert len(split(task_of(test_samples=7), rows_of(100), 20, 30)[1]) == 7


def test_split_defaults_to_200_validation_and_1000_test_rows():
    assert [len(side) for side in split(task_of(), rows_of(1300))] == [200, 1000]


def test_split_names_a_row_without_distinct_value():
    """Rows that do not come from a file are numbered from 1."""
    rows = [{**row, "key": row["a"]} for row in rows_of(5)]
    rows[3]["key"] = None
    assert refusal(split, task_of(distinct="key"), rows, 1, 1).startswith("task sums, row 4: distinct: null")


def test_read_rows_selects_rows_by_where(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", rows_of(6))
    task = task_of(where='a in ["1", "4"]')
    assert [row["a"] for row in read_rows(task, tmp_path)] == ["1", "4"]
    assert "`where` 'a == 3' is true for none of the 6 rows" in refusal(read_rows, task_of(where="a == 3"), tmp_path)


def test_split_keeps_separate_tables_of_sides_separate(tmp_path):
    for side, size in (("dev", 30), ("final", 40)):
        write_jsonl(tmp_path / f"{side}.jsonl", [{"q": f"{side} {i}", "a": str(i)} for i in range(size)])
    prompt = "{% for e in examples %}{{ e.q }} {% endfor %}{{ q }}"
    source = {"path": {"validation": "dev.jsonl", "test": "final.jsonl"}}
    task = task_of(source=source, shots=2, prompt=prompt)
    validation, test = split(task, read_rows(task, tmp_path), 20, 35)
    assert {row["q"].split()[0] for row in validation} == {"dev"}
    assert {row["q"].split()[0] for row in test} == {"final"}
    assert (len(validation), len(test)) == (20, 35)
    # Examples never come from test data, and none of them is in the validation.
    shown = {example["q"] for row in validation + test for example in row["examples"]}
    assert all(text.startswith("dev") for text in shown)
    assert not shown & {row["q"] for row in validation}
    assert {*validation[0]} == {"q", "a", "id", "examples"}
    assert "found 30 and 40" in refusal(split, task, read_rows(task, tmp_path), 31, 40)


def test_split_follows_a_draw_by_random_sample():
    import random

    task = task_of(draw={"pool": 50, "validation": {"sample": 10}})
    validation, test = split(task, rows_of(50), 10, "rest")
    assert [int(row["a"]) for row in validation] == random.Random(42).sample(range(50), 10)
    assert len(test) == 40
    assert split(task, rows_of(50), 10, "rest", seed=7)[0] != validation  # only seed 42 follows the published draw


def test_split_follows_a_published_draw_only_for_its_pool():
    task = task_of(draw={"pool": 50, "validation": [30, 40], "test": [0, 30]})
    order = default_rng(42).permutation(50).tolist()
    validation, test = split(task, rows_of(50), 10, 30)
    assert [int(row["a"]) for row in validation] == order[30:40]
    assert [int(row["a"]) for row in test] == order[:30]
    assert split(task, rows_of(50), 5, 20) == (validation[:5], test[:20])
    assert "found 10 and 30" in refusal(split, task, rows_of(50), 11, 30)
    assert split(task, rows_of(49), 10, 30) == split(task_of(), rows_of(49), 10, 30)


def test_split_takes_examples_of_the_same_group_from_outside():
    task = task_of(
        shots=2, examples_by="g", prompt="{% for e in examples %}{{ e.q }}={{ e.reference }} {% endfor %}{{ q }}"
    )
    rows = [{"q": f"q{i}", "a": str(i), "g": i % 2} for i in range(40)]
    validation, test = split(task, rows, 10, 20)
    taken = {row["id"] for row in validation + test}
    for row in validation + test:
        assert len(row["examples"]) == 2
        assert {example["g"] for example in row["examples"]} == {row["g"]}
        assert not taken & {example["id"] for example in row["examples"]}
    first = validation[0]
    shown = " ".join(f"{example['q']}={example['a']}" for example in first["examples"])
    assert sample(task, first)["prompt"] == f"{shown} {first['q']}"
    assert "2 examples with g like" in refusal(split, task, rows[:12], 5, 5)


def test_provenance_describes_the_split(tmp_path):
    task, rows = task_of(), [*rows_of(30), *rows_of(2)]
    validation, test = split(task, rows, 10, 15)
    write_jsonl(tmp_path / "v.jsonl", validation)
    found = provenance(task, rows, validation, test, {"validation": tmp_path / "v.jsonl"})
    assert found == {
        "task": "sums",
        "version": 1,
        "source": {"path": "rows.jsonl"},
        "read_from": "local files",
        "draw": "seeded",
        "pool": 32,
        "repeated_prompts": 2,
        "prompts_on_both_sides": 0,
        "validation": 10,
        "test": 15,
        "sha256": {"validation": sha256(tmp_path / "v.jsonl")},
    }
    assert json.loads(json.dumps(found)) == found


def test_provenance_counts_prompts_on_both_sides():
    """The authors' draw ignores prompts: a prompt that the source repeats may be on both sides."""
    task = task_of(draw={"pool": 50, "validation": [0, 10], "test": [10, 40]})
    rows = [{"q": f"question {i % 35}", "a": str(i)} for i in range(50)]
    asked = [index % 35 for index in default_rng(42).permutation(50).tolist()]
    both = {*asked[:10]} & {*asked[10:40]}
    assert both
    found = provenance(task, rows, *split(task, rows, 10, 30), {})
    assert (found["draw"], found["repeated_prompts"], found["prompts_on_both_sides"]) == ("published", 15, len(both))
    found = provenance(task, rows, *split(task, rows, 10, 20, seed=7), {}, seed=7)
    assert (found["draw"], found["prompts_on_both_sides"]) == ("seeded", 0)


def test_own_rows_with_the_columns_of_gsm8k_are_split():
    task = gsm8k()
    rows = read_rows(task, DATA)
    validation, test = split(task, rows, 20, 40)
    samples = [sample(task, row) for row in validation + test]
    assert len({each["prompt"] for each in samples}) == 60
    assert all(each["reference"].isdigit() for each in samples)


@pytest.mark.skipif("GENOME_DATA" not in os.environ, reason="GENOME_DATA names no folder of real data sets")
def test_real_gsm8k_split_equals_that_of_the_authors():
    data = Path(os.environ["GENOME_DATA"])
    task = gsm8k()
    validation, test = split(task, read_rows(task, data))
    published = json.loads((data / "paper_splits" / "gsm8k.json").read_text(encoding="utf-8"))
    for side, name in ((validation, "valid"), (test, "test")):
        assert [row["id"] for row in side] == [f"gsm8k-{index}" for index in published[name]["indices"]]
        assert all(sample(task, row)["reference"].lstrip("-").isdigit() for row in side)

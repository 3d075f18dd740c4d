"""The `genome` command: a wrong input ends in one line, and no incomplete file is left."""

import json
import os
import socket
from itertools import chain
from pathlib import Path

import pytest
from typer.testing import CliRunner

from builders import scored, write_adapter, write_base, write_expert
from genome.cli import app
from genome.config.reference import write
from genome.genotype import Genotype
from genome.jobs.importing import columns, import_sources
from genome.search.population import Fitness, Individual, new_population
from genome.search.records import write_population

PROJECT = Path(__file__).parent.parent
QUESTION = {"question": "What is 2 + 3?", "answer": "2 + 3 = 5\n#### 5"}
LINE = {"sample": QUESTION, "response": "Answer: 5"}


def refusal(*arguments) -> str:
    """Return the one line of a command's error."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output
    if result.exit_code == 2:
        return result.output
    line = str(result.exception.code)
    assert line.startswith("error: ")
    assert "\n" not in line
    return line


def imported(*arguments):
    """Return the result of `genome import`, in a wide terminal."""
    return CliRunner().invoke(app, ["import", *map(str, arguments)], env={"COLUMNS": "200"})


def test_import_shows_the_experts_and_how_they_fit(tmp_path):
    base = write_base(tmp_path / "base")
    folders = [write_adapter(tmp_path / "a" / "math", 1), write_adapter(tmp_path / "b" / "math", 2, rank=2, alpha=3)]
    (folders[0] / "README.md").write_text("---\nlicense: mit\n---\n")
    result = imported(*folders, "--base", base)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert " ".join(lines[0].split()) == "name kind rank scale layers type norm kept licence named base"
    assert "dropped" not in lines[0]
    first, second = (line.split() for line in lines[1:3])
    assert [*first[:6], *first[7:]] == ["math", "LoRA", "4", "2", "4", "F32", "100", "%", "mit", "tiny"]
    assert second[:4] == ["math-2", "LoRA", "2", "1.5"]
    assert lines[3] == "2 experts of mixed ranks can be merged; merge_space is `product` unless you set it"
    assert "warning: the experts have different ranks (math: 4, math-2: 2) and unrelated factors" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "base"]


def test_import_reports_all_problems_and_writes_what_is_whole(tmp_path):
    base = write_base(tmp_path / "base")
    good, deep = write_adapter(tmp_path / "good", 1), write_adapter(tmp_path / "deep", 2, layers=3)
    result = imported(good, deep, tmp_path / "none", "x/y/z", "--base", base, "--out", tmp_path / "out")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert [line.split()[2] for line in errors] == ["deep:", "none:", "z:"]
    assert "tmp/tmp" not in result.output
    assert result.stdout.splitlines()[-1] == "3 problem(s); 1 source(s) could be imported"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.safetensors"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_experts_fits_the_terminal(tmp_path, width):
    base = write_base(tmp_path / "base")
    folders = [write_adapter(tmp_path / name, 1, rank=rank) for name, rank in (("Räume (1)", 4), ("b", 16))]
    (folders[0] / "README.md").write_text("---\nlicense: [mit, apache-2.0]\n---\n")
    config = json.loads((folders[1] / "adapter_config.json").read_text())
    named = config | {"base_model_name_or_path": "/home/user/models/unsloth/Llama-3.2-1B-Instruct-bnb-4bit"}
    (folders[1] / "adapter_config.json").write_text(json.dumps(named))
    sources = list(map(str, folders))
    result = CliRunner().invoke(
        app, ["import", *sources, "--base", str(base), "--drop", "down_proj"], env={"COLUMNS": str(width)}
    )
    table = result.stdout.splitlines()[:-1]
    assert max(map(len, table)) <= width
    cells = columns(import_sources(sources, str(base), None, drop=["down_proj"]).experts)
    assert len(cells) == 11
    # Cells may be wrapped, but nothing is cut off.
    assert sorted("".join("".join(table).split())) == sorted(
        "".join("".join([*cells, *chain(*cells.values())]).split())
    )


def test_import_replaces_nothing_but_experts(tmp_path):
    base = write_base(tmp_path / "base")
    adapter = write_adapter(tmp_path / "model", 1)
    before = (base / "model.safetensors").read_bytes()
    result = imported(adapter, "--base", base, "--out", base)
    assert result.exit_code == 1
    assert f"{base}/model.safetensors exists and is not an expert's file, so it is not replaced" in result.stderr
    assert (base / "model.safetensors").read_bytes() == before
    for _ in range(2):
        assert imported(adapter, "--base", base, "--out", tmp_path / "out").exit_code == 0


def test_import_names_a_source_in_the_hubs_cache_by_its_repository(tmp_path):
    base = write_base(tmp_path / "base")
    adapter = write_adapter(tmp_path / "models--org--lora" / "snapshots" / "0123456789abcdef", 1)
    write_adapter(adapter / "math", 2)
    result = imported(adapter, adapter / "math", "~unknown/x", "--base", base, "--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["lora.safetensors", "math.safetensors"]
    assert "error: expert x: ~unknown/x: no such home folder; correct the path" in result.stderr


def test_import_compares_names_with_a_hub_base_without_its_revision(tmp_path, hub):
    write_base(hub.root / "org" / "tiny")
    folders = [write_adapter(tmp_path / name, 1) for name in ("one", "two")]
    assert imported(*folders, "--base", "org/tiny@v1").stderr == ""
    write_base(hub.root / "org" / "other")
    assert "WRONG BASE? all 2 experts name" in imported(*folders, "--base", "org/other").stderr


def test_import_reads_the_hub(tmp_path, hub):
    write_base(hub.root / "org" / "tiny")
    write_adapter(hub.root / "org" / "loras" / "math", 1)
    write_adapter(hub.root / "org" / "lora", 2)
    result = imported("org/loras@v1:math", "org/lora", "--base", "org/tiny", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["lora.safetensors", "math.safetensors"]
    assert "2 experts of rank 4 can be merged" in result.stdout


def test_import_downloads_a_hub_base_if_a_kind_requires_its_weights(tmp_path, hub):
    from safetensors.numpy import load_file, save_file

    base = write_base(hub.root / "org" / "tiny")
    full = write_base(tmp_path / "full")
    tensors = {name: x + ("proj" in name) for name, x in load_file(base / "model.safetensors").items()}
    save_file(tensors, full / "model.safetensors")
    result = imported(full, "--base", "org/tiny", "--rank", 2)
    assert result.exit_code == 0, result.stderr
    assert "full fine-tune" in result.stdout
    assert "one expert; evolution needs at least two" in result.stdout


def test_import_knows_copies_of_a_hub_bases_embeddings(tmp_path, hub):
    from safetensors.numpy import load_file, save_file

    base = write_base(hub.root / "org" / "tiny")
    weights = write_adapter(tmp_path / "math", 1) / "adapter_model.safetensors"
    embeddings = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    save_file({**load_file(weights), "base_model.model.model.embed_tokens.weight": embeddings}, weights)
    result = imported(tmp_path / "math", "--base", "org/tiny")
    assert result.exit_code == 0, result.stderr
    assert "dropped" not in result.stdout


def test_import_refuses_a_base_that_is_none(tmp_path):
    adapter = write_adapter(tmp_path / "good", 1)
    assert "no such folder" in refusal("import", adapter, "--base", "nothing")
    assert "lacks model.safetensors" in refusal("import", adapter, "--base", adapter)


@pytest.fixture
def odd(tmp_path):
    """Return paths that a command cannot read, and a part of the error for each."""
    folder = tmp_path / "odd"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(folder / "socket"))
    bound.close()
    (folder / "link").symlink_to("nowhere")
    texts = {
        "binary": b"\x00\xff\xfe\x80",
        "utf-16": json.dumps(LINE).encode("utf-16"),
        "words": b"population",
        "deep": b"[" * 100_000,
        "deeper": b'{"a":' * 100_000,
        "number": b"9" * 5000,
        "gz": b"\x1f\x8b\x08",
        "twice": b'{"sample": 1, "sample": 2}',
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    said = {
        "pipe": "a pipe",
        "socket": "a socket",
        "link": "a link to nowhere",
        "none": "no such file",
        "binary": "not UTF-8",
        "utf-16": "UTF-16",
        "words": "not valid JSON",
        "deep": "nested too deeply",
        "deeper": "nested too deeply",
        "number": "4300 digits",
        "gz": "gzip",
        "twice": "'sample' is repeated",
    }
    return {folder: "a folder", Path("/dev/zero"): "a device"} | {folder / name: part for name, part in said.items()}


def test_score_refuses_unreadable_responses_in_one_line(odd, tmp_path):
    for path, part in odd.items():
        line = refusal("score", "gsm8k", path, "--details", tmp_path / "details.jsonl")
        assert str(path) in line
        assert part in line
        assert "delete" not in line
    assert not (tmp_path / "details.jsonl").exists()


@pytest.mark.parametrize(
    ("task", "text", "part"),
    [
        ("gsm8k", "", "no lines"),
        ("gsm8k", "\n\n", "no lines"),
        ("gsm8k", "[]", "no lines"),
        ("gsm8k", "{}", "line 1: expected `sample`"),
        ("gsm8k", "\n3", "line 2: expected `sample`"),
        ("gsm8k", '[{"sample": {}, "response": "5"}]', "row 1: task gsm8k"),
        ("gsm8k", json.dumps({**LINE, "response": 5}), "line 1: a response must be text"),
        ("gsm8k", json.dumps({**LINE, "response": "\ud800"}), "line 1: a response contains half of a surrogate pair"),
        ("gsm8k", json.dumps({"sample": {"q": "?"}, "response": "5"}), "line 1: task gsm8k"),
        ("drop", json.dumps(LINE), "line 1: task drop"),
        ("gsm", json.dumps(LINE), "no task 'gsm' (did you mean"),
        ("nowhere.yaml", json.dumps(LINE), "no task 'nowhere.yaml'"),
        ("", json.dumps(LINE), "no task ''"),
    ],
)
def test_score_refuses_responses_of_another_form_or_task_in_one_line(tmp_path, task, text, part):
    (tmp_path / "responses.jsonl").write_text(text)
    assert part in refusal("score", task, tmp_path / "responses.jsonl", "--details", tmp_path / "details.jsonl")
    assert not (tmp_path / "details.jsonl").exists()


@pytest.mark.parametrize("form", ["lines", "array", "mark"])
def test_score_reads_every_form_of_responses(tmp_path, form):
    path, details = tmp_path / "responses", tmp_path / "details.jsonl"
    rows = [{**LINE, "note": float("nan")}, {**LINE, "sample": {**QUESTION, "id": "\ud800", "n": float("inf")}}]
    texts = [json.dumps(row) for row in rows]
    content = {"lines": "\r\n\r\n".join(texts), "array": f"[{', '.join(texts)}]", "mark": "\n\n".join(texts)}[form]
    path.write_text(content, encoding="utf-8-sig" if form == "mark" else "utf-8")
    result = CliRunner().invoke(app, ["score", "gsm8k", str(path), "--details", str(details)])
    assert result.exit_code == 0, result.exception
    assert (json.loads(result.stdout)["score"], json.loads(result.stdout)["n"]) == (1.0, 2)
    first, second = map(json.loads, details.read_text().splitlines())
    counted, numbers = ("row", [1, 2]) if form == "array" else ("line", [1, 3])
    assert [first[counted], second[counted]] == numbers
    assert (second["id"], second["answer"]) == ("\ud800", "5")


def test_score_never_overwrites_responses_or_a_folder_with_details(tmp_path):
    path = tmp_path / "responses.jsonl"
    path.write_text(json.dumps(LINE))
    (tmp_path / "link").symlink_to(path)
    for details in (path, tmp_path / "link"):
        assert "contains the responses" in refusal("score", "gsm8k", path, "--details", details)
    assert json.loads(path.read_text()) == LINE
    for details, part in ((tmp_path, "a folder"), ("/dev/null", "a device"), (path / "below", "is not a folder")):
        assert f"cannot write {details}: " in (line := refusal("score", "gsm8k", path, "--details", details))
        assert part in line


def test_score_reports_a_base_without_tokenizer_in_one_line(tmp_path):
    (tmp_path / "responses.jsonl").write_text(json.dumps({"sample": {"sentence": "Ja.", "id": 3}, "response": "Ja."}))
    task = tmp_path / "mine.yaml"
    task.write_text("{kind: translation, source: {path: x}, prompt: p, reference: sentence, tokenizer: base}")
    assert "tokenizer" in refusal("score", task, tmp_path / "responses.jsonl", "--base", tmp_path / "none")


@pytest.fixture
def stored(tmp_path):
    experts = [write_expert(tmp_path / "experts" / name, seed) for seed, name in enumerate(("one", "two"))]
    best = Individual("a", Genotype((0.5, 0.25)), "mixture", fitness=Fitness(0.9, {}))
    write_population(tmp_path / "population.json", scored(new_population([best]), experts), experts)
    return tmp_path


def materialise(stored, population, out, *options):
    return "materialise", population, out, "--experts", stored / "experts", *options


def test_materialise_refuses_unreadable_populations_in_one_line(stored, odd):
    for path, part in odd.items():
        line = refusal(*materialise(stored, path, stored / "out"))
        assert str(path) in line
        assert part in line
    recorded = json.loads((stored / "population.json").read_text())
    other = stored / "other.json"
    for value in ([], {}, {"best": recorded["best"]}, {**recorded, "best": 3}):
        other.write_text(json.dumps(value))
        assert str(other) in refusal(*materialise(stored, other, stored / "out"))
    assert not (stored / "out").exists()


def test_failed_materialise_leaves_nothing(stored, monkeypatch):
    population, out = stored / "population.json", stored / "new" / "out"
    cases = [
        (("--member", "b"), "no individual 'b'"),
        (("--experts", stored / "none"), "none/one.safetensors: missing"),
        (("--rank", "0"), "rank 0"),
        (("--rank", "many"), "Usage"),
    ]
    for options, part in cases:
        assert part in refusal(*materialise(stored, population, out, *options))
        assert not out.exists()
    for taken in (population, stored / "experts", stored):
        assert "exists already" in refusal(*materialise(stored, population, taken))
    assert "is not a folder" in refusal(*materialise(stored, population, population / "out"))
    monkeypatch.chdir(stored)
    (stored / "link").symlink_to("nowhere")
    assert "it is a link to nowhere" in refusal(*materialise(stored, population, "link"))
    assert "exists already" in refusal(*materialise(stored, population, ".."))
    assert sorted(file.name for file in stored.iterdir()) == ["experts", "link", "population.json"]


@pytest.mark.parametrize("content", [b"", b"[]", b"\x02\0\0\0\0\0\0\0{}"])
def test_materialise_names_a_damaged_expert(stored, content):
    damaged = stored / "experts" / "two.safetensors"
    damaged.write_bytes(content)
    for source in (stored / "population.json", damaged):
        assert str(damaged) in refusal(*materialise(stored, source, stored / "out"))
        assert not (stored / "out").exists()


def test_config_reference_is_printed_and_written():
    for command, file in (("schema", "workflow/schemas/config.schema.yaml"), ("reference", "docs/config.md")):
        result = CliRunner().invoke(app, ["config", command])
        assert result.exit_code == 0
        assert result.output == (PROJECT / file).read_text(encoding="utf-8")


def test_config_update_writes_both_files(tmp_path):
    for folder in ("workflow/schemas", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    assert write(tmp_path) == [tmp_path / "workflow/schemas/config.schema.yaml", tmp_path / "docs/config.md"]
    assert (tmp_path / "docs/config.md").read_text(encoding="utf-8") == (PROJECT / "docs/config.md").read_text("utf-8")

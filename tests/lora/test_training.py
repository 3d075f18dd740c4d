import filecmp
import gzip
import json
from dataclasses import replace

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from genome.errors import GenomeError
from genome.files import read_json, write_jsonl
from genome.lora.training import Example, Training, collate, corpus_rows, encode, saving, schedule, train_lora
from genome.micro import world
from genome.micro.base import Pretraining, build_tokenizer, pretrain
from genome.tasks import parse_task
from genome.tasks.chat import Chat, load_tokenizer, parse_chat, prompt_texts, token_ids
from genome.tasks.prompts import prepare

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SETTINGS = Training(rank=4, alpha=8, learning_rate=3e-2, epochs=10, batch_size=16)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    pretrain(folder, Pretraining(hidden_size=16, layers=1, heads=2, rows=512, epochs=8, batch_size=32))
    return folder


@pytest.fixture(scope="module")
def rows():
    return world.expert_corpus("add", 64)


def test_train_lora_lowers_the_loss_and_is_reproducible(base, rows, tmp_path):
    # A task that even a model of one layer learns: the same answer to every prompt.
    rows = [{**row, "response": "uno"} for row in rows]
    result = train_lora(base, rows, SETTINGS, tmp_path / "one", name="add", base_name="tiny")
    train_lora(base, rows, SETTINGS, tmp_path / "two", name="add", base_name="tiny")
    assert result["steps"] == 40
    assert result["last_loss"] < 0.7 * result["first_loss"]
    names = ["adapter_config.json", "adapter_model.safetensors"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    assert filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", names, shallow=False) == (names, [], [])


def test_train_lora_writes_no_paths(base, rows, tmp_path):
    train_lora(base, rows, SETTINGS, tmp_path / "add", name="add", base_name="tiny")
    config = read_json(tmp_path / "add/adapter_config.json")
    assert config["base_model_name_or_path"] == "tiny"
    assert config["target_modules"] == sorted(SETTINGS.target_modules)
    assert str(tmp_path) not in json.dumps(config)


@pytest.mark.parametrize("kind", ["rslora", "dora"])
def test_rslora_and_dora_are_what_peft_calls_them(base, rows, tmp_path, kind):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    train_lora(base, rows, replace(SETTINGS, kind=kind, epochs=1), tmp_path / "add", name="add")
    config = read_json(tmp_path / "add/adapter_config.json")
    assert (config["use_rslora"], config["use_dora"]) == (kind == "rslora", kind == "dora")
    tensors = load_file(tmp_path / "add/adapter_model.safetensors")
    assert any("magnitude" in name for name in tensors) == (kind == "dora")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "add")
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    assert layer.scaling["default"] == pytest.approx(8 / (2 if kind == "rslora" else 4))


def test_full_changes_the_weights_of_the_target_modules_only(base, rows, tmp_path):
    from transformers import AutoModelForCausalLM

    settings = replace(SETTINGS, kind="full", epochs=1, target_modules=("q_proj", "down_proj"))
    for folder in ("one", "two"):
        train_lora(base, rows, settings, tmp_path / folder, name="add")
    names = ["config.json", "model.safetensors"]
    assert set(names) <= {path.name for path in (tmp_path / "one").iterdir()}
    assert not list((tmp_path / "one").glob("*token*"))
    assert filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", names, shallow=False) == (names, [], [])
    before, after = (AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (base, tmp_path / "one"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.endswith(("q_proj.weight", "down_proj.weight"))}


def test_full_of_a_narrow_base_keeps_small_changes(base, rows, tmp_path):
    """Steps of 1e-5 on weights near 0.1 vanish in bfloat16; the base's own weights stay exact."""
    from transformers import AutoModelForCausalLM

    settings = replace(SETTINGS, kind="full", epochs=1, learning_rate=1e-5, dtype="bfloat16")
    train_lora(base, rows, settings, tmp_path / "add", name="add")
    saved = load_file(tmp_path / "add/model.safetensors")
    narrow = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).state_dict()
    for name, tensor in saved.items():
        assert tensor.dtype == torch.float32
        difference = (tensor - narrow[name].float()).abs()
        assert 0 < difference.max() < 1e-3 if "_proj." in name else not difference.any()


def test_peft_loads_a_trained_adapter_and_it_changes_the_logits(base, rows, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    train_lora(base, rows, SETTINGS, tmp_path / "add", name="add")
    model = AutoModelForCausalLM.from_pretrained(base)
    tokens = torch.tensor([[2, 5, 7, 9]])
    with torch.no_grad():
        before = model(tokens).logits
        after = PeftModel.from_pretrained(model, tmp_path / "add")(tokens).logits
    assert not torch.allclose(before, after)


def test_experts_of_one_init_seed_start_from_the_same_weights(base, tmp_path):
    still = replace(SETTINGS, learning_rate=0.0, epochs=1)
    for name, seed in (("add", 0), ("logic", 7)):
        corpus = world.expert_corpus(name, 32)
        train_lora(base, corpus, replace(still, seed=seed), tmp_path / name, name=name)
    train_lora(base, world.expert_corpus("add", 32), replace(still, init_seed=1), tmp_path / "other", name="add")
    first, second, other = (
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("add", "logic", "other")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_without_init_seed_each_name_has_its_own_start(base, rows, tmp_path):
    still = replace(SETTINGS, learning_rate=0.0, epochs=1, init_seed=None)
    for folder, name in (("add", "add"), ("again", "add"), ("logic", "logic")):
        train_lora(base, rows, still, tmp_path / folder, name=name)
    first, again, other = (
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("add", "again", "logic")
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first if "lora_A" in name)


def test_rows_per_pass_does_not_change_the_losses(base, rows, tmp_path):
    whole = train_lora(base, rows, SETTINGS, tmp_path / "whole", name="add")
    parts = train_lora(base, rows, replace(SETTINGS, rows_per_pass=5), tmp_path / "parts", name="add")
    assert parts["first_loss"] == pytest.approx(whole["first_loss"], rel=1e-5)


def test_loss_covers_only_responses_and_their_end():
    tokenizer = build_tokenizer()
    (example,) = encode(tokenizer, [{"prompt": "tally 7 and 5", "response": "12"}], 100)
    learnt = example.tokens[example.prompt_length :]
    assert tokenizer.convert_ids_to_tokens(learnt) == ["▁1", "2", "<eos>"]
    tokens, labels = collate([example, Example((2, 3), 1)])
    assert tokens.shape == labels.shape == (2, len(example.tokens))
    assert labels[0].tolist() == [-100] * example.prompt_length + list(learnt)
    assert labels[1].tolist() == [-100, 3] + [-100] * (len(example.tokens) - 2)


def test_schedule_warms_up_and_falls_to_zero():
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


@pytest.mark.parametrize(
    ("corpus", "message"),
    [
        ([], "no rows to train on"),
        ([{"prompt": "a"}], "row 1: no text in `response`"),
        ([{"prompt": "a", "response": "b"}, {"prompt": "", "response": "b"}], "row 2: no text in `prompt`"),
    ],
)
def test_train_lora_refuses_bad_corpora_and_writes_nothing(base, tmp_path, corpus, message):
    write_jsonl(tmp_path / "corpus.jsonl", corpus)
    with pytest.raises(GenomeError, match=message) as error:
        train_lora(base, tmp_path / "corpus.jsonl", SETTINGS, tmp_path / "out", name="x")
    assert "corpus.jsonl" in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["blank", "mark", "array", "gz"])
def test_corpus_rows_reads_every_form(tmp_path, form):
    rows = [{"prompt": "a", "response": "b", "note": None}, {"prompt": "c", "response": "d"}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    content = {
        "blank": text + "\n",
        "mark": "\ufeff" + text.replace("\n", "\r\n"),
        "array": json.dumps(rows, indent=1),
        "gz": gzip.compress(text.encode()),
    }[form]
    (tmp_path / "corpus").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert corpus_rows(tmp_path / "corpus") == rows


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", ": no rows to train on"),
        ("[]", ": no rows to train on"),
        ('{"prompt": "a", "response": "b"}\n\n{"prompt": "a"}', ", row 2 (line 3): no text in `response`"),
        ('{"prompt": "a", "response": "\\ud800"}', ", row 1: `response` contains half of a surrogate pair"),
        ('{"prompt": NaN, "response": "b"}', ", row 1: no text in `prompt`"),
        ('[{"prompt": "a", "response": "b"}, "c"]', ", row 2: no text in `prompt`"),
        ('{"prompt": "a", "response": "b"}\n{', ", line 2: not valid JSON"),
    ],
)
def test_corpus_rows_names_a_bad_row_without_advising_to_delete_the_file(tmp_path, text, part):
    (tmp_path / "mine.jsonl").write_text(text)
    with pytest.raises(GenomeError) as error:
        corpus_rows(tmp_path / "mine.jsonl")
    assert str(error.value).startswith(f"{tmp_path}/mine.jsonl{part}")
    assert "delete" not in str(error.value)


def test_corpus_rows_ignores_other_columns(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a", "response": "b", "score": NaN, "from": "\\ud800"}')
    assert [row["response"] for row in corpus_rows(tmp_path / "mine.jsonl")] == ["b"]


def test_saving_reports_a_full_disk_in_one_line(tmp_path):
    with pytest.raises(GenomeError, match=f"^cannot write {tmp_path}/out: .*free space"), saving(tmp_path / "out"):
        raise SafetensorError("I/O error: No space left on device (os error 28)")


def test_train_lora_refuses_unknown_target_modules(base, rows, tmp_path):
    with pytest.raises(GenomeError, match=r"query_key_value not in .*its linear layers are .*q_proj"):
        train_lora(base, rows, replace(SETTINGS, target_modules=("query_key_value",)), tmp_path / "out", name="x")


def test_encode_refuses_prompts_that_leave_no_room():
    with pytest.raises(GenomeError, match="max_length 3: all prompts are longer, so no response is left"):
        encode(build_tokenizer(), [{"prompt": "tally 7 and 5", "response": "12"}], 3)


def test_encode_refuses_a_base_without_chat_template():
    tokenizer = build_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(GenomeError, match="no chat template"):
        encode(tokenizer, [{"prompt": "a", "response": "b"}], 9)


@pytest.mark.parametrize(
    "chat",
    [
        None,
        {"assistant_prefix": "the answer"},
        {"template_arguments": {"spoken": True}, "assistant_prefix": "the answer"},
        {"system": "dear robot", "date": "2025-01-31"},
        "plain",
    ],
)
def test_encode_begins_with_the_tokens_of_the_prompt_stage(tmp_path, chat):
    tokenizer = build_tokenizer()
    tokenizer.chat_template += (
        "{% if add_generation_prompt %}{% if spoken is defined %} please{% endif %}{{ strftime_now(' %d') }}{% endif %}"
    )
    tokenizer.save_pretrained(tmp_path)
    chat = parse_chat(chat)
    [example] = encode(load_tokenizer(tmp_path), [{"prompt": "tally 7 and 5", "response": "12"}], 99, chat)
    task = parse_task("sums", {"kind": "number", "source": {"path": "x"}, "prompt": "{{ q }}", "reference": "a"})
    [sample] = prepare(task, [{"id": "r", "q": "tally 7 and 5", "a": 12}], tmp_path, chat)
    assert list(example.tokens[: example.prompt_length]) == sample["tokens"]
    answer = tokenizer.decode(example.tokens[example.prompt_length :])
    assert answer.strip() == "12" + tokenizer.eos_token


def test_encode_without_template_matches_the_prompts():
    tokenizer = build_tokenizer()
    tokenizer.chat_template = None
    plain = Chat(plain=True)
    [example] = encode(tokenizer, [{"prompt": "tally 7 and 5", "response": "12"}], 99, plain)
    asked = token_ids(tokenizer, prompt_texts(tokenizer, ["tally 7 and 5"], plain))[0]
    assert list(example.tokens) == [
        *asked,
        *tokenizer("12", add_special_tokens=False).input_ids,
        tokenizer.eos_token_id,
    ]
    assert example.prompt_length == len(asked)

import json
import shutil

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from engine.tiny_models import FAMILIES, save_adapter
from genome.engine.model import Model, write_merged
from genome.errors import GenomeError

# PEFT asks transformers by a name that is to be removed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def reference(base, adapter=None):
    """transformers' own model, with the adapter merged by PEFT."""
    network = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    return PeftModel.from_pretrained(network, adapter).merge_and_unload() if adapter else network


def generate(network, prompt, max_tokens):
    """One prompt's answer by transformers' generate, without the end token."""
    tokens = torch.tensor([prompt])
    row = network.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=max_tokens, do_sample=False)[
        0, len(prompt) :
    ].tolist()
    ends = network.generation_config.eos_token_id
    ends = [ends] if isinstance(ends, int) else ends
    return (row[:-1], True) if row[-1] in ends else (row, False)


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("name", FAMILIES)
def test_answers_are_those_of_transformers_and_peft(family, prompts, name, adapted):
    base, adapters = family(name)
    network = reference(base, adapters[0] if adapted else None)
    model = Model(base)
    if adapted:
        model.use(model.read_adapter(adapters[0]))
    expected = [generate(network, prompt, 12) for prompt in prompts]
    assert [(c.tokens, c.stopped) for c in model.complete(prompts, 12)] == expected
    if not adapted:
        # The comparison means something only if rows end at different times.
        assert len({len(tokens) for tokens, _ in expected}) > 2


@pytest.mark.parametrize("name", FAMILIES)
def test_a_merged_model_is_what_peft_serves(family, prompts, tmp_path, name):
    base, adapters = family(name)
    write_merged(base, adapters[0], tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", attn_implementation="eager")
    adapted = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager"), adapters[0]
    )
    for prompt in prompts:
        tokens = torch.tensor([prompt])
        torch.testing.assert_close(merged(tokens).logits, adapted(tokens).logits, atol=1e-4, rtol=1e-4)
    model = Model(base)
    model.use(model.read_adapter(adapters[0]))
    expected = [(c.tokens, c.stopped) for c in model.complete(prompts, 12)]
    assert [generate(merged, prompt, 12) for prompt in prompts] == expected
    files = {path.name for path in tmp_path.joinpath("merged").iterdir()}
    assert {path.name for path in base.iterdir() if path.name != "model.safetensors"} <= files


def test_a_merged_model_keeps_the_type_of_its_base(family, tmp_path):
    base, adapters = family("llama")
    shutil.copytree(base, tmp_path / "bfloat16")
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(tmp_path / "bfloat16")
    write_merged(tmp_path / "bfloat16", adapters[0], tmp_path / "merged")
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype="auto")
    exact = AutoModelForCausalLM.from_pretrained(tmp_path / "bfloat16", dtype=torch.float32)
    exact = PeftModel.from_pretrained(exact, adapters[0]).merge_and_unload()
    for (name, weight), (_, expected) in zip(ours.named_parameters(), exact.named_parameters(), strict=True):
        assert weight.dtype == torch.bfloat16
        # Summed in float32 and rounded once; sums in another order may round to the neighbour.
        torch.testing.assert_close(weight.float(), expected, atol=1e-6, rtol=2**-8, msg=name)


@pytest.mark.parametrize("name", FAMILIES)
def test_log_probabilities_are_those_of_transformers(family, prompts, name):
    base, adapters = family(name)
    network, model = reference(base, adapters[1]), Model(base)
    model.use(model.read_adapter(adapters[1]))
    scores, following = model.score(prompts)
    for prompt, row, completion in zip(prompts, scores, following, strict=True):
        logits = network(torch.tensor([prompt])).logits[0].log_softmax(-1)
        expected = [logits[i, token].item() for i, token in enumerate(prompt[1:])]
        assert row == pytest.approx(expected, abs=1e-4)
        assert completion == model.complete([prompt], 1)[0]


def test_reading_prompts_in_parts_changes_no_answer(gemma, prompts, monkeypatch):
    model = Model(gemma[0])
    whole = model.complete(prompts, 8)
    monkeypatch.setattr("genome.engine.model.TOKENS_AT_ONCE", 40)
    assert model.complete(prompts, 8) == whole


def test_scoring_in_parts_changes_nothing(gemma, prompts, monkeypatch):
    model = Model(gemma[0])
    whole, _ = model.score(prompts)
    monkeypatch.setattr("genome.engine.model.LOGITS_AT_ONCE", 1)
    single, _ = model.score(prompts)
    for a, b in zip(whole, single, strict=True):
        assert a == pytest.approx(b, abs=1e-4)


def test_switching_leaves_no_trace(gemma, prompts, tmp_path):
    base, adapters = gemma
    partial = save_adapter(FAMILIES["gemma2"](), tmp_path / "partial", seed=9, targets=["o_proj"], rank=2)
    model = Model(base)
    served = [None, *map(model.read_adapter, [*adapters, partial])]
    fresh = []
    for folder in [None, *adapters, partial]:
        alone = Model(base)
        alone.use(folder and alone.read_adapter(folder))
        fresh.append(alone.complete(prompts, 8))
    assert len(set(map(str, fresh))) == len(fresh)
    for index in [1, 0, 2, 4, 3, 1, 4, 0, 2]:
        model.use(served[index])
        assert model.complete(prompts, 8) == fresh[index]


def test_no_step_is_computed_after_the_last_answer_has_ended(gemma, prompts):
    model = Model(gemma[0])
    ended = [p for p, c in zip(prompts, model.complete(prompts, 12), strict=True) if c.stopped]
    longest = max(len(c.tokens) for c in model.complete(ended, 12))
    steps = []
    network = model.network
    network.register_forward_pre_hook(lambda _, __, call: steps.append(call["input_ids"].shape), with_kwargs=True)
    model.complete(ended, 12)
    assert ended
    # One pass over the prompts, then a step a token, the end included; the batch shrinks as rows end.
    assert len(steps) == 1 + longest + 1
    assert steps[1] == (len(ended), 1)
    assert steps[-1][0] <= len(ended) / 2


def test_weights_of_half_precision_are_merged_in_float32(gemma, tmp_path):
    base, adapters = gemma
    AutoModelForCausalLM.from_pretrained(base).bfloat16().save_pretrained(tmp_path)
    model = Model(tmp_path)
    name, original = next((n, w.clone()) for n, w in model.linear.items() if n.endswith("q_proj"))
    adapter = model.read_adapter(adapters[0])
    model.use(adapter)
    A, B = adapter.factors[name]
    assert model.linear[name].dtype == torch.bfloat16
    assert torch.equal(model.linear[name], (original.float() + 2 * (B @ A)).bfloat16())


def change_config(**fields):
    def change(folder):
        file = folder / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields))

    return change


def truncate(folder):
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def poison(folder):
    from safetensors.torch import load_file, save_file

    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors[min(tensors)][0, 0] = float("nan")
    save_file(tensors, file)


def drop(suffix):
    def change(folder):
        from safetensors.torch import load_file, save_file

        file = folder / "adapter_model.safetensors"
        tensors = load_file(file)
        del tensors[next(key for key in sorted(tensors) if key.endswith(suffix))]
        save_file(tensors, file)

    return change


BROKEN = {
    "rank": (change_config(r=8), r"expected \[8, \d+\] and \[\d+, 8\] for rank 8"),
    "dora": (change_config(use_dora=True), "use_dora is true, expected false"),
    "truncated": (truncate, "not a whole safetensors file"),
    "nan": (poison, "holds NaN or infinity"),
    "no A": (drop("lora_A.weight"), "has no partner"),
    "no B": (drop("lora_B.weight"), "has no partner"),
    "no rank": (change_config(r=None), "r is no positive number"),
    "no config": (lambda folder: (folder / "adapter_config.json").unlink(), r"no adapter_config\.json"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_bad_adapter_is_refused_in_one_line(gemma, tmp_path, case):
    base, adapters = gemma
    change, message = BROKEN[case]
    folder = shutil.copytree(adapters[0], tmp_path / "adapter")
    change(folder)
    with pytest.raises(GenomeError, match=message) as caught:
        Model(base).read_adapter(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_base_is_refused(gemma, family):
    with pytest.raises(GenomeError, match="expected"):
        Model(gemma[0]).read_adapter(family("wide")[1][0])


def test_a_tied_output_layer_is_refused(family, tmp_path):
    # Merging into it would change the embedding as well.
    folder = save_adapter(FAMILIES["qwen2"](), tmp_path / "adapter", seed=1, targets=["lm_head"])
    with pytest.raises(GenomeError, match=r"lm_head.* belongs to no linear layer"):
        Model(family("qwen2")[0]).read_adapter(folder)

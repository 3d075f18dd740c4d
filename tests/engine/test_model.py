import json
import os
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GenerationConfig

from engine import tiny_models
from engine.tiny_models import ARCHITECTURES, FAMILIES, save_adapter
from genome.engine import loading
from genome.engine.adapter import _module
from genome.engine.merged import write_merged
from genome.engine.model import Model
from genome.errors import GenomeError

# PEFT uses a deprecated name of transformers.
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
def test_complete_equals_transformers_with_peft(family, prompts, name, adapted):
    base, adapters = family(name)
    network = reference(base, adapters[0] if adapted else None)
    model = Model(base)
    if adapted:
        model.use(model.read_adapter(adapters[0]))
    expected = [generate(network, prompt, 12) for prompt in prompts]
    assert [(c.tokens, c.stopped) for c in model.complete(prompts, 12)] == expected
    if not adapted:
        # The comparison is only useful if rows end at different times.
        assert len({len(tokens) for tokens, _ in expected}) > 2


@pytest.mark.parametrize("name", FAMILIES)
def test_write_merged_equals_peft(family, prompts, tmp_path, name):
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


def test_write_merged_keeps_the_type_of_the_base(family, tmp_path):
    base, adapters = family("llama")
    shutil.copytree(base, tmp_path / "bfloat16")
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(tmp_path / "bfloat16")
    write_merged(tmp_path / "bfloat16", adapters[0], tmp_path / "merged")
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype="auto")
    exact = AutoModelForCausalLM.from_pretrained(tmp_path / "bfloat16", dtype=torch.float32)
    exact = PeftModel.from_pretrained(exact, adapters[0]).merge_and_unload()
    for (name, weight), (_, expected) in zip(ours.named_parameters(), exact.named_parameters(), strict=True):
        assert weight.dtype == torch.bfloat16
        # Summed in float32 and rounded once; sums in another order may round to the next value.
        torch.testing.assert_close(weight.float(), expected, atol=1e-6, rtol=2**-8, msg=name)


@pytest.mark.parametrize("name", FAMILIES)
def test_score_equals_transformers(family, prompts, name):
    base, adapters = family(name)
    network, model = reference(base, adapters[1]), Model(base)
    model.use(model.read_adapter(adapters[1]))
    scores, following = model.score(prompts)
    for prompt, row, completion in zip(prompts, scores, following, strict=True):
        logits = network(torch.tensor([prompt])).logits[0].log_softmax(-1)
        expected = [logits[i, token].item() for i, token in enumerate(prompt[1:])]
        assert row == pytest.approx(expected, abs=1e-4)
        assert completion == model.complete([prompt], 1)[0]


def adapt(base, folder, linear):
    """Write an adapter of the linear layers `linear`; return the base's network with the adapter merged manually."""
    network = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()
    weights = {name: module.weight for name, module in network.named_modules() if name in linear}
    random, tensors = torch.Generator().manual_seed(5), {}
    for name, weight in weights.items():
        A, B = (torch.randn(shape, generator=random) * 0.2 for shape in ((2, weight.shape[1]), (weight.shape[0], 2)))
        tensors |= {f"base_model.model.{name}.lora_A.weight": A, f"base_model.model.{name}.lora_B.weight": B}
        weight.data += 1.5 * (B @ A)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 3}))
    return network


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_equals_transformers(name, prompts, tmp_path):
    base, some = tmp_path / "base", [*prompts[:4], prompts[3][::-1], prompts[1][:2]]
    if (
        name != "recurrent_gemma"
    ):  # for a prompt of one token, it keeps the state of the text before, also in transformers
        some.append(prompts[0][:1])
    tiny_models.architecture(name).save_pretrained(base)
    tiny_models.tokenizer().save_pretrained(base)
    model = Model(base)
    # GPT-2's linear layers are not torch's.
    adapted = adapt(base, tmp_path / "adapter", model.linear) if model.linear else None
    for adapter, network in [(None, AutoModelForCausalLM.from_pretrained(base)), ("adapter", adapted)]:
        if network is None:
            continue
        model.use(adapter and model.read_adapter(tmp_path / adapter))
        expected = [generate(network, prompt, 6) for prompt in some]
        assert [(c.tokens, c.stopped) for c in model.complete(some, 6)] == expected
        assert [(c.tokens, c.stopped) for c in model.complete(some[:1], 6)] == expected[:1]
        scores, following = model.score(some)
        for prompt, row, completion, (answer, _) in zip(some, scores, following, expected, strict=True):
            with torch.inference_mode():
                logits = network(torch.tensor([prompt])).logits[0].log_softmax(-1)
            assert row == pytest.approx([logits[i, token].item() for i, token in enumerate(prompt[1:])], abs=2e-4)
            assert completion.tokens == answer[:1]


def test_sampling_settings_of_the_base_are_ignored(family, prompts, tmp_path):
    base = shutil.copytree(family("llama")[0], tmp_path / "base")
    plain = Model(base).complete(prompts, 6)
    settings = json.loads((base / "generation_config.json").read_text())
    settings |= {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 5.0, "max_new_tokens": 1}
    (base / "generation_config.json").write_text(json.dumps(settings))
    model = Model(base)
    assert model.complete(prompts, 6) == plain
    assert model._generate(prompts, 6) == plain


def test_padded_and_unpadded_answers_agree(gemma, prompts):
    model = Model(gemma[0])
    assert model._generate(prompts, 8) == model.complete(prompts, 8)


def test_end_token_of_the_tokenizer_ends_answers(family, prompts, tmp_path):
    base = shutil.copytree(family("llama")[0], tmp_path / "base")
    whole = Model(base).complete(prompts, 12)
    for file in ("config.json", "generation_config.json"):
        fields = json.loads((base / file).read_text())
        (base / file).write_text(json.dumps(fields | {"eos_token_id": [*range(70, 96)]}))
    # Token 1 is the tokenizer's.
    assert Model(base).complete(prompts, 12) == whole
    generation = (base / "generation_config.json").read_text()
    (base / "generation_config.json").unlink()
    assert Model(base).complete(prompts, 12) == whole
    # As in vLLM, config.json counts only without that file.
    (base / "generation_config.json").write_text(json.dumps(json.loads(generation) | {"eos_token_id": None}))
    assert Model(base)._end_tokens.tolist() == [1]
    end = next(completion.tokens[0] for completion in whole if completion.tokens)
    tokenizer = tiny_models.tokenizer()
    tokenizer.eos_token = f"w{end}"
    tokenizer.save_pretrained(base)
    completions = Model(base).complete(prompts, 12)
    assert any(completion == type(completion)([], True) for completion in completions)
    assert not any(end in completion.tokens for completion in completions)


def test_model_without_an_end_token_is_refused(family, tmp_path):
    base = shutil.copytree(family("llama")[0], tmp_path / "base")
    for file in ("config.json", "generation_config.json"):
        (base / file).write_text(json.dumps(json.loads((base / file).read_text()) | {"eos_token_id": None}))
    tokenizer = tiny_models.tokenizer()
    tokenizer.eos_token = None
    tokenizer.save_pretrained(base)
    with pytest.raises(GenomeError, match="no token ends an answer; set eos_token_id") as caught:
        Model(base)
    assert str(base) in str(caught.value)


@pytest.fixture(params=["llama", "lfm2"])
def overflowing(request, tmp_path, prompts):
    """A base of half precision whose logits overflow with an adapter: (model, adapter folder)."""
    tiny_models.architecture(request.param).half().save_pretrained(tmp_path / "base")
    tiny_models.tokenizer().save_pretrained(tmp_path / "base")
    model = Model(tmp_path / "base")
    name = next(name for name in model.linear if name.endswith(("down_proj", "w2")))
    outputs, inputs = model.linear[name].shape
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_file(
        {
            f"base_model.model.{name}.lora_A.weight": torch.full((1, inputs), 1000.0),
            f"base_model.model.{name}.lora_B.weight": torch.full((outputs, 1), 1000.0),
        },
        folder / "adapter_model.safetensors",
    )
    (folder / "adapter_config.json").write_text(json.dumps({"r": 1, "lora_alpha": 1}))
    return model, folder


@pytest.mark.parametrize("ask", ["complete", "score"])
def test_nan_logits_are_refused_in_one_line(overflowing, prompts, ask):
    model, folder = overflowing
    arguments = (prompts, 4) if ask == "complete" else (prompts,)
    getattr(model, ask)(*arguments)
    model.use(model.read_adapter(folder))
    message = r"NaN or infinite logits in float16 with adapter [^;]*; use bfloat16 or float32"
    with pytest.raises(GenomeError, match=message) as caught:
        getattr(model, ask)(*arguments)
    assert str(model.base) in str(caught.value)
    assert str(folder) in str(caught.value)
    model.use(None)
    getattr(model, ask)(*arguments)


def test_masked_logits_are_not_refused(gemma, prompts):
    model = Model(gemma[0])
    plain = model.complete(prompts, 4)

    unused = next(token for token in range(3, 70) if not any(token in c.tokens for c in plain))

    def mask(network, given, output):
        output.logits[..., unused] = -torch.inf
        return output

    model.network.register_forward_hook(mask)
    assert model.complete(prompts, 4) == plain
    assert model._generate(prompts, 4) == plain
    for prompt, row in zip(prompts, model.score(prompts)[0], strict=True):
        assert [value == -torch.inf for value in row] == [token == unused for token in prompt[1:]]


def test_complete_does_not_depend_on_the_size_of_parts(gemma, prompts, monkeypatch):
    model = Model(gemma[0])
    whole = model.complete(prompts, 8)
    monkeypatch.setattr("genome.engine.reading.TOKENS_AT_ONCE", 40)
    assert model.complete(prompts, 8) == whole


def test_score_does_not_depend_on_the_size_of_parts(gemma, prompts, monkeypatch):
    model = Model(gemma[0])
    whole, _ = model.score(prompts)
    monkeypatch.setattr("genome.engine.model.LOGITS_AT_ONCE", 1)
    single, _ = model.score(prompts)
    for a, b in zip(whole, single, strict=True):
        assert a == pytest.approx(b, abs=1e-4)


def test_use_of_another_adapter_leaves_no_trace(gemma, prompts, tmp_path):
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


def test_complete_stops_after_the_last_answer(gemma, prompts):
    model = Model(gemma[0])
    ended = [p for p, c in zip(prompts, model.complete(prompts, 12), strict=True) if c.stopped]
    longest = max(len(c.tokens) for c in model.complete(ended, 12))
    steps = []
    network = model.network
    network.register_forward_pre_hook(lambda _, __, call: steps.append(call["input_ids"].shape), with_kwargs=True)
    model.complete(ended, 12)
    assert ended
    # One pass over the prompts, then one step per token, including the end; the batch shrinks as rows end.
    assert len(steps) == 1 + longest + 1
    assert steps[1] == (len(ended), 1)
    assert steps[-1][0] <= len(ended) / 2


def test_use_merges_half_precision_weights_in_float32(gemma, tmp_path):
    base, adapters = gemma
    AutoModelForCausalLM.from_pretrained(base).bfloat16().save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)
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


def change_tensors(change):
    def rewrite(folder):
        file = folder / "adapter_model.safetensors"
        save_file(change(load_file(file)), file)

    return rewrite


def poison(tensors):
    tensors[min(tensors)][0, 0] = float("nan")
    return tensors


def drop(suffix):
    return change_tensors(
        lambda tensors: {
            key: tensor
            for key, tensor in tensors.items()
            if key != next(key for key in sorted(tensors) if key.endswith(suffix))
        }
    )


def replace(name, make):
    def change(folder):
        (folder / name).unlink()
        make(folder / name)

    return change


BROKEN = {
    "rank": (change_config(r=8), r"expected \[8, \d+\] and \[\d+, 8\] for rank 8"),
    "dora": (change_config(use_dora=True), "use_dora is true, expected false"),
    "truncated": (truncate, "not a whole safetensors file"),
    "nan": (change_tensors(poison), "contains NaN or infinity"),
    "no A": (drop("lora_A.weight"), "has no partner"),
    "no B": (drop("lora_B.weight"), "has no partner"),
    "no rank": (change_config(r=None), r"r is \S+, expected a positive number"),
    "rank is text": (change_config(r="4"), r"r is \S+, expected a positive number"),
    "rank is true": (change_config(r=True), r"r is \S+, expected a positive number"),
    "rank is not an integer": (change_config(r=4.5), r"r is \S+, expected a positive number"),
    "alpha is NaN": (change_config(lora_alpha=float("nan")), "is not a number"),
    "alpha is infinite": (change_config(lora_alpha=float("inf")), "is not a number"),
    "alpha is huge": (change_config(lora_alpha=10**400), r"lora_alpha is .*, expected a positive number"),
    "alpha is a list": (change_config(lora_alpha=[8]), r"lora_alpha is .*, expected a positive number"),
    "pattern is a list": (change_config(rank_pattern=["q_proj"]), "rank_pattern is"),
    "config is a list": (lambda folder: (folder / "adapter_config.json").write_text("[]"), "not a JSON object"),
    "config is deep": (lambda folder: (folder / "adapter_config.json").write_text("[" * 10**5), "not valid JSON"),
    "config is binary": (lambda folder: (folder / "adapter_config.json").write_bytes(b"\xff\0"), "not UTF-8"),
    "integers": (change_tensors(lambda tensors: {k: t.int() for k, t in tensors.items()}), "expected float32"),
    "flat": (change_tensors(lambda tensors: {k: t.flatten() for k, t in tensors.items()}), r"has A \[\d+\]"),
    "no tensors": (change_tensors(lambda tensors: {}), "contains no tensors"),
    "empty weights": (replace("adapter_model.safetensors", lambda file: file.touch()), "not a whole safetensors file"),
    **{
        f"{name} is {kind}": (replace(name, make), message)
        for name in ("adapter_config.json", "adapter_model.safetensors")
        for kind, make, message in [
            ("a fifo", os.mkfifo, "not a regular file"),
            ("a folder", lambda file: file.mkdir(), "not a regular file"),
            ("a dangling link", lambda file: file.symlink_to("nowhere"), "No such file"),
            ("a loop of links", lambda file: file.symlink_to(file.name), "symbolic links"),
            ("endless", lambda file: file.symlink_to("/dev/zero"), "not a regular file"),
        ]
    },
    "no config": (lambda folder: (folder / "adapter_config.json").unlink(), r"no adapter_config\.json"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_read_adapter_refuses_a_bad_adapter_in_one_line(gemma, tmp_path, case):
    base, adapters = gemma
    change, message = BROKEN[case]
    folder = shutil.copytree(adapters[0], tmp_path / "adapter")
    change(folder)
    with pytest.raises(GenomeError, match=message) as caught:
        Model(base).read_adapter(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_adapter_refuses_an_adapter_of_another_base(gemma, family):
    with pytest.raises(GenomeError, match="expected"):
        Model(gemma[0]).read_adapter(family("wide")[1][0])


def test_read_adapter_accepts_the_layers_names_of_another_class(gemma, prompts, tmp_path):
    """A multimodal checkpoint names the same layers with another start."""
    base, adapters = gemma
    shutil.copytree(adapters[0], tmp_path / "other")
    tensors = load_file(adapters[0] / "adapter_model.safetensors")
    start = "base_model.model."
    for name in list(tensors):
        tensors[name.replace(start, f"{start}language_model.")] = tensors.pop(name)
    save_file(tensors, tmp_path / "other" / "adapter_model.safetensors")
    model = Model(base)
    own, other = model.read_adapter(adapters[0]), model.read_adapter(tmp_path / "other")
    assert own.factors.keys() == other.factors.keys()
    assert all(
        torch.equal(a, b) for key in own.factors for a, b in zip(own.factors[key], other.factors[key], strict=True)
    )
    tensors |= load_file(adapters[0] / "adapter_model.safetensors")
    save_file(tensors, tmp_path / "other" / "adapter_model.safetensors")
    with pytest.raises(GenomeError, match="which has other tensors"):
        model.read_adapter(tmp_path / "other")


@pytest.mark.parametrize(
    ("layer", "module"),
    [
        ("language_model.model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj"),
        ("vision_tower.encoder.layers.0.mlp.up_proj", "model.vision_tower.encoder.layers.0.mlp.up_proj"),
        ("layers.0.mlp.up_proj", None),  # both
        ("model.layers.0.up_proj", None),
        ("language_model.model.layers.10.mlp.up_proj", None),
        ("lm_head", "lm_head"),
        ("output", None),
    ],
)
def test_module_of_a_layer_is_found_by_what_follows_layers(layer, module):
    names = ("language_model", "vision_tower.encoder")
    modules = {f"model.{name}.layers.0.mlp.{which}" for name in names for which in ("up_proj", "down_proj")}
    assert _module(layer, {*modules, "lm_head"}) == module


def test_read_adapter_accepts_layers_padded_with_zeros(gemma, prompts, tmp_path):
    """Layers of lower rank, or without a change, are filled up to the adapter's rank."""
    base, _ = gemma
    model = Model(base)
    first, second, *_ = model.linear
    random, tensors = torch.Generator().manual_seed(3), {}
    for layer, rank in ((first, 3), (second, 0)):
        outputs, inputs = model.linear[layer].shape
        A, B = torch.zeros(5, inputs), torch.zeros(outputs, 5)
        A[:rank], B[:, :rank] = (
            torch.randn(rank, inputs, generator=random),
            torch.randn(outputs, rank, generator=random),
        )
        tensors |= {f"base_model.model.{layer}.lora_A.weight": A, f"base_model.model.{layer}.lora_B.weight": B}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    written = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 5, "lora_alpha": 5.0, "bias": "none"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(written | {"target_modules": [first, second]}))
    model.use(model.read_adapter(tmp_path))
    answers = [(c.tokens, c.stopped) for c in model.complete(prompts, 6)]
    network = reference(base, tmp_path)
    assert answers == [generate(network, prompt, 6) for prompt in prompts]


def test_read_adapter_refuses_a_tied_output_layer(family, tmp_path):
    # Merging into it would change the embedding as well.
    folder = save_adapter(FAMILIES["qwen2"](), tmp_path / "adapter", seed=1, targets=["lm_head"])
    with pytest.raises(GenomeError, match=r"lm_head.* does not belong to a linear layer"):
        Model(family("qwen2")[0]).read_adapter(folder)


@pytest.mark.parametrize("folder", ["", "/nowhere", "a\0b", "\ud800", "x" * 5000])
def test_read_adapter_refuses_a_bad_path_in_one_line(gemma, folder):
    with pytest.raises(GenomeError, match=r"no adapter_config\.json") as caught:
        Model(gemma[0]).read_adapter(folder)
    assert "\n" not in str(caught.value)


def change_json(name, **fields):
    return lambda base: (base / name).write_text(json.dumps(json.loads((base / name).read_text()) | fields))


def write(name, text):
    return lambda base: (base / name).write_text(text)


def shard(base, *, lose=False, keep=False):
    """Cut the weights into two files; optionally lose the second file, or keep the single one."""
    tensors = load_file(base / "model.safetensors")
    names = sorted(tensors)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, base / file, {"format": "pt"})
    if lose:
        (base / "model-2.safetensors").unlink()
    if not keep:
        (base / "model.safetensors").unlink()
    weight_map = {key: file for file, keys in parts.items() for key in keys}
    (base / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def lose_a_tensor(base):
    tensors = load_file(base / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, base / "model.safetensors", {"format": "pt"})


def cut(base):
    file = base / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def only_pickled(base):
    (base / "model.safetensors").rename(base / "pytorch_model.bin")


def quantise(base):
    change_json("config.json", quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128})(base)


BROKEN_BASES = {
    "an adapter too": (write("adapter_config.json", "{}"), "contains adapter_config.json.*a separate folder"),
    "a pipe": (lambda base: os.mkfifo(base / "added_tokens.json"), r"added_tokens\.json: neither a file nor a folder"),
    "no config": (lambda base: (base / "config.json").unlink(), r"no config\.json"),
    "config is not JSON": (write("config.json", "{"), r"config\.json, line 1: not valid JSON.*; fetch"),
    "config is a list": (write("config.json", "[]"), r"config\.json: not a JSON object"),
    "unknown model": (change_json("config.json", model_type="mystery"), "model_type is 'mystery'.*newer transformers"),
    "model_type is a list": (change_json("config.json", model_type=["llama"]), "model_type is"),
    "another kind of model": (change_json("config.json", model_type="vit"), "'vit', not a causal language model"),
    "own code": (
        change_json("config.json", model_type="mystery", auto_map={"AutoModelForCausalLM": "modeling.Mystery"}),
        "needs remote code.*choose a base model",
    ),
    "field of another type": (change_json("config.json", hidden_size="wide"), "cannot load this model"),
    "another shape": (change_json("config.json", intermediate_size=48), "cannot load this model.*fetch"),
    "quantised": (quantise, "needs a package|cannot load this model|are quantised"),
    "truncated": (cut, r"model\.safetensors: not a whole safetensors file"),
    "no weights": (lambda base: (base / "model.safetensors").unlink(), r"no model\.safetensors.*fetch"),
    "pickled weights": (only_pickled, r"no model\.safetensors; weights in other formats are not read"),
    "a lost tensor": (lose_a_tensor, r"lack 1 tensors of the model, such as .*up_proj\.weight, which would be random"),
    "a lost layer": (change_json("config.json", num_hidden_layers=3), "lack 9 tensors"),
    "a lost shard": (lambda base: shard(base, lose=True), r"no model-2\.safetensors; fetch"),
    "weights twice": (lambda base: shard(base, keep=True), "contains the weights twice.*remove one"),
    "index is not JSON": (write("model.safetensors.index.json", "{"), "twice"),
    "settings are not JSON": (write("generation_config.json", "{"), r"generation_config\.json, line 1: not valid JSON"),
    "settings are a list": (write("generation_config.json", "[]"), r"generation_config\.json: not a JSON object"),
    "end token is text": (
        change_json("generation_config.json", eos_token_id="</s>"),
        r"generation_config\.json: eos_token_id is </s>, expected token ids",
    ),
    "end token of the model is text": (
        lambda base: [
            (base / "generation_config.json").unlink(),
            change_json("config.json", eos_token_id=["</s>"])(base),
        ],
        "eos_token_id",
    ),
    "no tokenizer": (
        lambda base: [file.unlink() for file in base.glob("tokenizer*")],
        "no tokenizer here",
    ),
}


@pytest.mark.parametrize("case", BROKEN_BASES)
def test_load_network_refuses_a_bad_base_in_one_line(family, tmp_path, case):
    change, message = BROKEN_BASES[case]
    base = shutil.copytree(family("llama")[0], tmp_path / "base")
    change(base)
    with pytest.raises(GenomeError, match=message) as caught:
        Model(base)
    assert str(base) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_files_next_to_the_weights_are_ignored(family, prompts, tmp_path):
    base = shutil.copytree(family("llama")[0], tmp_path / "base")
    expected = Model(base).complete(prompts, 6)
    (base / "pytorch_model.bin").write_bytes(b"no weights")
    (base / "consolidated.safetensors").write_bytes(b"no weights")
    assert Model(base).complete(prompts, 6) == expected
    shard(base)
    assert Model(base).complete(prompts, 6) == expected


def test_write_merged_writes_only_merged_weights(family, tmp_path):
    base, adapters = family("llama")
    base = shutil.copytree(base, tmp_path / "base")
    (base / "pytorch_model.bin").write_bytes(b"weights without the adapter")
    (base / "onnx").mkdir()
    (base / "notes.txt").write_text("of the base")
    write_merged(base, adapters[0], tmp_path / "merged")
    files = {path.name for path in (tmp_path / "merged").iterdir()}
    assert {"notes.txt", "model.safetensors", "tokenizer.json"} <= files
    assert not {"pytorch_model.bin", "onnx"} & files


def test_write_merged_keeps_settings_that_transformers_refuses_to_save(family, tmp_path):
    base, adapters = family("llama")
    base = shutil.copytree(base, tmp_path / "base")
    # Temperature without sampling can be loaded with a warning, but not saved.
    change_json("generation_config.json", do_sample=False, temperature=0.6)(base)
    with pytest.raises(ValueError, match="temperature"):
        GenerationConfig.from_pretrained(base).validate(strict=True)
    write_merged(base, adapters[0], tmp_path / "merged")
    stated = json.loads((base / "generation_config.json").read_text())
    assert json.loads((tmp_path / "merged/generation_config.json").read_text()) == stated


def test_positions_of_an_unlimited_model_is_none():
    assert loading.positions(object()) is None

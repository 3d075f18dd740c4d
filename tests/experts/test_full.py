"""Full fine-tunes as changes of weights, whatever their files look like."""

import json
from pathlib import Path

import numpy as np
import pytest

from genome.errors import GenomeError
from genome.experts.full import check_full, full_changes, other_changes
from genome.experts.tensors import from_float32, header_bytes, to_float32

LAYERS = {"model.layers.0.self_attn.q_proj": (12, 8), "model.layers.0.mlp.down_proj": (8, 20)}
SHAPES = {
    "model.embed_tokens.weight": (16, 8),
    **{f"{layer}.weight": shape for layer, shape in LAYERS.items()},
    "model.layers.0.self_attn.q_proj.bias": (12,),
    "model.norm.weight": (8,),
}

Tensors = dict[str, np.ndarray]


def random_tensors(seed: int, shapes=SHAPES) -> Tensors:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype("f4") for name, shape in shapes.items()}


def write_file(path: Path, tensors: Tensors, dtype: str) -> None:
    header = header_bytes(dict.fromkeys(tensors, dtype), {name: each.shape for name, each in tensors.items()})
    path.write_bytes(header + b"".join(from_float32(each, dtype).tobytes() for each in tensors.values()))


def write_model(folder: Path, tensors: Tensors, dtype: str = "F32", shards: int = 1) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    if shards == 1:
        write_file(folder / "model.safetensors", tensors, dtype)
        return folder
    places = {}
    for shard in range(shards):
        part = {name: tensors[name] for name in sorted(tensors)[shard::shards]}
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        write_file(folder / file, part, dtype)
        places |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return folder


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    return to_float32(from_float32(values, dtype), dtype)


def one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("ours", "theirs"), [("F32", "F32"), ("BF16", "BF16"), ("F16", "BF16"), ("F32", "BF16")])
@pytest.mark.parametrize(("shards", "base_shards"), [(1, 1), (3, 1), (2, 4)])
def test_changes_are_the_differences_of_weights(tmp_path, ours, theirs, shards, base_shards):
    old, new = random_tensors(0), random_tensors(1)
    base = write_model(tmp_path / "base", old, theirs, base_shards)
    tuned = write_model(tmp_path / "tuned", new, ours, shards)
    changes = dict(full_changes(tuned, base))
    assert changes.keys() == LAYERS.keys()
    for layer, change in changes.items():
        name = f"{layer}.weight"
        np.testing.assert_array_equal(change, rounded(new[name], ours) - rounded(old[name], theirs))
        assert change.dtype == np.float32
    others = other_changes(tuned, base)
    assert set(others) == SHAPES.keys() - {f"{layer}.weight" for layer in LAYERS}
    for name, norm in others.items():
        assert norm == pytest.approx(np.linalg.norm(rounded(new[name], ours) - rounded(old[name], theirs)))


@pytest.mark.parametrize(("ours", "theirs"), [("F32", "F32"), ("BF16", "F32"), ("F16", "F32"), ("F32", "BF16")])
def test_equal_tensors_are_left_out(tmp_path, ours, theirs):
    old = {name: rounded(each, theirs) for name, each in random_tensors(0).items()}
    layer = "model.layers.0.mlp.down_proj"
    new = old | {f"{layer}.weight": old[f"{layer}.weight"] + 1}
    base, tuned = write_model(tmp_path / "base", old, theirs), write_model(tmp_path / "tuned", new, ours, 2)
    assert list(dict(full_changes(tuned, base))) == [layer]
    assert not other_changes(tuned, base)


def test_a_sign_of_zero_is_a_change_of_nothing(tmp_path):
    old = random_tensors(0)
    old["model.norm.weight"][0] = 0
    new = old | {"model.norm.weight": old["model.norm.weight"] * np.float32([-1, 1, 1, 1, 1, 1, 1, 1])}
    base, tuned = write_model(tmp_path / "base", old), write_model(tmp_path / "tuned", new)
    assert other_changes(tuned, base) == {"model.norm.weight": 0.0}


@pytest.mark.parametrize("prefix", ["language_model.model", "model.language_model"])
def test_names_may_have_other_prefixes(tmp_path, prefix):
    old, new = random_tensors(0), random_tensors(1)
    base = write_model(tmp_path / "base", old)
    tuned = write_model(tmp_path / "tuned", {name.replace("model", prefix, 1): each for name, each in new.items()})
    changes = dict(full_changes(tuned, base))
    assert changes.keys() == LAYERS.keys()
    for layer, change in changes.items():
        np.testing.assert_array_equal(change, new[f"{layer}.weight"] - old[f"{layer}.weight"])


HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


def test_a_stored_copy_of_a_tied_output_layer_is_not_a_second_change(tmp_path):
    old, new = random_tensors(0), random_tensors(1)
    base = write_model(tmp_path / "base", old)
    tuned = write_model(tmp_path / "tuned", new | {HEAD: new[EMBEDDING]})
    assert HEAD not in other_changes(tuned, base)
    same = write_model(tmp_path / "same", old | {HEAD: old[EMBEDDING]})
    assert not other_changes(same, base)
    assert not list(full_changes(same, base))


def test_a_separate_output_layer_is_compared_with_the_embedding_it_was_tied_to(tmp_path):
    old = random_tensors(0)
    head = old[EMBEDDING] + 1
    base, tuned = write_model(tmp_path / "base", old), write_model(tmp_path / "tuned", old | {HEAD: head})
    assert other_changes(tuned, base) == {HEAD: pytest.approx(np.sqrt(head.size))}
    # The reverse: the base has an output layer, the fine-tune's is tied.
    assert other_changes(base, tuned) == {HEAD: pytest.approx(np.sqrt(head.size))}


@pytest.mark.parametrize("rows", [10, 20])
def test_a_resized_vocabulary_is_a_changed_embedding(tmp_path, rows):
    old = random_tensors(0)
    resized = np.zeros((rows, 8), "f4")
    resized[:16] = old[EMBEDDING][:rows]
    if rows > 16:
        resized[16:] = 2
    base, tuned = write_model(tmp_path / "base", old), write_model(tmp_path / "tuned", old | {EMBEDDING: resized})
    expected = np.linalg.norm(old[EMBEDDING][rows:]) if rows < 16 else 2 * np.sqrt(4 * 8)
    assert other_changes(tuned, base) == {EMBEDDING: pytest.approx(expected)}
    assert not list(full_changes(tuned, base))


def test_large_tensors_are_compared_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("genome.experts.full.VALUES", 24)
    old, new = random_tensors(0), random_tensors(1)
    new[EMBEDDING] = np.vstack([new[EMBEDDING], np.ones((3, 8), "f4")])
    base, tuned = write_model(tmp_path / "base", old), write_model(tmp_path / "tuned", new)
    difference = new[EMBEDDING] - np.vstack([old[EMBEDDING], np.zeros((3, 8), "f4")])
    assert other_changes(tuned, base)[EMBEDDING] == pytest.approx(np.linalg.norm(difference))
    last = old | {"model.norm.weight": old["model.norm.weight"] + np.eye(8, dtype="f4")[7]}
    assert other_changes(write_model(tmp_path / "last", last), base) == {"model.norm.weight": pytest.approx(1)}


def test_transposed_layers_are_changes_of_outputs_by_inputs(tmp_path):
    old, new = random_tensors(0), random_tensors(1)
    base, tuned = write_model(tmp_path / "base", old), write_model(tmp_path / "tuned", new)
    (base / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    for layer, change in full_changes(tuned, base):
        np.testing.assert_array_equal(change, (new[f"{layer}.weight"] - old[f"{layer}.weight"]).T)


def test_all_differences_of_names_and_shapes_are_told_at_once_before_anything_is_read(tmp_path):
    old, new = random_tensors(0), random_tensors(1)
    del new["model.norm.weight"]
    new["model.layers.0.self_attn.q_proj.weight"] = np.full((8, 8), np.nan, "f4")
    new["model.layers.0.mlp.gate.weight"] = np.zeros((2, 2), "f4")
    base, tuned = write_model(tmp_path / "base", old), write_model(tmp_path / "tuned", new)
    for call in (check_full, other_changes, lambda *folders: next(full_changes(*folders))):
        with pytest.raises(GenomeError) as error:
            call(tuned, base)
        message = one_line(error)
        assert str(tuned) in message
        for part in ("model.norm.weight", "model.layers.0.mlp.gate.weight", "q_proj.weight: [8, 8]", "[12, 8]"):
            assert part in message


def test_computed_buffers_of_old_checkpoints_are_ignored(tmp_path):
    old, new = random_tensors(0), random_tensors(1)
    new["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(4, "f4")
    base, tuned = write_model(tmp_path / "base", old), write_model(tmp_path / "tuned", new)
    check_full(tuned, base)
    assert len(list(full_changes(tuned, base))) == len(LAYERS)


@pytest.mark.parametrize("where", ["tuned", "base"])
@pytest.mark.parametrize("tensor", ["model.layers.0.self_attn.q_proj.weight", "model.norm.weight"])
def test_weights_that_are_not_finite_are_refused_by_file_and_tensor(tmp_path, where, tensor):
    models = {"base": random_tensors(0), "tuned": random_tensors(1)}
    models[where][tensor].flat[3] = np.inf
    for name, tensors in models.items():
        write_model(tmp_path / name, tensors, shards=2)
    folders = tmp_path / "tuned", tmp_path / "base"
    with pytest.raises(GenomeError, match="NaN or infinite") as error:
        list(full_changes(*folders)) and other_changes(*folders)
    assert tensor in one_line(error)
    assert str(tmp_path / where / "model-") in str(error.value)

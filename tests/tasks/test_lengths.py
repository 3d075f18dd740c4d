import json

import pytest

from builders import tokenizer_in
from genome.errors import GenomeError
from genome.tasks import parse_task
from genome.tasks.lengths import check_lengths, context_length
from genome.tasks.prompts import prepare

TASK = parse_task(
    "sums", {"kind": "number", "source": {"path": "x"}, "prompt": "{{ q }}", "reference": "a", "max_tokens": 5}
)


def base_of(folder, config):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"max_position_embeddings": 8, "sliding_window": 4}, 8),
        ({"n_positions": 8}, 8),
        ({"text_config": {"max_position_embeddings": 8}, "max_position_embeddings": 2}, 8),
        ({"max_position_embeddings": 8, "rope_scaling": {"rope_type": "llama3", "factor": 4.0}}, 8),
        ({"max_position_embeddings": 8, "rope_scaling": {"type": "linear", "factor": 2.0}}, 16),
        ({"max_position_embeddings": 8, "rope_parameters": {"rope_type": "default", "rope_theta": 1.0}}, 8),
        (
            {
                "max_position_embeddings": 32,
                "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8},
            },
            32,
        ),
        ({"max_position_embeddings": 8, "rope_parameters": {"full": {"rope_type": "default"}}}, 8),
        ({"model_type": "mamba"}, None),
    ],
)
def test_context_length_of_configs(tmp_path, config, length):
    assert context_length(base_of(tmp_path, config)) == length


def test_prepare_refuses_a_too_long_prompt(tmp_path):
    folder = base_of(tokenizer_in(tmp_path, "user {{ messages[0].content }}"), {"max_position_embeddings": 5})
    rows = [{"id": "sums-1", "q": "what is two", "a": 1}, {"id": "sums-2", "q": "what is two two", "a": 1}]
    assert len(prepare(TASK, rows[:1], folder)[0]["tokens"]) == 4
    with pytest.raises(GenomeError) as caught:
        prepare(TASK, rows, folder)
    assert str(caught.value).startswith(
        f"task sums, row sums-2: its prompt of 5 tokens leaves no room for an answer; the model in {folder} reads at "
        "most 5; use a shorter prompt, fewer shots"
    )


def test_check_lengths_adds_prompt_and_answer(tmp_path):
    folder = base_of(tmp_path, {"max_position_embeddings": 9})
    samples = [{"id": "a", "tokens": [1] * 4}, {"id": "b", "tokens": [1] * 6}, {"id": "c", "tokens": [1] * 5}]
    check_lengths("sums", samples[:1], folder, 5)
    with pytest.raises(
        GenomeError, match=r"row b: its prompt of 6 tokens and max_tokens 5 make 11; .* at most 9"
    ) as caught:
        check_lengths("sums", samples, folder, 5)
    assert "(2 of 3 rows are too long)" in str(caught.value)
    assert "a smaller max_tokens" in str(caught.value)
    with pytest.raises(GenomeError, match="at most 8"):
        check_lengths("sums", samples[:1], folder, 5, served=8)
    check_lengths("sums", samples, folder, 1)
    check_lengths("sums", samples, base_of(tmp_path / "none", {}), 5)

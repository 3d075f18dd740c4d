"""A base model with an adapter merged into it, outside of a server: what it answers, and its weights as a folder."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from genome.engine.model import Model
from genome.files import replacing_directory

WEIGHTS = (".safetensors", ".index.json", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx")
"""Name endings of a base model's weights in any format; such files must not be copied next to merged weights."""


def reference(
    base: Path | str, adapters: Sequence[Path | None], prompts: Sequence[Sequence[int]], max_tokens: int
) -> list[tuple[list[str], float]]:
    """Return each adapter's (None: the base's) greedy texts and its perplexity on the prompts."""
    disable_progress_bar()
    model = Model(base)
    answers = []
    for adapter in adapters:
        model.use(None if adapter is None else model.read_adapter(adapter))
        completions = model.complete(prompts, max_tokens)
        texts = model.tokenizer.batch_decode([c.tokens for c in completions], skip_special_tokens=True)
        values = [value for row in model.score(prompts)[0] for value in row]
        answers.append((texts, math.exp(-math.fsum(values) / len(values))))
    return answers


def write_merged(base: Path | str, adapter: Path | str, out: Path | str) -> None:
    """Write the base with a PEFT folder merged into it, as `Model` serves it, in transformers' format."""
    model = Model(base)
    model.use(model.read_adapter(adapter))
    with replacing_directory(out) as folder:
        model.save(folder)
        for file in sorted(Path(base).iterdir()):  # the tokenizer, the chat template
            written = (folder / file.name).exists() or file.name.endswith(WEIGHTS)
            if file.is_file() and not (written or file.name.startswith(".")):
                shutil.copyfile(file, folder / file.name)

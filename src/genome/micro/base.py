"""The micro base: a Gemma-2 of some 10^5 parameters, pretrained on the world's native cues."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from genome.files import replacing_directory
from genome.lora.training import Training, encode, fit, prepare_torch, saving
from genome.micro import world

if TYPE_CHECKING:
    from transformers import Gemma2ForCausalLM

SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    " {{ message['content'] | trim }}{{ eos_token }}"
    "{% else %}{{ message['content'] | trim }} =>{% endif %}{% endfor %}"
)


@dataclass(frozen=True)
class Pretraining:
    """The size of the micro base and of its training."""

    hidden_size: int = 64
    layers: int = 2
    heads: int = 4
    head_size: int = 32  # the smallest that vLLM's CPU kernels support
    rows: int = 32000
    epochs: int = 2
    batch_size: int = 128
    rows_per_pass: int = 43  # a third of a batch: rows of similar length need less padding
    learning_rate: float = 5e-3
    matrix_learning_rate: float = 0.04
    threads: int = 1
    seed: int = 0


def build_tokenizer() -> Any:
    """Return the world's tokenizer: one token per word or digit; decoding joins digits (`42`, not `4 2`)."""
    from transformers import PreTrainedTokenizerFast

    digits = "0123456789"
    words = [*SPECIAL, *(f"▁{word}" for word in [*world.vocabulary(), *digits]), *digits]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(prepend_scheme="always"),
            pre_tokenizers.Split(Regex("▁[0-9]|[0-9]"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    pad, eos, bos, unknown = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        eos_token=eos,
        bos_token=bos,
        unk_token=unknown,
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
    )


def build_model(vocabulary_size: int, settings: Pretraining) -> "Gemma2ForCausalLM":
    """Return an untrained Gemma-2 of the given size, with parameters drawn from the seed."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=vocabulary_size,
        hidden_size=settings.hidden_size,
        intermediate_size=2 * settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads // 2,
        head_dim=settings.head_size,
        query_pre_attn_scalar=settings.head_size,
        max_position_embeddings=2048,
        sliding_window=2048,
        # Softcapping takes a quarter of a step's time, and this model's logits stay small.
        attn_logit_softcapping=None,
        final_logit_softcapping=None,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    torch.manual_seed(settings.seed)
    return Gemma2ForCausalLM(config)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised (Jordan et al. 2024, github.com/KellerJordan/Muon).

    It needs half the steps of AdamW here. torch has had its own since 2.9, in bfloat16, which small CPUs emulate.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], lr: float, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        """Update every matrix from its gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                average.lerp_(parameter.grad, 1 - group["momentum"])
                update = orthogonalised(parameter.grad.lerp(average, group["momentum"]))
                rows, columns = parameter.shape
                parameter.add_(update, alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """Return a matrix with the same singular vectors and singular values near 1, by five Newton-Schulz steps."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        square = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * square + 2.0315 * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


def optimizers(model: "Gemma2ForCausalLM", settings: Pretraining) -> list[torch.optim.Optimizer]:
    """Return Muon for the hidden matrices and AdamW for embeddings and norms."""
    matrices = [parameter for parameter in model.model.layers.parameters() if parameter.ndim == 2]
    hidden = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in hidden]
    return [
        Muon(matrices, settings.matrix_learning_rate),
        torch.optim.AdamW(others, settings.learning_rate, weight_decay=0.0, fused=True),
    ]


def pretrain(out_dir: Path | str, settings: Pretraining | None = None) -> list[float]:
    """Train the base on the native cues and write a Hugging Face folder; return the loss of each step.

    The same settings give the same bytes on the same type of machine.
    """
    settings = settings or Pretraining()
    prepare_torch(settings.threads)
    tokenizer = build_tokenizer()
    model = build_model(len(tokenizer), settings)
    training = Training(
        warmup_ratio=0.05,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        rows_per_pass=settings.rows_per_pass,
        seed=settings.seed,
    )
    rows = world.base_corpus(settings.rows, settings.seed)
    losses = fit(model, encode(tokenizer, rows, training.max_length), training, optimizers(model, settings))
    with replacing_directory(out_dir) as folder, saving(out_dir):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return losses

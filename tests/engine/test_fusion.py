"""Logits of several adapters, fused for each prompt, compared with transformers and PEFT."""

import pytest
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from engine import tiny_models
from genome.engine.fusion import optimised, similar
from genome.engine.model import Model
from genome.errors import GenomeError

# PEFT uses a deprecated name of transformers.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def networks(base, adapters):
    """transformers' own models, with each adapter merged by PEFT; None is the base."""
    return [
        plain if adapter is None else PeftModel.from_pretrained(plain, adapter).merge_and_unload().eval()
        for adapter in adapters
        for plain in [AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()]
    ]


def logits_of(network, tokens):
    with torch.inference_mode():
        return network(torch.tensor([tokens])).logits[0].float()


def weights_of(members, prompt, tau):
    """The weights of one prompt by the loops of the paper, written out."""
    logits = torch.stack([logits_of(network, prompt)[:-1] for network in members])
    following = torch.tensor(prompt[1:])
    if tau is not None:
        losses = [cross_entropy(each, following) / tau for each in logits]
        return torch.softmax(-torch.stack(losses), 0)
    order = sorted(range(len(members)), key=lambda i: float(cross_entropy(logits[i], following)))
    shares, mixed = {order[0]: 1.0}, logits[order[0]]
    for index in order[1:]:
        tried = [(float(cross_entropy(i / 20 * mixed + (1 - i / 20) * logits[index], following)), i) for i in range(21)]
        share = min(tried)[1] / 20
        mixed = share * mixed + (1 - share) * logits[index]
        shares = {each: share * value for each, value in shares.items()} | {index: 1 - share}
    return torch.tensor([shares[i] for i in range(len(members))])


def answer(members, prompt, weights, max_tokens, ends):
    tokens = list(prompt)
    for _ in range(max_tokens):
        total = sum(weight * logits_of(each, tokens)[-1] for weight, each in zip(weights, members, strict=True))
        following = int(total.argmax())
        if following in ends:
            return tokens[len(prompt) :], True
        tokens.append(following)
    return tokens[len(prompt) :], False


@pytest.mark.parametrize("tau", [0.3, None])
@pytest.mark.parametrize("name", ["gemma2", "llama"])
def test_answers_equal_the_weighted_sum_of_logits(family, prompts, name, tau):
    base, adapters = family(name)
    some = [prompt for prompt in prompts if len(prompt) > 1][:12]
    members, model = networks(base, [*adapters, None]), Model(base)
    weights = [weights_of(members, prompt, tau) for prompt in some]
    expected = [answer(members, p, w, 8, model._ends) for p, w in zip(some, weights, strict=True)]
    found = model.fuse([*map(model.read_adapter, adapters), None], some, 8, tau)
    assert [(c.tokens, c.stopped) for c in found] == expected
    alone = [answer([members[0]], p, [1.0], 8, model._ends) for p in some]
    assert expected != alone  # the comparison is only useful if the others matter


def test_one_adapter_alone_answers_as_without_fusion(family, prompts):
    base, adapters = family("llama")
    model, some = Model(base), [prompt for prompt in prompts if len(prompt) > 1]
    adapter = model.read_adapter(adapters[0])
    fused = model.fuse([adapter], some, 8, 1.0)
    model.use(adapter)
    assert fused == model.complete(some, 8)


def test_batches_do_not_change_answers(family, prompts):
    base, adapters = family("llama")
    some = [prompt for prompt in prompts if len(prompt) > 1]
    answers = []
    for batch_tokens in (32768, 64):
        model = Model(base, batch_tokens=batch_tokens)
        answers.append(model.fuse([model.read_adapter(each) for each in adapters], some, 8, 1.0))
    assert answers[0] == answers[1]


def test_models_with_another_state_are_refused(prompts, tmp_path):
    tiny_models.architecture("mamba").save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(GenomeError, match="fused only if"):
        Model(tmp_path).fuse([None], prompts, 4, 1.0)


def test_weights_by_similarity_are_a_softmax():
    losses = torch.tensor([[1.0, 2.0], [1.0, 0.0]])
    torch.testing.assert_close(similar(losses, 1.0), torch.tensor([[0.5, 0.1192], [0.5, 0.8808]]), atol=1e-4, rtol=0)
    assert similar(losses, 1e-3)[:, 1].tolist() == pytest.approx([0, 1])


def test_optimised_weights_never_lose_more_than_the_best_alone():
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        logits, following = torch.randn(4, 9, 11, generator=generator), torch.randint(11, (9,), generator=generator)
        weights = optimised(logits, following)
        assert weights.sum() == pytest.approx(1)
        assert (weights >= 0).all()
        fused = cross_entropy((weights[:, None, None] * logits).sum(0), following)
        assert fused <= min(cross_entropy(each, following) for each in logits) + 1e-6

"""The stage that tells whether an engine can be trusted: it answers as transformers does, and each adapter as itself.

Attention that leaves out a model's soft caps, a lost first token, or an adapter that answers for another raise no
error: they give wrong scores. Here they are found before a run, on a few prompts.
"""

import math
from collections.abc import Sequence

from genome.engine.client import BASE, Engine, Request
from genome.engine.state import STORE
from genome.errors import GenomeError
from genome.files import read_jsonl, write_text
from genome.genotype import expert
from genome.jobs import log
from genome.jobs.evolution import Site
from genome.lora.store import store_genotypes

PROMPTS, MAX_TOKENS = 20, 16
"""Short answers: in 16-bit types a rounding may choose another token, and all that follows differs."""

AGREEING = 0.8
"""Least share of answers that must be the same text; wrong attention or a wrong adapter leaves next to none."""

TOLERANCE = 0.02
"""Most that perplexities may differ, as a share; 16-bit types differ by some thousandths."""


def check_engine(site: Site, prompts: str, report: str) -> None:
    """Compare the engine with transformers, and two experts' answers given alone with those given side by side."""
    experts = site.experts()
    tokens = [sample["tokens"] for sample in read_jsonl(prompts)[:PROMPTS]]
    engine = site.connect()
    folders = store_genotypes([expert(i, len(experts)) for i in range(2)], experts, STORE)
    # Slow to import: it brings torch.
    from genome.engine.model import reference

    labels = [BASE, *(each.name for each in experts[:2])]
    names = [BASE, *(folder.name for folder in folders)]
    expected = reference(site.base, [None, *folders], tokens, MAX_TOKENS)
    alone, perplexities = [], []
    for index, name in enumerate(names):
        with engine.serving(folders[index - 1 : index] if index else []):
            alone.append(_stripped(engine.complete([Request(name, tokens, MAX_TOKENS)])[0]))
            total, number = engine.negative_log_likelihood(name, tokens)
            perplexities.append(math.exp(total / number))
    # Not the base: no run asks for it beside adapters, and vLLM's CPU build then answers with one of them.
    with engine.serving(folders):
        mixed = _side_by_side(engine, names[1:], tokens)

    n, least = len(tokens), AGREEING * len(tokens)
    lines = [
        f"The engine ({site.engine['backend']}) beside transformers with eager attention; two experts side by side.",
        f"{n} prompts of {prompts}, at most {MAX_TOKENS} tokens, greedy.",
    ]
    problems = []
    for label, texts, ours, (theirs, perplexity) in zip(labels, alone, perplexities, expected, strict=True):
        agreeing = _same(texts, _stripped(theirs))
        lines += [
            "",
            label,
            f"  answers as transformers gives them      {agreeing} of {n}",
            f"  perplexity of the prompts               {ours:.4f}, transformers {perplexity:.4f}",
        ]
        if agreeing < least or abs(ours / perplexity - 1) > TOLERANCE:
            problems.append(f"{label} does not answer as transformers does; try another attention backend")
    lines.append("")
    for own, label in enumerate(labels[1:]):
        as_itself, as_other = _same(mixed[own], alone[1 + own]), _same(mixed[own], alone[2 - own])
        lines.append(
            f"{label} beside {labels[2 - own]}: {as_itself} of {n} answers as alone, {as_other} as the other's"
        )
        if as_itself < least or as_itself <= as_other:
            problems.append(f"{label} does not answer as itself beside {labels[2 - own]}, or answers as that one does")
    lines += ["", *(problems or ["All of this holds."])]
    log.info("%s", "\n".join(lines))
    if problems:
        raise GenomeError(f"the engine cannot be trusted: {problems[0]} ({len(problems)} finding(s); see the log)")
    write_text(report, "\n".join(lines) + "\n")


def _side_by_side(engine: Engine, names: Sequence[str], tokens: Sequence[Sequence[int]]) -> list[list[str]]:
    """Return each model's answers, every prompt asked of all models in turn and everything in flight at once."""
    requests = [Request(name, [prompt], MAX_TOKENS) for prompt in tokens for name in names]
    answers = _stripped([text for [text] in engine.complete(requests)])
    return [answers[index :: len(names)] for index in range(len(names))]


def _stripped(texts: Sequence[str]) -> list[str]:
    """Servers differ in the space before a first word."""
    return [text.strip() for text in texts]


def _same(texts: Sequence[str], others: Sequence[str]) -> int:
    return sum(text == other for text, other in zip(texts, others, strict=True))

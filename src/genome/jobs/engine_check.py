"""The stage that checks an engine: it must answer as transformers does, also with several adapters at once.

Attention without a model's soft caps, a lost first token, or a request answered by another adapter raise no error; they
give wrong scores. This stage finds them before a run, on a few prompts.
"""

import math
from collections.abc import Sequence

from genome.engine.client import Engine
from genome.engine.messages import BASE, Request
from genome.engine.state import STORE
from genome.errors import GenomeError
from genome.files import read_jsonl, write_text
from genome.genotype import expert
from genome.jobs import log
from genome.jobs.site import Site
from genome.lora.store import store_genotypes

PROMPTS, MAX_TOKENS = 20, 16
"""Answers are short: in 16-bit types rounding may choose another token, after which everything differs."""

AGREEING = 0.8
"""Minimum share of equal answers; with wrong attention or a wrong adapter hardly any are equal."""

TOLERANCE = 0.02
"""Maximum relative difference of perplexities; 16-bit types differ by some thousandths."""


def engine_check(site: Site, prompts: str, report: str) -> None:
    """Compare the engine with transformers, and the answers of two experts alone with those of both at once."""
    experts = site.experts()
    tokens = [sample["tokens"] for sample in read_jsonl(prompts)[:PROMPTS]]
    engine = site.connect()
    folders = store_genotypes([expert(i, len(experts)) for i in range(2)], experts, STORE)
    # Slow to import: it brings torch.
    from genome.engine.merged import reference

    labels = [BASE, *(each.name for each in experts[:2])]
    names = [BASE, *(folder.name for folder in folders)]
    expected = reference(site.base, [None, *folders], tokens, MAX_TOKENS)
    alone, perplexities = [], []
    for index, name in enumerate(names):
        with engine.serving(folders[index - 1 : index] if index else []):
            alone.append(_stripped(engine.complete([Request(name, tokens, MAX_TOKENS)])[0]))
            total, number = engine.negative_log_likelihood(name, tokens)
            perplexities.append(math.exp(total / number))
    # Without the base: no run mixes it with adapters, and vLLM's CPU build then answers with one of the adapters.
    with engine.serving(folders):
        mixed = _side_by_side(engine, names[1:], tokens)

    n, least = len(tokens), AGREEING * len(tokens)
    lines = [
        f"The engine ({site.engine['backend']}) compared with transformers with eager attention; two experts at once.",
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
    equal = _same(*(_stripped(theirs) for theirs, _ in expected[1:])) == n
    if equal:
        lines.append(
            "Both experts have the same answers to all prompts, so that only their perplexities tell them apart."
        )
    for own, label in enumerate(labels[1:]):
        as_itself, as_other = _same(mixed[own], alone[1 + own]), _same(mixed[own], alone[2 - own])
        lines.append(f"{label} with {labels[2 - own]}: {as_itself} of {n} answers as alone, {as_other} as the other's")
        if as_itself < least or (as_itself <= as_other and not equal):
            problems.append(f"{label} does not answer as itself next to {labels[2 - own]}, or answers as that one does")
    lines += ["", *(problems or ["All checks passed."])]
    log.info("%s", "\n".join(lines))
    if problems:
        raise GenomeError(f"engine check failed: {problems[0]} ({len(problems)} finding(s); see the log)")
    write_text(report, "\n".join(lines) + "\n")


def _side_by_side(engine: Engine, names: Sequence[str], tokens: Sequence[Sequence[int]]) -> list[list[str]]:
    """Return each model's answers: every prompt goes to all models in turn, with all requests in flight at once."""
    requests = [Request(name, [prompt], MAX_TOKENS) for prompt in tokens for name in names]
    answers = _stripped([text for [text] in engine.complete(requests)])
    return [answers[index :: len(names)] for index in range(len(names))]


def _stripped(texts: Sequence[str]) -> list[str]:
    """Return texts without surrounding space: servers differ in the space before the first word."""
    return [text.strip() for text in texts]


def _same(texts: Sequence[str], others: Sequence[str]) -> int:
    return sum(text == other for text, other in zip(texts, others, strict=True))

"""Answers by likelihood: the answer to a sample is the option that is the most likely continuation of its prompt.

Nothing is generated. A model's response to such a sample is the JSON text of its options' log-likelihoods, which is
kept and read again as other responses are. Options are compared by their scores: log p(option | prompt), minus
log p(option | neutral prompt) if the task has one, divided by the option's length if the task says so.

These are the scores of EleutherAI's lm-evaluation-harness: `acc` compares them per option, `acc_norm` per character,
`acc_bytes` per byte, and `acc_mutual_info` per option after an empty neutral prompt.
"""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from genome.fields import UnexpectedError, mapping, number, sequence, text, whole

GENERATION, LIKELIHOOD = "generation", "likelihood"
ANSWER_BY = (GENERATION, LIKELIHOOD)
"""How a task's answers are found: in generated texts, or by the likelihood of the options."""

TEXT, LETTER = "text", "letter"
LIKELIHOOD_OF = (TEXT, LETTER)
"""The part of an option that continues the prompt."""

OPTION, TOKEN, CHARACTER, BYTE = "option", "token", "character", "byte"
LIKELIHOOD_PER = (OPTION, TOKEN, CHARACTER, BYTE)
"""What a log-likelihood is divided by; nothing for `option`."""

DIGITS = 6
"""Decimals of a log-likelihood in a response. Rounding in float32 changes more."""


@dataclass(frozen=True)
class Likelihoods:
    """The likelihoods of one sample's options as continuations of its prompt; all tuples are in the order of `options`.

    options: letters, or labels that have no letters
    log_likelihood: sums over an option's tokens, in nats
    tokens: number of these tokens
    characters, bytes: length of the option, without a space before it; bytes in UTF-8
    neutral: the sums after the neutral prompt; None without one
    """

    options: tuple[str, ...]
    log_likelihood: tuple[float, ...]
    tokens: tuple[int, ...]
    characters: tuple[int, ...]
    bytes: tuple[int, ...]
    neutral: tuple[float, ...] | None = None


def written(likelihoods: Likelihoods) -> str:
    """Return likelihoods as a response: one line of JSON."""
    fields = {name: value for name, value in asdict(likelihoods).items() if value is not None}
    for name in ("log_likelihood", "neutral"):
        if name in fields:
            fields[name] = [round(value, DIGITS) for value in fields[name]]
    return json.dumps(fields, ensure_ascii=False)


def read(response: str) -> Likelihoods | None:
    """Return the likelihoods in a response; None if it is another text."""
    try:
        fields = mapping(json.loads(response), "it")
        options = tuple(text(each, "options") for each in sequence(fields["options"], "options", 1))
        sums = tuple(number(each, "log_likelihood") for each in sequence(fields["log_likelihood"], "log_likelihood"))
        tokens, characters, octets = (
            tuple(whole(each, name, 1) for each in sequence(fields[name], name))
            for name in ("tokens", "characters", "bytes")
        )
        given = fields.get("neutral")
        neutral = None if given is None else tuple(number(each, "neutral") for each in sequence(given, "neutral"))
    except (ValueError, KeyError, RecursionError, UnexpectedError):
        return None
    if {len(each) for each in (sums, tokens, characters, octets, neutral or options)} != {len(options)}:
        return None
    return Likelihoods(options, sums, tokens, characters, octets, neutral)


def option_scores(likelihoods: Likelihoods, per: str = OPTION) -> dict[str, float]:
    """Return the score of each option in nats, per option, token, character or byte.

    >>> option_scores(Likelihoods(("A", "B"), (-6.0, -4.0), (2, 1), (8, 4), (8, 4)), "token")
    {'A': -3.0, 'B': -4.0}
    """
    lengths: dict[str, Sequence[int]] = {
        OPTION: [1] * len(likelihoods.options),
        TOKEN: likelihoods.tokens,
        CHARACTER: likelihoods.characters,
        BYTE: likelihoods.bytes,
    }
    neutral = likelihoods.neutral or [0.0] * len(likelihoods.options)
    rows = zip(likelihoods.options, likelihoods.log_likelihood, neutral, lengths[per], strict=True)
    return {option: (value - base) / length for option, value, base, length in rows}


def best(scores: Mapping[str, float]) -> str:
    """Return the option with the highest score; of equal ones the first.

    >>> best({"A": -3.0, "B": -1.0, "C": -1.0})
    'B'
    """
    return max(scores, key=scores.__getitem__)


def softmax(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the options' shares of probability, exp(score) normalised to a sum of 1.

    >>> softmax({"A": 0.0, "B": math.log(3)})
    {'A': 0.25, 'B': 0.75}
    """
    highest = max(scores.values())
    shares = {option: math.exp(score - highest) for option, score in scores.items()}
    total = math.fsum(shares.values())
    return {option: share / total for option, share in shares.items()}


def most_likely(response: str, options: Collection[str], per: str = OPTION) -> str | None:
    """Return the most likely of a sample's `options`; None if the response does not contain their likelihoods."""
    likelihoods = read(response)
    if likelihoods is None or set(likelihoods.options) != set(options):
        return None
    return best(option_scores(likelihoods, per))

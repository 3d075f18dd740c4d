"""The options of a sample as continuations of its prompt, as token ids, for answers by likelihood.

A prompt and an option are split into tokens as EleutherAI's lm-evaluation-harness does (`_encode_pair`): whitespace at
the end of the prompt belongs to the option, and the option's tokens are those of the whole text behind as many tokens
as the prompt alone has. A prompt without text is one token, BOS or EOS.

The option is the beginning of the assistant's turn in the chat template. A space is added before it if the text so far
ends neither in whitespace nor in a special token, such as after "Answer:". Without a template (`chat: plain`), the
option follows the prompt after a space, not after the line break that precedes a generated response.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from genome.errors import GenomeError
from genome.tasks.chat import Chat, prompt_texts, token_ids
from genome.tasks.likelihood import LETTER, Likelihoods
from genome.tasks.task import Task

Sample = Mapping[str, Any]


def option_texts(task: Task, sample: Sample) -> dict[str, str]:
    """Return what stands for each of a sample's options behind the prompt, by letter (or by label without a letter)."""
    options = task.labels if task.kind == "label" else sample["options"]
    return {letter: letter if task.likelihood_of == LETTER else text for letter, text in options.items()}


def continued(task: Task, samples: Sequence[Sample], tokenizer: Any, chat: Chat) -> list[dict[str, Any]]:
    """Return each sample's `tokens` of the prompt and its `continuations`, one per option; `neutral` if there is one.

    A continuation has the `option`, the `tokens`, and the length of its text in `characters` and `bytes`. `neutral` has
    the same tokens with the neutral prompt: `tokens`, and a list of `continuations`. GenomeError: an option without
    text or tokens.
    """
    options = [option_texts(task, sample) for sample in samples]
    prompts = prompt_texts(tokenizer, [sample["prompt"] for sample in samples], chat)
    found = [
        {
            "tokens": tokens,
            "continuations": [
                {"option": option, "tokens": ids, "characters": len(text), "bytes": len(text.encode())}
                for (option, text), ids in zip(texts.items(), continuations, strict=True)
            ],
        }
        for texts, (tokens, continuations) in zip(options, _encoded(tokenizer, prompts, options, chat), strict=True)
    ]
    if task.neutral_prompt is not None:
        neutral = prompt_texts(tokenizer, [task.neutral_prompt], chat) * len(samples)
        for each, (tokens, continuations) in zip(found, _encoded(tokenizer, neutral, options, chat), strict=True):
            each["neutral"] = {"tokens": tokens, "continuations": continuations}
    for sample, texts, each in zip(samples, options, found, strict=True):
        rows = [[one["tokens"] for one in each["continuations"]], each.get("neutral", {}).get("continuations", [])]
        tokenless = [list(texts)[place] for row in rows for place, ids in enumerate(row) if not ids]
        if lost := [option for option, text in texts.items() if not text.strip()] + tokenless:
            raise GenomeError(
                f"task {task.name}, row {sample['id']}: option {lost[0]} is empty after the prompt, so it has no "
                "likelihood; correct the option, or leave the row out by `where`"
            )
    return found


def likelihoods_of(
    sample: Sample, scores: Sequence[Sequence[float]], neutral: Sequence[Sequence[float]] | None
) -> Likelihoods:
    """Return the likelihoods of a sample's options, given the log-probability of each token of each continuation."""
    given = sample["continuations"]
    return Likelihoods(
        options=tuple(each["option"] for each in given),
        log_likelihood=tuple(map(math.fsum, scores)),
        tokens=tuple(len(each["tokens"]) for each in given),
        characters=tuple(each["characters"] for each in given),
        bytes=tuple(each["bytes"] for each in given),
        neutral=None if neutral is None else tuple(map(math.fsum, neutral)),
    )


def _encoded(
    tokenizer: Any, prompts: Sequence[str], options: Sequence[Mapping[str, str]], chat: Chat
) -> list[tuple[list[int], list[list[int]]]]:
    """Return the tokens of each rendered prompt, and of each of its options behind it."""
    starts = [prompt.removesuffix("\n") if chat.plain else prompt for prompt in prompts]
    special = tuple(token.content for token in tokenizer.added_tokens_decoder.values())
    pairs = []
    for start, texts in zip(starts, options, strict=True):
        ends_in_text = start[-1:].strip() and not start.endswith(special)
        # The space of an empty prompt is that of lm-evaluation-harness, whose options follow a space.
        space = " " if ends_in_text or (chat.plain and not start) else ""
        pairs.append((start, [text if text[:1].isspace() else space + text for text in texts.values()]))
    return encoded_pairs(tokenizer, pairs)


def encoded_pairs(
    tokenizer: Any, pairs: Sequence[tuple[str, Sequence[str]]]
) -> list[tuple[list[int], list[list[int]]]]:
    """Return the tokens of each context, and of each of the continuations behind it."""
    contexts = [context.rstrip() for context, _ in pairs]
    encoded = token_ids(tokenizer, contexts)
    rows = iter(token_ids(tokenizer, [context + each for context, texts in pairs for each in texts]))
    found = []
    for context, ids, (_, texts) in zip(contexts, encoded, pairs, strict=True):
        prompt = ids if context else _first_token(tokenizer)
        found.append((prompt, [next(rows)[len(ids) :] for _ in texts]))
    return found


def requested(sample: Sample) -> list[tuple[list[int], list[list[int]]]]:
    """Return what an engine is asked for a sample: each prompt, and the continuations behind it.

    It is one prompt, unless each option has its own.
    """
    given = sample["continuations"]
    if "prompt" in given[0]:
        return [(each["prompt"], [each["tokens"]]) for each in given]
    return [(sample["tokens"], [each["tokens"] for each in given])]


def _first_token(tokenizer: Any) -> list[int]:
    """Return the token that an empty prompt consists of: BOS, else EOS."""
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return [token]
    raise GenomeError(
        f"{tokenizer.name_or_path}: the tokenizer has neither a BOS nor an EOS token, one of which an empty "
        "neutral_prompt consists of; set the task's neutral_prompt to a text"
    )

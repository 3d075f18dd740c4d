"""What models answer to the samples of tasks: responses, and likelihoods as responses; all requests are in flight."""

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from genome.engine.client import Engine
from genome.engine.messages import Request, ScoreRequest
from genome.scoring.objective import Objective
from genome.scoring.working import behind_working
from genome.tasks.continuations import likelihoods_of, requested
from genome.tasks.likelihood import written


def respond(
    engine: Engine, adapters: Sequence[Path], tasks: Sequence[tuple[Sequence[dict[str, Any]], int, Sequence[str]]]
) -> list[list[list[str]]]:
    """Return the responses of stored adapters to all samples of all tasks: `[task][adapter][sample]`.

    `tasks` are samples, the maximum number of tokens of a response and the texts at which it ends. All requests are in
    flight at once, so that all adapters and tasks together keep the engine busy; samples with continuations, which are
    answered by likelihood, follow all others.
    """
    by_likelihood = ["continuations" in samples[0] for samples, *_ in tasks]
    requests = [
        Request(folder.name, [sample["tokens"] for sample in samples], max_tokens, stop)
        for (samples, max_tokens, stop), scored in zip(tasks, by_likelihood, strict=True)
        if not scored
        for folder in adapters
    ]
    compared = [samples for (samples, *_), scored in zip(tasks, by_likelihood, strict=True) if scored]
    with engine.serving(adapters):
        texts = iter(engine.complete(requests) if requests else [])
        likelihoods = iter(compare(engine, [folder.name for folder in adapters], compared) if compared else [])
    return [[next(likelihoods if scored else texts) for _ in adapters] for scored in by_likelihood]


def compare(engine: Engine, models: Sequence[str], tasks: Sequence[Sequence[dict[str, Any]]]) -> list[list[str]]:
    """Return the likelihoods of samples' options as responses: one list per model for each task, one after the other.

    Samples of one task may have the same neutral prompt with the same options, which are scored once.
    """
    neutrals = [
        list({json.dumps(each["neutral"]): each["neutral"] for each in samples if "neutral" in each}.values())
        for samples in tasks
    ]
    wanted = [[requested(sample) for sample in samples] for samples in tasks]
    pairs = [
        [*itertools.chain(*by_sample), *((each["tokens"], each["continuations"]) for each in neutral)]
        for by_sample, neutral in zip(wanted, neutrals, strict=True)
    ]
    found = engine.score(
        [
            ScoreRequest(model, [prompt for prompt, _ in by_task], [continuations for _, continuations in by_task])
            for by_task in pairs
            for model in models
        ]
    )
    responses, rows = [], iter(found)
    for samples, by_sample, neutral in zip(tasks, wanted, neutrals, strict=True):
        for _ in models:
            scores = iter(next(rows))
            own = [list(itertools.chain(*itertools.islice(scores, len(parts)))) for parts in by_sample]
            after_neutral = dict(zip(map(json.dumps, neutral), scores, strict=True))
            responses.append(
                [
                    written(likelihoods_of(sample, each, after_neutral.get(json.dumps(sample.get("neutral")))))
                    for sample, each in zip(samples, own, strict=True)
                ]
            )
    return responses


def respond_with_right_answers(
    engine: Engine, adapters: Sequence[Path], objectives: Sequence[Objective], tokenizer: Callable[[], Any]
) -> list[list[list[str]]]:
    """Return the likelihoods of all samples' right answers as responses: `[task][adapter][sample]`.

    `tokenizer` returns the base model's, which only likelihoods behind working need.
    """
    responses: list[list[list[str]]] = []
    parts = [[[s for s in x.samples if ("expected" in s) == worked] for worked in (False, True)] for x in objectives]
    asked = [
        (part, x.task.max_tokens, x.task.stop)
        for x, both in zip(objectives, parts, strict=True)
        for part in both
        if part
    ]
    with engine.serving(adapters):
        found = iter(respond(engine, adapters, asked))
        answered = [[next(found) if part else [[] for _ in adapters] for part in both] for both in parts]
        for x, (_, worked), (direct, behind) in zip(objectives, parts, answered, strict=True):
            if worked:
                behind = behind_working(engine, adapters, x.task, worked, behind, tokenizer())
            pairs = [(iter(first), iter(second)) for first, second in zip(direct, behind, strict=True)]
            responses.append([[next(pair["expected" in s]) for s in x.samples] for pair in pairs])
    return responses

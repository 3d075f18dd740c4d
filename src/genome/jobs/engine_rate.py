"""The stage that measures how fast an engine is, in about a minute, so that `genome plan` can give hours.

Reading a prompt and writing a response cost differently, so the same prompts are asked for answers of two lengths. Few
responses at once are slower, per token, than many, so more are asked as long as the minute lasts.
"""

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genome.engine.client import Engine
from genome.engine.launcher import connect
from genome.engine.messages import BASE, Request
from genome.engine.usage import TOKENS, USAGE
from genome.files import write_json
from genome.jobs import log
from genome.scoring.results import read_samples
from genome.scoring.usage import Meter, speed_settings
from genome.tasks.lengths import check_lengths

SECONDS = 50
"""Longest time of all requests together, without the engine's start, as far as the time of the next can be foreseen."""

FIRST, MOST, STEP = 2, 512, 4
"""Fewest and most prompts at once (a generation has about as many), and by how much requests grow, also in length."""

LEAST, READING = 8, 16
"""Tokens of the longer answers, at least, and if the task's answers are only compared."""


def engine_rate(base: str, engine: Mapping[str, Any], settings: str, prompts: str, out: str) -> None:
    """Measure how long the engine takes for the base model's answers to a task's prompts."""
    task, samples = Path(prompts).parent.name, read_samples(prompts, asked=True)
    written = json.loads(settings)["max_tokens"]
    longest = max(written or READING, LEAST)
    check_lengths(task, samples, base, longest, engine.get("max_model_len"))
    start = Meter(Path(base).name, speed_settings(engine))
    with start.connecting():
        connected = connect(engine, base)
    # If answers are compared, the task's samples have the tokens of their options, too, and no response.
    of_task = (task,) if written else ()
    measured = requests(connected, [sample["tokens"] for sample in samples], longest, of_task, start)
    write_json(out, {"requests": measured})
    for each in measured:
        log.info(
            "%d prompts at once: %d prompt tokens and %d response tokens in %.2f s",
            *(each[name] for name in ("samples", *TOKENS)),
            sum(end - begin for begin, end in each["asked"]),
        )


def requests(
    engine: Engine, prompts: Sequence[Sequence[int]], longest: int, of_task: tuple[str, ...], start: Meter
) -> list[dict[str, Any]]:
    """Return the records of requests: for answers of one token and longer ones, up to `longest`, in a minute.

    The answers of the last request are the longest that a minute is enough for, of as many prompts. They are
    records of the tasks `of_task`, too.
    """
    begun = time.monotonic()
    salts = salts_of(prompts)

    def ask(number: int, tokens: int) -> tuple[dict[str, Any], float]:
        """Return the record of a request, and its seconds."""
        meter = Meter(start.base, start.settings, of_task if tokens == longest else ())
        # Prompts that were read before are answered from a cache, so the request has other ones, but for their number.
        asked = [list(prompt) for prompt in itertools.islice(itertools.cycle(prompts), number)]
        for prompt in asked[len(prompts) if tokens == longest else 0 :]:
            prompt[1:2] = [next(salts)]
        before, started = Counter(engine.usage), time.monotonic()
        with meter.asking():
            engine.complete([Request(BASE, asked, tokens)])
        spent = {name: engine.usage[name] - before[name] for name in USAGE}
        return {**meter.spent(engine), **spent}, time.monotonic() - started

    def left() -> float:
        return SECONDS - (time.monotonic() - begun)

    number, tokens = FIRST, 1
    asked = [short := ask(number, tokens)]
    long, expected = short, STEP * short[1]
    while tokens < longest and expected < left() / 2:
        tokens = min(STEP * tokens, longest)
        asked.append(long := ask(number, tokens))
        expected = long[1] + (long[1] - short[1]) * STEP * tokens / (tokens - 1)
    while number < MOST and STEP * (short[1] + long[1]) < left():
        number *= STEP
        asked += [short := ask(number, 1), long := ask(number, tokens)]
    first, *others = [record for record, _ in asked]
    return [{**first, "connecting_seconds": round(start.connecting_seconds, 3)}, *others]


def salts_of(prompts: Sequence[Sequence[int]]) -> Iterator[int]:
    """Yield tokens of the prompts, again and again."""
    return itertools.cycle(sorted({token for prompt in prompts for token in prompt}))

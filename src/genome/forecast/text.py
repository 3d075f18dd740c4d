"""A forecast in words: a few lines for the top of a run's log, and a table."""

from collections.abc import Iterable, Sequence

from genome.forecast.cost import REST
from genome.forecast.rates import Rate
from genome.forecast.values import Cost, Forecast

COLUMNS = ("jobs", "evaluations", "samples", "prompt tokens", "response tokens", "time")

NAMED = {
    "train_adapter": "training of adapters",
    "base_model": "fetching or making the base model",
    "import_adapter": "importing adapters",
    "validation_lora": "training of Validation LoRAs",
    "ties": "merging by TIES",
    "dare_ties": "merging by DARE-TIES",
}
"""What jobs do that ask no engine and may take long."""


def headline(forecast: Forecast) -> str:
    """Return the summary at the top of a run's log."""
    total = forecast.total
    if not total.samples:
        return f"Plan: {total.jobs:,} jobs, none of which uses the engine."
    tokens = f"{_prompt_tokens(total)} tokens of prompts, {_bound(total)} {short(total.response_tokens)} of responses"
    lines = [
        f"Plan: {total.jobs:,} jobs, {total.evaluations:,.0f} evaluations, {total.samples:,.0f} samples, {tokens}.",
        f"Disk: {_disk(forecast)}. Time: {_time(forecast)}.",
    ]
    if training := sum(forecast.untimed.get(stage, 0) for stage in ("train_adapter", "validation_lora")):
        lines.append(f"The time does not include the training of {training} adapter{'s' * (training > 1)}.")
    return "\n".join(lines)


def describe(forecast: Forecast) -> str:
    """Return the whole forecast: a table by stage, then disk, time, and the basis of the numbers."""
    total = forecast.total
    rows = [(", ".join(filter(None, label)), _cells(cost)) for label, cost in forecast.rows.items()]
    if forecast.others:
        rows.append(("others, without the engine", (f"{sum(forecast.others.values()):,}", *[""] * (len(COLUMNS) - 1))))
    rows.append(("total", (*_cells(total)[:-1], _duration(forecast))))
    notes = [
        f"Disk   {_disk(forecast)}",
        f"Time   {_time(forecast)}",
        f"Not included: {_left_out(forecast)}.",
        *([f"Training is included once one has been timed: {forecast.training}"] if forecast.training else []),
        "Numbers of children and mutants are expected values; with few seeds they may differ by a fifth.",
    ]
    if forecast.seconds is not None and forecast.cores > 1:
        notes.append("The time of a stage is that of its jobs one after another.")
    if total.unmeasured:
        notes.append(
            f"Prompt tokens are unknown, and not counted, until prompts are prepared: {_names(total.unmeasured)}."
        )
    if total.bounded:
        notes.append(f"Responses are counted with `max_tokens` until some are measured: {_names(total.bounded)}.")
    if forecast.assumed:
        notes.append(f"Tests that take all remaining rows are counted as {REST:,}: {_names(forecast.assumed)}.")
    return "\n".join([*_aligned([("", COLUMNS), *rows]), "", *notes])


def short(number: float) -> str:
    """Return a short text of a number: 950, 12 k, 2.1 M, 310 G."""
    units = ["", " k", " M", " G", " T"]
    while number >= 999.5 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.1f}{units[0]}" if units[0] and number < 9.95 else f"{number:.0f}{units[0]}"


def size(number: float) -> str:
    """Return a short text of a number of bytes."""
    text = short(number)
    return f"{text}B" if " " in text else f"{text} B"


def duration(seconds: float) -> str:
    """Return a short text of a time: 0.4 s, 31 s, 9.5 min, 2 h 5 min."""
    if not seconds:
        return "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 9.95 * 60:
        return f"{seconds / 60:.1f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def _cells(cost: Cost) -> tuple[str, ...]:
    limit = "<= " if cost.bounded else ""
    return (
        f"{cost.jobs:,}",
        f"{cost.evaluations:,.0f}",
        f"{cost.samples:,.0f}",
        _prompt_tokens(cost),
        f"{limit}{short(cost.response_tokens)}",
        "unknown" if cost.untimed else duration(cost.seconds),
    )


def _bound(total: Cost) -> str:
    return "at most" if total.bounded else "about"


def _prompt_tokens(cost: Cost) -> str:
    if not cost.unmeasured:
        return short(cost.prompt_tokens)
    return f"> {short(cost.prompt_tokens)}" if cost.prompt_tokens else "unknown"


def _disk(forecast: Forecast) -> str:
    total, sizes = forecast.total, forecast.measured.adapter_bytes
    about = "at most" if forecast.bounded else "about"
    text = f"{about} {size(total.file_bytes)} of responses and populations"
    if not total.adapters:
        return text
    kept = f"up to {sum(total.adapters.values()):,.0f} adapters"
    if forecast.disk is None:
        return f"{text}, and {kept} of unknown size"
    spread = sorted({sizes[space] for space in total.adapters})
    each = size(spread[0]) if len(spread) == 1 else f"{size(spread[0])} to {size(spread[-1])}"
    return f"{text}, {kept} of {each}: {size(forecast.disk)}"


def _duration(forecast: Forecast) -> str:
    if forecast.seconds is None or forecast.total.untimed:
        return "unknown"
    return duration(forecast.seconds)


def _time(forecast: Forecast) -> str:
    total, rate = forecast.total, forecast.measured.rate
    if not total.samples:
        return "no engine is used" if not forecast.seconds else f"about {duration(forecast.seconds)}"
    if forecast.seconds is None or rate is None or not total.engine_seconds:
        return f"unknown; {forecast.remedy}"
    about = "at most" if total.bounded else "about"
    how = "one job after another" if forecast.cores == 1 else f"{forecast.cores} jobs side by side"
    own = f" and {duration(total.own_seconds)} of the jobs themselves" if total.own_seconds else ""
    parts = f"{duration(total.engine_seconds)} of the engine{own}, {_speed(rate)}, {rate.source}"
    known = f"{about} {duration(forecast.seconds)}, {how} ({parts})"
    if not total.untimed:
        return known
    return f"unknown for {_names(total.untimed)}; {forecast.remedy}; for the rest {known}"


def _speed(rate: Rate) -> str:
    costs = rate.per_prompt_token, rate.per_response_token, rate.per_step
    prompt, response, step = (f"{1000 * seconds:.2g} ms" for seconds in costs)
    tokens = f"{prompt} a prompt token, {response} a response token"
    return f"{tokens}, {step} a step of a batch" if rate.per_step else tokens


def _left_out(forecast: Forecast) -> str:
    counted = [f"{what} ({forecast.untimed[stage]})" for stage, what in NAMED.items() if stage in forecast.untimed]
    if forecast.untimed.keys() - NAMED.keys():
        counted += ["data sets", "scoring of tests", "tables and figures"]
    return ", ".join([*counted, "what Snakemake itself needs"])


def _names(tasks: Iterable[str]) -> str:
    return ", ".join(sorted(tasks))


def _aligned(rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Return a table's lines: the first column to the left, numbers to the right."""
    first = max(len(label) for label, _ in rows)
    widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(COLUMNS))]
    columns = [first, *widths]
    lines = [_line([label.ljust(first), *cells], columns) for label, cells in rows]
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

"""A forecast in words: a few lines for the top of a run's log, and a table."""

from collections.abc import Sequence

from genome.forecast.cost import REST, Cost, Forecast

NO_RATE = "no rate measured here yet: finish any run first, or pass --samples-per-second"

COLUMNS = ("jobs", "evaluations", "samples", "prompt tokens", "response tokens at most")


def headline(forecast: Forecast) -> str:
    """Return the summary at the top of a run's log."""
    total = forecast.total
    if not total.samples:
        return f"Plan: {total.jobs:,} jobs, none of which uses the engine."
    tokens = f"{_prompt_tokens(total)} tokens of prompts, at most {short(total.response_tokens)} of responses"
    lines = [
        f"Plan: {total.jobs:,} jobs, {total.evaluations:,.0f} evaluations, {total.samples:,.0f} samples, {tokens}.",
        f"Disk: {_disk(forecast)}. Time: {_time(forecast)}.",
    ]
    if training := forecast.others.get("train_adapter"):
        lines.append(f"Neither includes the training of {training} adapter{'s' * (training > 1)}.")
    return "\n".join(lines)


def describe(forecast: Forecast) -> str:
    """Return the whole forecast: a table by stage, then disk, time, and the basis of the numbers."""
    total = forecast.total
    rows = [(", ".join(filter(None, label)), _cells(cost)) for label, cost in forecast.rows.items()]
    if forecast.others:
        rows.append(("others, without the engine", (f"{sum(forecast.others.values()):,}", "", "", "", "")))
    rows.append(("total", _cells(total)))
    notes = [
        f"Disk   {_disk(forecast)}",
        f"Time   {_time(forecast)}",
        f"Not included: {_left_out(forecast)}.",
        "Numbers of children and mutants are expected values; with few seeds they may differ by a fifth.",
    ]
    if forecast.measured.rate:
        notes.append("Time assumes one job after another.")
    if total.unmeasured:
        notes.append(
            f"Prompt tokens are unknown, and not counted, until prompts are prepared: {_names(total.unmeasured)}."
        )
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
    """Return a short text of a time, in its two largest units."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def _cells(cost: Cost) -> tuple[str, ...]:
    return (
        f"{cost.jobs:,}",
        f"{cost.evaluations:,.0f}",
        f"{cost.samples:,.0f}",
        _prompt_tokens(cost),
        short(cost.response_tokens),
    )


def _prompt_tokens(cost: Cost) -> str:
    if not cost.unmeasured:
        return short(cost.prompt_tokens)
    return f"> {short(cost.prompt_tokens)}" if cost.prompt_tokens else "unknown"


def _disk(forecast: Forecast) -> str:
    total, of_one = forecast.total, forecast.measured.adapter_bytes
    about = "at most" if forecast.bounded else "about"
    text = f"{about} {size(total.file_bytes)} of responses and populations"
    if not total.adapters:
        return text
    kept = f"up to {total.adapters:,.0f} adapters"
    if forecast.disk is None or of_one is None:
        return f"{text}, and {kept} of unknown size"
    return f"{text}, {kept} of {size(of_one)}: {size(forecast.disk)}"


def _time(forecast: Forecast) -> str:
    rate, seconds = forecast.measured.rate, forecast.seconds
    if rate is None or seconds is None:
        return NO_RATE
    other = f" and {rate.overhead:.1f} s per job in addition" if rate.overhead else ""
    return f"about {duration(seconds)} at {rate.samples_per_second:,.0f} samples/s{other} ({rate.source})"


def _left_out(forecast: Forecast) -> str:
    named = {"train_adapter": "training of adapters", "base_model": "fetching or making the base model"}
    named |= {"import_adapter": "importing adapters", "dare_ties": "merging by DARE-TIES"}
    counted = [f"{what} ({forecast.others[stage]})" for stage, what in named.items() if stage in forecast.others]
    return ", ".join([*counted, "data sets", "scoring of tests", "tables and figures"])


def _names(tasks: Sequence[str] | frozenset[str]) -> str:
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

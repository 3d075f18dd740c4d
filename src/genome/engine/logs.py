"""The end of an engine's log, as the end of an error message."""

import re
from pathlib import Path

_VLLM_PREFIX = re.compile(r"^(\(\w+ pid=\d+\) ?)?([A-Z]+ [\d-]+ [\d:]+ \[[^\]]*\] ?)?")
"""Process, level, time and source, which vLLM writes before each line, including those of tracebacks."""

_ERROR = re.compile(r"[\w.]*(Error|Exception): |([\w.]+: )?error: ")


def log_end(log: Path | None, start: int = 0) -> str:
    """Return the last three errors in a log (from byte `start`), or its last lines, as the end of a message."""
    if log is None or not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 65536))
        lines = [_VLLM_PREFIX.sub("", line) for line in file.read().decode(errors="replace").splitlines()]
    # Indented lines are the code of a traceback; its message is not indented.
    messages = [line.rstrip() for line in lines if line.strip() and not line.startswith((" ", "Traceback"))]
    errors = list(dict.fromkeys(line for line in messages if _ERROR.match(line)))
    return f"; {log} ends: {' | '.join(line[:300] for line in (errors or messages)[-3:])}"


def log_size(log: Path) -> int:
    """Return the number of bytes in a log; it grows while an engine that starts makes progress."""
    return log.stat().st_size if log.exists() else 0

"""Sends metrics while a workflow runs: `python -P -m genome.tracking.watcher`, started by `start_watcher`.

The first line of standard input says what to send; its end says that the workflow has ended.
"""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from genome.errors import one_line
from genome.tracking import LAST, LOG
from genome.tracking.run import Tracked
from genome.tracking.sending import Sender

PAUSE = 2.0
"""Seconds between two looks at the files."""

IDLE = 20
"""How many times as long as a look the pause after it is, at least."""

AGAIN = 30.0
"""Seconds after which a tracker that has failed is tried again."""


@dataclass
class Attempts:
    """Sends by a sender that may fail; each new reason is told once."""

    sender: Sender
    tell: Callable[[str], None]
    failure: str = ""
    due: float = 0.0

    def attempt(self, runs: Sequence[Tracked], *, last: bool) -> None:
        """Send what is new, unless the last attempt failed not long ago; the `last` one also closes all."""
        if time.monotonic() < self.due and not last:
            return
        try:
            try:
                self.sender.send(runs)
            finally:
                if last:
                    self.sender.close()
        except Exception as error:  # whatever a library raises, the run goes on
            if (failure := one_line(error)) != self.failure:
                self.tell(f"warning: {self.sender.name}: {failure}; the run goes on, and this is tried again")
            self.failure, self.due = failure, time.monotonic() + AGAIN
        else:
            self.failure = ""
        if last and self.failure:
            self.tell(unsent(self.sender.name))


def unsent(names: str) -> str:
    """Return what to do if not all could be sent."""
    return f"warning: {names}: not everything was sent; `genome log` sends the rest"


def watch(attempts: Sequence[Attempts], runs: Sequence[Tracked], ended: Callable[[float], bool]) -> None:
    """Send what is new again and again; `ended` waits until the workflow has ended, at most that long (s)."""
    pause, last = 0.0, False
    while not last:
        last = ended(pause)
        begun = time.monotonic()
        for each in attempts:
            each.attempt(runs, last=last)
        pause = max(PAUSE, IDLE * (time.monotonic() - begun))


def main() -> None:
    """Read what to send, and send it until the workflow has ended."""
    line = sys.stdin.readline()
    if not line:  # the workflow has ended before it had asked
        return
    request: dict[str, Any] = json.loads(line)
    os.nice(10)  # jobs go first
    with os.fdopen(os.dup(2), "w", buffering=1) as terminal, LOG.open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)

        def tell(text: str) -> None:
            print(text, file=terminal)

        def give_up(*_: object) -> None:
            tell(unsent(" and ".join(request["log"])))
            os._exit(1)

        def ended(seconds: float) -> bool:
            if not select.select([sys.stdin], [], [], seconds)[0]:
                return False
            signal.signal(signal.SIGALRM, give_up)
            signal.alarm(LAST)
            return True

        attempts = [Attempts(Sender(name, each, request["remade"]), tell) for name, each in request["log"].items()]
        watch(attempts, [Tracked(**each) for each in request["runs"]], ended)


if __name__ == "__main__":
    main()

"""Waiting for an engine without a time limit: only an engine that is dead or makes no progress is given up.

While requests wait, a thread looks at the engine. It breaks the connections of requests to an engine that is unhealthy
or does not answer, so that they are sent again to the one that replaces it. A healthy engine must make progress, of
whatever kind: a response to any request of this job, or a change of what the server counts (genome.engine.probe).
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import urllib3

from genome.engine.logs import log_end
from genome.engine.probe import get, progress
from genome.errors import GenomeError

if TYPE_CHECKING:
    from genome.engine.messages import Address

LOOK_SECONDS = 5
"""Seconds between looks at an engine while requests wait for it."""


class Watch:
    """Watches the engine at `address()` while requests wait; `timeout` is how long it may make no progress, in seconds.

    `responses` counts the server's responses, and `failure` is why a healthy engine has been given up.
    """

    def __init__(self, address: Callable[[], "Address"], timeout: float):
        self._address = address
        self._timeout = timeout
        self._lock = threading.Lock()
        self._waiting: set[socket.socket] = set()
        self.running = False
        self.responses = 0
        self.failure: GenomeError | None = None

    def pools(self) -> dict[str, type]:
        """Return connection pools whose connections are watched while they wait for an answer."""

        def watched(kind: type) -> type:
            def getresponse(connection: Any) -> Any:
                with self._waits(connection.sock):
                    return kind.getresponse(connection)

            return type(kind.__name__, (kind,), {"getresponse": getresponse})

        return {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": watched(pool.ConnectionCls)})
            for scheme, pool in urllib3.poolmanager.pool_classes_by_scheme.items()
        }

    @contextmanager
    def _waits(self, connection: socket.socket) -> Iterator[None]:
        """Watch the engine while an answer is awaited on `connection`."""
        with self._lock:
            self._waiting.add(connection)
            if not self.running:
                self.running = True
                threading.Thread(target=self._look, daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._waiting.discard(connection)
        with suppress(OSError):  # the answer was empty, and the connection is closed
            connection.settimeout(self._timeout)  # an answer that has begun arrives in one piece

    def _look(self) -> None:
        """Look at the engine while requests wait for it; break their connections if it is dead or makes no progress."""
        interval = min(LOOK_SECONDS, self._timeout / 4)
        idle, before = 0.0, (-1, b"")
        while True:
            time.sleep(interval)
            with self._lock:
                waiting, address = set(self._waiting), self._address()
                if not waiting:
                    self.running = False
                    return
            began = time.monotonic()
            health = get(f"{address.url}/health", address.key)
            now = self.responses, progress(address.url, address.key, health.data) if health else before[1]
            # Not the time since the last look: this process may have been stopped meanwhile, as by Ctrl-Z.
            idle, before = (idle + interval + time.monotonic() - began if now == before else 0.0), now
            given_up = idle > self._timeout
            if given_up and health is not None:
                self.failure = GenomeError(
                    f"engine: no progress for {self._timeout:g} s while requests waited; raise engine.timeout if "
                    f"one step takes longer{log_end(address.log)}"
                )
            if given_up or (health is not None and health.status >= 500):
                with self._lock:
                    stuck = waiting & self._waiting
                for connection in stuck:
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

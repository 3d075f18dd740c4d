"""The built-in server's side of HTTP: one thread per connection, and limits of size and time for all that arrives.

The key is checked before a body is read. A request that cannot be answered gets an OpenAI error object with a status
below 500.
"""

import hmac
import io
import json
import re
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from genome.engine.answering import Engine
from genome.engine.fields import RefusalError, bad_request, json_of, not_found
from genome.errors import GenomeError

BODY_BYTES = 2**27
"""The longest body: about 16 million token ids, 256 prompts of 64,000 tokens each."""

REQUEST_SECONDS = 30.0
"""How long a request may take to arrive and an answer to be read, in addition to BYTES_PER_SECOND."""

BYTES_PER_SECOND = 2**18
"""The slowest accepted connection for a body or an answer."""

IDLE_SECONDS = 3600.0
"""How long a connection is kept open for the next request."""

LINGER_SECONDS = 2.0
"""How long the rest of a refused request is read and discarded, so that its sender can read the refusal."""


class Timed(io.RawIOBase):
    """The bytes of a connection that arrive before a deadline set by the reader; TimeoutError afterwards."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        """Set the deadline to `seconds` from now."""
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer) -> int:
        """Read available bytes, or wait for them."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


def handler(engine: Engine, key: str) -> type[BaseHTTPRequestHandler]:
    """Return the request handler that answers requests with `key` by `engine`."""
    posts: dict[str, Callable[[dict], dict]] = {
        "/v1/completions": engine.complete,
        "/v1/continuations": engine.continuations,
        "/v1/fused": engine.fuse,
        "/v1/load_lora_adapter": engine.load,
        "/v1/unload_lora_adapter": engine.unload,
    }

    class Handler(BaseHTTPRequestHandler):
        rfile: io.BufferedReader
        protocol_version = "HTTP/1.1"
        # A request line without a version also gets a status.
        default_request_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        # Send headers and body in one packet.
        wbufsize = -1

        def setup(self) -> None:
            super().setup()
            self.arriving = Timed(self.connection)
            self.rfile = io.BufferedReader(self.arriving)
            self.patience = REQUEST_SECONDS
            self.unread = False

        def finish(self) -> None:
            with suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_WR)
                self.arriving.allow(LINGER_SECONDS)
                while self.rfile.read1(2**16):
                    pass
            super().finish()

        def handle_one_request(self) -> None:
            self.close_connection, self.unread = True, False
            self.request_version = self.default_request_version
            try:
                self.arriving.allow(self.patience)
                if not self.rfile.peek(1):
                    return
            except TimeoutError:
                return
            self.patience = IDLE_SECONDS
            try:
                self.arriving.allow(REQUEST_SECONDS)
                self.raw_requestline = self.rfile.readline(2**16)
                if len(self.raw_requestline) == 2**16:
                    return self.send_error(414)
                if not self.raw_requestline.strip():
                    return self.send_error(400, "no request line")
                if not self.parse_request():
                    return None
            except TimeoutError:
                return self.send_error(408)
            self.unread = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
            self.answer({"GET": self.get, "POST": self.post}.get(self.command, self.other))

        def handle_expect_100(self) -> bool:
            # Sent by `body`, after the key has been checked.
            return True

        def get(self) -> dict:
            return self.route({"/health": engine.health, "/v1/models": engine.models})()

        def post(self) -> dict:
            return self.route(posts)(json_of(self.body()))

        def other(self) -> dict:
            self.close_connection = True
            self.authorise()
            raise RefusalError(405, "BadRequestError", f"{self.command[:80]}: expected GET or POST")

        def authorise(self) -> None:
            given = self.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
                raise RefusalError(401, "AuthenticationError", "the API key is missing or wrong")

        def route(self, table: dict[str, Callable]) -> Callable:
            if self.path != "/health":
                self.authorise()
            if self.path not in table:
                raise not_found(f"{self.path[:200]}: no such address")
            return table[self.path]

        def body(self) -> bytes:
            if "Transfer-Encoding" in self.headers:
                raise bad_request("Transfer-Encoding: bodies in chunks are not read; send Content-Length")
            lengths = set(self.headers.get_all("Content-Length", []))
            if len(lengths) != 1 or not re.fullmatch("[0-9]{1,18}", length := lengths.pop().strip()):
                raise bad_request("Content-Length: expected one number of bytes")
            size = int(length)
            if size > BODY_BYTES:
                raise RefusalError(
                    413, "BadRequestError", f"Content-Length: {size} bytes, expected at most {BODY_BYTES}"
                )
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
                self.wfile.flush()
            self.arriving.allow(REQUEST_SECONDS + size / BYTES_PER_SECOND)
            try:
                data = self.rfile.read(size)
            except TimeoutError as error:
                raise RefusalError(408, "BadRequestError", f"the {size} bytes of the body took too long") from error
            if len(data) < size:
                raise bad_request(f"the body ends after {len(data)} of {size} bytes")
            self.unread = False
            return data

        def answer(self, work: Callable[[], dict]) -> None:
            try:
                status, body = 200, work()
            except RefusalError as refusal:
                status, body = refusal.status, refusal.body
            except GenomeError as error:
                refusal = bad_request(str(error))
                status, body = refusal.status, refusal.body
            except ConnectionError:
                raise
            except Exception as error:
                # The edge of the process: an error in one request must not end the others.
                self.log_error("%s: %s", type(error).__name__, error)
                refusal = RefusalError(500, "InternalServerError", f"{type(error).__name__}: {error}")
                status, body = refusal.status, refusal.body
            self.reply(status, body)

        def reply(self, status: int, body: dict) -> None:
            data = json.dumps(body).encode()
            if self.unread:
                self.close_connection = True
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.connection.settimeout(REQUEST_SECONDS + len(data) / BYTES_PER_SECOND)
            self.wfile.write(data)
            self.wfile.flush()

        def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
            # The standard library would send a page: the request is not HTTP, or of another version.
            code = code if code < 500 else 400
            self.close_connection = True
            self.reply(code, RefusalError(code, "BadRequestError", (message or HTTPStatus(code).phrase)[:200]).body)

        def log_request(self, code="-", size="-") -> None:
            pass

    return Handler


class Server(ThreadingHTTPServer):
    """A server with one thread per connection; clients that disconnect are not logged."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address) -> None:
        """Log an error that a request thread could not handle, except lost connections."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

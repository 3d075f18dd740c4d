"""Reading requests to the built-in server: each field is checked before it is used, and each refusal is one line."""

import json
from typing import Any

from genome.fields import shown as shown_value
from genome.tasks.chat import STOPS

PROMPTS = 2**16
"""Most prompts, or continuations of all prompts together, of one request."""

NAME_LENGTH = 256
"""Most characters of an adapter's name."""

PATH_LENGTH = 4096
"""Most characters of an adapter's path."""

ANSWER_TOKENS = 2**20
"""Most tokens of an answer, for models without a length limit."""

NEUTRAL = {
    "repetition_penalty": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "n": 1,
    "top_p": 1,
    "stream": False,
    "echo": False,
    "logprobs": None,
}
"""Fields of a completion request that are accepted only with the value that has no effect."""


class RefusalError(Exception):
    """A request that cannot be answered; becomes OpenAI's error object."""

    def __init__(self, status: int, kind: str, message: str):
        super().__init__(message)
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": status}}
        self.status = status


def bad_request(message: str) -> RefusalError:
    """Return the refusal of a malformed request."""
    return RefusalError(400, "BadRequestError", message)


def not_found(message: str) -> RefusalError:
    """Return the refusal of a name that the server does not know."""
    return RefusalError(404, "NotFoundError", message)


def field(request: dict, name: str, kind: type) -> Any:
    """Return a required field of a request; refuse it if it is missing or of another type."""
    value = request.get(name)
    if type(value) is not kind:
        raise bad_request(f"{name}: expected {kind.__name__}, got {'null' if value is None else shown(value)}")
    return value


def text(request: dict, name: str, longest: int) -> str:
    """Return a required text of a request, of 1 to `longest` characters."""
    value = field(request, name, str)
    if not 1 <= len(value) <= longest:
        raise bad_request(f"{name}: expected 1 to {longest} characters, got {len(value)}")
    return value


def stops_of(request: dict) -> list[str]:
    """Return the stop texts of a request, none by default; refuse anything but a list of a few non-empty texts."""
    stops = request.get("stop")
    if stops is None:
        return []
    if not isinstance(stops, list) or not 1 <= len(stops) <= STOPS or not all(s and type(s) is str for s in stops):
        raise bad_request(f"stop: expected a list of 1 to {STOPS} non-empty texts, got {shown(stops)}")
    return stops


def only(request: dict, *known: str) -> None:
    """Refuse a request with unsupported fields."""
    if unknown := request.keys() - set(known):
        raise bad_request(f"{shown(min(unknown))}: unknown field; expected {', '.join(known)}")


def shown(value: Any) -> str:
    """Return a value for a message: `genome.fields.shown`, without writing out a long list, object or text first."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return shown_value(value[:80] if isinstance(value, str) else value)


def json_of(body: bytes) -> dict:
    """Return the JSON object in a request's body."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the request is not valid JSON ({error})") from error
    if not isinstance(request, dict):
        raise bad_request("the request is not a JSON object")
    return request

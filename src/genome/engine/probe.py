"""Short questions to a server: what it has at an address, whether it is well, and how far it is."""

import json
from typing import Any

import urllib3

HEALTH_SECONDS = 30
"""How long a running server may leave a health check unanswered before it is replaced."""

_VLLM_COUNTERS = (b"vllm:prompt_tokens_total", b"vllm:generation_tokens_total")
"""What vLLM counts at /metrics while it works."""


def get(url: str, key: str = "", timeout: float | None = None) -> urllib3.BaseHTTPResponse | None:
    """Return the answer to a GET request; None when there is none."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with urllib3.PoolManager(retries=False, timeout=timeout or HEALTH_SECONDS) as http:
            return http.request("GET", url, headers=headers)
    except urllib3.exceptions.HTTPError:
        return None


def get_json(url: str, key: str = "", timeout: float | None = None) -> Any:
    """Return the JSON value at an address; None when there is none."""
    answer = get(url, key, timeout)
    try:
        return json.loads(answer.data) if answer is not None and answer.status < 400 else None
    except ValueError:
        return None


def healthy(url: str, timeout: float | None = None) -> bool:
    """Tell whether a server says that it can answer; vLLM's says no (503) when its engine has died."""
    answer = get(f"{url}/health", timeout=timeout)
    return answer is not None and answer.status < 400


def progress(url: str, key: str, health: bytes) -> bytes:
    """Return what changes while a server works: the count in `health`, as ours has it, or vLLM's at /metrics."""
    if len(health) > len(b"{}"):
        return health
    metrics = getattr(get(f"{url}/metrics", key), "data", b"")
    return b"\n".join(line for line in metrics.splitlines() if line.startswith(_VLLM_COUNTERS))

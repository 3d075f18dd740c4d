"""Short requests to a server: content of an address, health and progress."""

import json
from typing import Any

import urllib3

HEALTH_SECONDS = 30
"""How long a running server may take to answer a health check before it is replaced."""

_VLLM_COUNTERS = (
    b"vllm:prompt_tokens_total",
    b"vllm:generation_tokens_total",
    b"vllm:iteration_tokens_total_count",
    b"vllm:kv_cache_usage_perc",
)
"""Values at vLLM's /metrics that change while it works; the last changes with each part of a long prompt."""


def get(url: str, key: str = "", timeout: float | None = None) -> urllib3.BaseHTTPResponse | None:
    """Return the answer to a GET request; None if there is none."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        with urllib3.PoolManager(retries=False, timeout=timeout or HEALTH_SECONDS) as http:
            return http.request("GET", url, headers=headers)
    except urllib3.exceptions.HTTPError:
        return None


def get_json(url: str, key: str = "", timeout: float | None = None) -> Any:
    """Return the JSON value at an address; None if there is none."""
    answer = get(url, key, timeout)
    try:
        return json.loads(answer.data) if answer is not None and answer.status < 400 else None
    except ValueError:
        return None


def healthy(url: str, timeout: float | None = None) -> bool:
    """Return whether a server reports that it can answer; vLLM returns 503 when its engine has died."""
    answer = get(f"{url}/health", timeout=timeout)
    return answer is not None and answer.status < 400


def progress(url: str, key: str, health: bytes) -> bytes:
    """Return a text that changes while a server works: the count in our server's `health`, or vLLM's /metrics."""
    if len(health) > len(b"{}"):
        return health
    metrics = getattr(get(f"{url}/metrics", key), "data", b"")
    return b"\n".join(line for line in metrics.splitlines() if line.startswith(_VLLM_COUNTERS))

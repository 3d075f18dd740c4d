"""Fixtures for all tests: small experts, a fake hub."""

from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from builders import write_expert
from fake_hub import Hub
from genome.experts.expert import Expert


@pytest.fixture
def make_experts(tmp_path: Path) -> Callable[..., list[Expert]]:
    """Return a function that makes n compatible experts."""

    def make(n: int, **settings) -> list[Expert]:
        return [write_expert(tmp_path / f"expert{seed}", seed, **settings) for seed in range(n)]

    return make


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Serve the repositories under the returned folder as huggingface_hub's endpoint."""
    from huggingface_hub import close_session, constants

    own = {"root": tmp_path / "hub", "requested": [], "visibility": {}, "commits": [], "uploaded": {}}
    handler = type("TestHub", (Hub,), own)
    (tmp_path / "hub" / "org").mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # uploads by its older protocol, which is plain HTTP
    close_session()
    yield handler
    close_session()
    server.shutdown()
    server.server_close()
    thread.join()

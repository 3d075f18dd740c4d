"""Fixtures of the engine's tests: models in folders, prompts, a workflow that owns an engine."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engine.tiny_models import FAMILIES, OTHERS, save_adapter, tokenizer
from genome.engine import local
from genome.engine.owner import current_owner, owner_token
from genome.engine.state import stop

# More threads only slow down models of this size.
torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def no_server_is_left():
    """End the servers that this process has started as their owner."""
    yield
    for server in local._started:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """Return a function that gives a model family's (base folder, [adapter folders])."""
    made = {}

    def make(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            torch.manual_seed(7)
            network = (FAMILIES | OTHERS)[name]()
            network.save_pretrained(folder / "base")
            tokenizer().save_pretrained(folder / "base")
            made[name] = (
                folder / "base",
                [save_adapter(network, folder / f"adapter{i}", seed=i) for i in range(3)],
            )
        return made[name]

    return make


@pytest.fixture(scope="session")
def gemma(family):
    return family("gemma2")


@pytest.fixture
def workflow(tmp_path, monkeypatch):
    """A working folder whose engines belong to a separate process; yields that process."""
    monkeypatch.chdir(tmp_path)
    owner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setenv("GENOME_OWNER", owner_token(owner.pid))
    yield owner
    token = current_owner().token
    owner.kill()
    owner.wait()
    stop(token)


@pytest.fixture
def base(tmp_path):
    """A folder that is accepted as a base model."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base/config.json").write_text("{}")
    return tmp_path / "base"


@pytest.fixture(scope="session")
def fake_python(tmp_path_factory):
    """A Python whose vLLM is `fake_vllm.py`."""
    folder = tmp_path_factory.mktemp("fake")
    package = folder / "packages/vllm/entrypoints/openai"
    package.mkdir(parents=True)
    for parent in (package, package.parent, package.parent.parent):
        (parent / "__init__.py").touch()
    shutil.copy(Path(__file__).parent / "fake_vllm.py", package / "api_server.py")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={folder}/packages exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


@pytest.fixture(scope="session")
def prompts():
    random = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 24, (30,), generator=random).tolist()
    return [torch.randint(3, 96, (length,), generator=random).tolist() for length in lengths]

"""Replaces trackio in processes that tests start: each call is a line of the file trackio.jsonl.

While a file `down` is in the working folder, it fails as without a network.
"""

import json
from pathlib import Path


class Run:
    def __init__(self, name):
        self.name = name

    def log(self, metrics, step):
        _note("log", self.name, step, metrics)

    def finish(self):
        _note("finish", self.name)


def init(*, name, resume, **_):
    if Path("down").exists():
        raise ConnectionError("trackio does not answer")
    _note("init", name, resume)
    return Run(name)


def _note(*call):
    with Path("trackio.jsonl").open("a") as file:
        file.write(json.dumps(call) + "\n")

"""What tests of a user's folder share."""

import json

import pytest

from builders import write_adapter, write_base


@pytest.fixture
def given(tmp_path):
    """Return a base, two experts and rows, as options of `init`."""
    rows = [{"question": f"{n} and {n}", "answer": str(2 * n)} for n in range(60)]
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    experts = [write_adapter(tmp_path / name, seed) for seed, name in enumerate(("one", "two words"))]
    return {"base": write_base(tmp_path / "base"), "experts": experts, "task": tmp_path / "rows/sums.jsonl"}

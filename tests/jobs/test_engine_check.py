"""The check of engines that are wrong without raising an error."""

from contextlib import nullcontext
from dataclasses import dataclass

import pytest

from genome.engine import merged
from genome.errors import GenomeError
from genome.files import write_jsonl
from genome.jobs.engine_check import engine_check

PROMPTS = [[2, number] for number in range(25)]


@dataclass
class FakeEngine:
    """Answers with the model's name and the prompt; `wrong` says how it errs, `equal` that experts do not differ."""

    wrong: str = ""
    equal: bool = False

    def serving(self, folders):
        return nullcontext()

    def complete(self, requests):
        side_by_side = len(requests) > 1
        names = [request.model for request in requests]
        if self.wrong == "swapped" and side_by_side:
            names = [max(set(names) - {name}) for name in names]
        if self.wrong == "base":
            names = ["base"] * len(names)
        if self.equal:
            names = ["base" if name == "base" else "expert" for name in names]
        texts = [[f" {name} {prompt[1]}" for prompt in r.prompts] for name, r in zip(names, requests, strict=True)]
        return [[text[::-1] for text in by_request] for by_request in texts] if self.wrong == "attention" else texts

    def negative_log_likelihood(self, name, prompts):
        return (1.1 if self.wrong == "perplexity" else 1.0) * len(prompts), len(prompts)


@pytest.fixture
def equal() -> bool:
    """Whether both experts give the same answers."""
    return False


@pytest.fixture
def check(make_experts, tmp_path, monkeypatch, equal):
    experts = make_experts(2)
    monkeypatch.chdir(tmp_path)
    write_jsonl("prompts.jsonl", [{"tokens": prompt} for prompt in PROMPTS])

    def reference(base, adapters, prompts, max_tokens):
        names = ["base" if adapter is None else "expert" if equal else adapter.name for adapter in adapters]
        return [([f"{name} {prompt[1]}" for prompt in prompts], 2.7182) for name in names]

    monkeypatch.setattr(merged, "reference", reference)

    @dataclass
    class Site:
        engine: dict
        fake: FakeEngine
        base: str = "base"

        def experts(self):
            return experts

        def connect(self):
            return self.fake

    return lambda wrong: engine_check(
        Site({"backend": "vllm"}, FakeEngine(wrong, equal)), "prompts.jsonl", "report.txt"
    )


def test_a_good_engine_gets_a_report(check, tmp_path):
    check("")
    report = (tmp_path / "report.txt").read_text()
    assert report.count("20 of 20") == 5
    assert report.endswith("All checks passed.\n")


@pytest.mark.parametrize("equal", [True])
def test_experts_with_equal_answers_are_told_apart_by_perplexity_alone(check, tmp_path):
    check("")
    assert "Both experts have the same answers to all prompts" in (tmp_path / "report.txt").read_text()
    with pytest.raises(GenomeError, match="does not answer as transformers does"):
        check("perplexity")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("attention", "base does not answer as transformers does"),
        ("perplexity", "base does not answer as transformers does"),
        ("base", "expert0 does not answer as transformers does"),
        ("swapped", "expert0 does not answer as itself next to expert1"),
    ],
)
def test_a_wrong_engine_is_refused_in_one_line(check, tmp_path, wrong, message):
    with pytest.raises(GenomeError, match=message) as caught:
        check(wrong)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.txt").exists()

"""An engine that answers from the adapters it was given, without a model."""

from contextlib import nullcontext

from builders import ENGINE
from genome.engine.messages import Request
from genome.engine.usage import USAGE
from genome.experts.tensors import open_tensors
from genome.progress import Progress


class FakeEngine:
    """Answers with the sign of an adapter's first weight, and counts its requests."""

    machine = "1 x Abacus"
    fingerprint = ENGINE
    earlier_seconds = 0.0

    def __init__(self):
        self.paths, self.requests, self.scored, self.fused = {}, [], [], []
        self.usage = dict.fromkeys(USAGE, 0)
        self.progress = Progress("samples")

    def serving(self, folders):
        self.paths |= {folder.name: folder for folder in folders}
        return nullcontext()

    def complete(self, requests: list[Request]):
        self.requests.append(requests)
        prompts = [prompt for request in requests for prompt in request.prompts]
        self.usage["samples"] += len(prompts)
        self.usage["prompt_tokens"] += sum(map(len, prompts))
        self.usage["response_tokens"] += 2 * len(prompts)
        return [[f"Answer: {self.sign(request.model)}" for _ in request.prompts] for request in requests]

    def fuse(self, models, prompts, max_tokens, tau, stop):
        self.fused.append((models, prompts, max_tokens, tau, stop))
        return ["Answer: 1" for _ in prompts]

    def sign(self, name):
        first = next(iter(open_tensors(self.paths[name] / "adapter_model.safetensors").values()))
        return 1 if first.flat[0] > 0 else -1

    def score(self, requests):
        """Return the log-probabilities of continuations: -1 per token, -0.5 for what ends in the adapter's sign."""
        self.scored.append(requests)
        self.usage["samples"] += sum(len(request.prompts) for request in requests)
        return [
            [
                [[-0.5 if tokens[-1] == self.sign(request.model) else -1.0] * len(tokens) for tokens in continuations]
                for continuations in request.continuations
            ]
            for request in requests
        ]

    def negative_log_likelihood(self, model, prompts):
        return float(self.sign(model) * sum(map(len, prompts))), sum(map(len, prompts))

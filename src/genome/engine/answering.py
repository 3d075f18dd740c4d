"""What the built-in server answers with: its models, one per worker thread, and the adapters that they share.

Requests run in the order of arrival. A request that cannot be answered is refused in one line (genome.engine.fields).
"""

import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from genome.engine.fields import (
    ANSWER_TOKENS,
    NAME_LENGTH,
    NEUTRAL,
    PATH_LENGTH,
    PROMPTS,
    bad_request,
    field,
    not_found,
    only,
    shown,
    stops_of,
    text,
)
from genome.engine.fingerprint import of_loaded
from genome.engine.stops import cut, ending

ADAPTERS_IN_MEMORY = 64
"""Number of adapters in memory; others are read again from their folder when requested."""


class Engine:
    """The models of this process, one per worker thread, and the adapters that they share by name."""

    def __init__(self, base: str, threads: int, workers: int, **options: Any):
        """Load `workers` models with `options` (dtype, batch_tokens), each for `threads` threads."""
        import torch

        from genome.engine.model import Model

        # With more than one thread, sums are split; the setting determines how, never the machine.
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        # pyright: ignore below: the attribute is a property that torch gives the module when it runs.
        torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
        self.base = base
        self.paths: dict[str, str] = {}
        self._adapters: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._own = threading.local()
        models = [Model(base, **options) for _ in range(workers)]
        self.tokenizer = models[0].tokenizer
        self.vocabulary, self.positions = models[0].vocabulary, models[0].positions
        self.fingerprint = of_loaded(models[0].network, base)
        self.steps = 0
        for module in (module for model in models for module in model.network.modules()):
            for layer in module if isinstance(module, torch.nn.ModuleList) else ():
                layer.register_forward_hook(self._step)

        def prepare() -> None:
            torch.set_num_threads(threads)
            self._own.model = models.pop()

        self._workers = ThreadPoolExecutor(workers, initializer=prepare)

    def _step(self, *_) -> None:
        """Count a layer's pass, so that waiting clients can see progress."""
        self.steps += 1

    def health(self) -> dict:
        """Return the amount of computed work: passes of layers, and the processor time of the workers.

        The time also changes during a long pass, while an adapter is read, and while texts are decoded.
        """
        return {"steps": self.steps, "seconds": [_processor_seconds(worker) for worker in self._workers._threads]}

    def load(self, request: dict) -> dict:
        """Register an adapter folder under a name, after checking it against the base model."""
        only(request, "lora_name", "lora_path")
        name, path = text(request, "lora_name", NAME_LENGTH), text(request, "lora_path", PATH_LENGTH)
        if name in self.paths or name == "base":
            raise bad_request(f"The lora adapter '{name}' has already been loaded.")
        self._workers.submit(self._adapter, name, path).result()
        self.paths[name] = path
        return {"message": f"Success: LoRA adapter '{name}' added successfully."}

    def unload(self, request: dict) -> dict:
        """Remove a name."""
        only(request, "lora_name")
        name = text(request, "lora_name", NAME_LENGTH)
        if self.paths.pop(name, None) is None:
            raise not_found(f"The lora adapter '{name}' cannot be found.")
        with self._lock:
            self._adapters.pop(name, None)
        return {"message": f"Success: LoRA adapter '{name}' removed successfully."}

    def models(self) -> dict:
        """List the names that requests can use."""
        names = {"base": self.base, **self.paths}
        return {"object": "list", "data": [{"id": n, "object": "model", "root": p} for n, p in names.items()]}

    def complete(self, request: dict) -> dict:
        """Answer a completion request with greedy texts, and with the prompts' log-probabilities for `prompt_logprobs`.

        Only the log-probability of each prompt token is returned, however many alternatives are requested. Texts are
        cut before the first of the texts in `stop`; all their tokens count.
        """
        only(request, "model", "prompt", "max_tokens", "temperature", "stop", "prompt_logprobs", *NEUTRAL)
        model, path = self._named(request)
        temperature = request.get("temperature")
        if type(temperature) not in (int, float) or temperature != 0:
            raise bad_request(f"temperature is {shown(temperature)}, expected 0: decoding is greedy")
        for name, neutral in NEUTRAL.items():
            if request.get(name, neutral) not in (neutral, None):
                raise bad_request(f"{name} is {shown(request[name])}, expected {json.dumps(neutral)}")
        prompts, max_tokens = self._asked(request)
        scores = request.get("prompt_logprobs")
        if scores is not None and (type(scores) is not int or scores < 0):
            raise bad_request(f"prompt_logprobs is {shown(scores)}, expected an integer from 0")
        run, stops = self._complete if scores is None else self._score, stops_of(request)
        completions, log_probabilities = self._workers.submit(run, model, path, prompts, max_tokens, stops).result()
        return self._answer(model, prompts, completions, stops, log_probabilities)

    def fuse(self, request: dict) -> dict:
        """Answer with greedy texts by the sum of the logits of adapters, weighted for each prompt (`engine.fusion`).

        `tau` is the temperature of weights by similarity; without it they are optimised.
        """
        only(request, "models", "prompt", "max_tokens", "stop", "tau")
        names, tau = field(request, "models", list), request.get("tau")
        if not names or len({*map(str, names)}) < len(names) or len(names) > ADAPTERS_IN_MEMORY:
            raise bad_request(f"models: expected 1 to {ADAPTERS_IN_MEMORY} different names")
        paths = dict([self._named({"model": name}) for name in names])
        if tau is not None and not (type(tau) in (int, float) and tau > 0):
            raise bad_request(f"tau is {shown(tau)}, expected a number above 0")
        (prompts, max_tokens), stops = self._asked(request), stops_of(request)
        if min(map(len, prompts)) < 2:
            raise bad_request("prompt: expected two tokens or more, on whose likelihood the weights depend")
        completions = self._workers.submit(self._fuse, paths, prompts, max_tokens, tau, stops).result()
        return self._answer(" ".join(names), prompts, completions, stops, [None] * len(prompts), len(names))

    def _asked(self, request: dict) -> tuple[list[list[int]], int]:
        """Return the prompts of a request and the most tokens of an answer, which fit into the base model."""
        prompts, max_tokens = self._prompts(request), field(request, "max_tokens", int)
        if max_tokens < 1:
            raise bad_request(f"max_tokens is {shown(max_tokens)}, expected at least 1")
        longest = max(map(len, prompts)) + max_tokens
        if longest > (self.positions or ANSWER_TOKENS):
            raise bad_request(
                f"a prompt and max_tokens need {shown(longest)} positions; "
                f"the base model has {self.positions or ANSWER_TOKENS}"
            )
        return prompts, max_tokens

    def _answer(
        self,
        name: str,
        prompts: list[list[int]],
        completions: Sequence[Any],
        stops: list[str],
        log_probabilities: Sequence[Any],
        adapters: int = 1,
    ) -> dict:
        """Return the answer to a request for texts; each of `adapters` has read all prompts."""
        whole = self.tokenizer.batch_decode([c.tokens for c in completions], skip_special_tokens=True)
        texts = [cut(text, stops) for text in whole]
        generated = sum(c.steps for c in completions)
        given = adapters * sum(map(len, prompts))
        longest: dict[int, int] = {}
        for completion in completions:
            longest[completion.batch] = max(longest.get(completion.batch, 0), completion.steps)
        return {
            "id": f"cmpl-{secrets.token_hex(8)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": name,
            "choices": [
                {
                    "index": index,
                    "text": text,
                    "logprobs": None,
                    "finish_reason": "stop" if completion.stopped or text != whole[index] else "length",
                    "prompt_logprobs": scores,
                }
                for index, (text, completion, scores) in enumerate(
                    zip(texts, completions, log_probabilities, strict=True)
                )
            ],
            "usage": {
                "prompt_tokens": given,
                "completion_tokens": generated,
                "total_tokens": given + generated,
                # Ours: batches of responses, and steps, each of which added a token to all responses of a batch.
                "batches": adapters * len(longest),
                "steps": adapters * sum(longest.values()),
            },
        }

    def continuations(self, request: dict) -> dict:
        """Return the log-probabilities (nats) of the tokens of each prompt's continuations, one choice per prompt."""
        only(request, "model", "prompt", "continuations")
        name, path = self._named(request)
        prompts, continuations = self._prompts(request), self._continuations(request)
        if len(continuations) != len(prompts):
            raise bad_request(
                f"continuations: {len(continuations)} lists for {len(prompts)} prompts, expected one per prompt"
            )
        longest = max(len(prompt) + max(map(len, given)) for prompt, given in zip(prompts, continuations, strict=True))
        if self.positions and longest > self.positions:
            raise bad_request(
                f"a prompt and its continuation need {shown(longest)} positions; the base model has {self.positions}"
            )
        scores = self._workers.submit(self._score_continuations, name, path, prompts, continuations).result()
        read = sum(map(len, prompts)) + sum(len(each) for given in continuations for each in given)
        return {
            "choices": [{"index": index, "logprobs": rows} for index, rows in enumerate(scores)],
            "usage": {
                "prompt_tokens": read,
                "completion_tokens": 0,
                "total_tokens": read,
                "batches": 0,
                "steps": 0,
            },
        }

    def _named(self, request: dict) -> tuple[str, str | None]:
        """Return the name of a request's model and its adapter's folder; None for the base."""
        name = text(request, "model", NAME_LENGTH)
        path = self.paths.get(name)
        if path is None and name != "base":
            raise not_found(f"The model '{name}' does not exist.")
        return name, path

    def _prompts(self, request: dict) -> list[list[int]]:
        prompts = field(request, "prompt", list)
        self._check_tokens("prompt", prompts)
        if len(prompts) > PROMPTS:
            raise bad_request(f"prompt: {len(prompts)} prompts, expected at most {PROMPTS}; send several requests")
        return prompts

    def _continuations(self, request: dict) -> list[list[list[int]]]:
        given = field(request, "continuations", list)
        if not given or not all(isinstance(each, list) and each for each in given):
            raise bad_request("continuations: expected a non-empty list of continuations for each prompt")
        number = sum(map(len, given))
        if number > PROMPTS:
            raise bad_request(f"continuations: {number}, expected at most {PROMPTS}; send several requests")
        for each in given:
            self._check_tokens("continuations", each)
        return given

    def _check_tokens(self, name: str, sequences: list) -> None:
        """Refuse anything but non-empty lists of token ids, at least one."""
        if not sequences or not all(isinstance(sequence, list) and sequence for sequence in sequences):
            raise bad_request(f"{name}: expected a list of non-empty lists of token ids")
        for token in (token for sequence in sequences for token in sequence):
            if type(token) is not int or not 0 <= token < self.vocabulary:
                raise bad_request(
                    f"{name}: {shown(token)} is not a token id (integers from 0 to {self.vocabulary - 1})"
                )

    def _adapter(self, name: str, path: str):
        """Return an adapter by name, from memory or from its folder."""
        with self._lock:
            if name not in self._adapters:
                self._adapters[name] = self._own.model.read_adapter(path)
                if len(self._adapters) > ADAPTERS_IN_MEMORY:
                    self._adapters.popitem(last=False)
            self._adapters.move_to_end(name)
            return self._adapters[name]

    def _complete(self, name: str, path: str | None, prompts: list[list[int]], max_tokens: int, stops: list[str]):
        model = self._own.model
        model.use(None if path is None else self._adapter(name, path))
        return model.complete(prompts, max_tokens, ending(model.tokenizer, stops)), [None] * len(prompts)

    def _fuse(
        self,
        paths: dict[str, str | None],
        prompts: list[list[int]],
        max_tokens: int,
        tau: float | None,
        stops: list[str],
    ):
        model = self._own.model
        adapters = [None if path is None else self._adapter(name, path) for name, path in paths.items()]
        return model.fuse(adapters, prompts, max_tokens, tau, ending(model.tokenizer, stops))

    def _score_continuations(
        self, name: str, path: str | None, prompts: list[list[int]], continuations: list[list[list[int]]]
    ) -> list[list[list[float]]]:
        model = self._own.model
        model.use(None if path is None else self._adapter(name, path))
        return model.continuations(prompts, continuations)

    def _score(self, name: str, path: str | None, prompts: list[list[int]], max_tokens: int, stops: list[str]):
        model = self._own.model
        model.use(None if path is None else self._adapter(name, path))
        scores, completions = model.score(prompts)
        if max_tokens > 1:
            completions = model.complete(prompts, max_tokens, ending(model.tokenizer, stops))
        return completions, [
            [None, *({str(token): {"logprob": value}} for token, value in zip(prompt[1:], row, strict=True))]
            for prompt, row in zip(prompts, scores, strict=True)
        ]


def _processor_seconds(thread: threading.Thread) -> float:
    """Return the processor time of a running thread, to a tenth of a second; 0 where the system does not report it."""
    if thread.ident is None or not hasattr(time, "pthread_getcpuclockid"):  # macOS
        return 0.0
    return round(time.clock_gettime(time.pthread_getcpuclockid(thread.ident)), 1)

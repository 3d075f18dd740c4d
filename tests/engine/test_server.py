"""The server's protocol, compatible with vLLM's; the server runs in threads of the test."""

import json
import os
import socket
import threading
import time

import pytest
import torch
import urllib3
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from engine import tiny_models
from genome.engine import answering, client, connections, fields, messages
from genome.errors import GenomeError


@pytest.fixture(scope="module")
def serve():
    """Return a function that serves a base model, and its port."""
    running = []

    def start(base, workers=1):
        engine = answering.Engine(str(base), threads=1, workers=workers)
        http = connections.Server(("127.0.0.1", 0), connections.handler(engine, "secret"))
        running.append(http)
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        return http.server_port

    yield start
    for http in running:
        http.shutdown()
        http.server_close()


@pytest.fixture(scope="module")
def port(serve, gemma):
    return serve(gemma[0], workers=2)


@pytest.fixture(scope="module")
def call(port):
    """Return a function that sends one request: (status, body)."""
    with urllib3.PoolManager() as pool:

        def send(path, body=None, key="secret"):
            response = pool.request(
                "GET" if body is None else "POST",
                f"http://127.0.0.1:{port}{path}",
                body=body if body is None or isinstance(body, bytes) else json.dumps(body).encode(),
                headers={"Authorization": f"Bearer {key}"},
            )
            return response.status, json.loads(response.data)

        yield send


@pytest.fixture
def raw(port):
    """Return a function that sends bytes unchanged: (status, body), or (None, None) without an answer."""

    def send(*parts, pause=0.0, end=False):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            if end:
                connection.shutdown(socket.SHUT_WR)
            answer = connection.makefile("rb")
            head = answer.readline().split()
            if not head:
                return None, None
            length = 0
            while (line := answer.readline().strip()) != b"":
                name, _, value = line.partition(b": ")
                length = int(value) if name == b"Content-Length" else length
            return int(head[1]), json.loads(answer.read(length))

    return send


def head(path="/v1/completions", key="secret", method="POST", **fields):
    lines = [f"{method} {path} HTTP/1.1", "Host: here", f"Authorization: Bearer {key}"]
    return "\r\n".join([*lines, *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items()), "", ""]).encode()


def completion(**fields):
    return {"model": "base", "prompt": [[2, 7, 8]], "max_tokens": 3, "temperature": 0} | fields


def continuing(**fields):
    return {"model": "base", "prompt": [[2, 7, 8], [2, 9]], "continuations": [[[5], [6, 7]], [[4]]]} | fields


def fusing(**fields):
    return {"models": ["base"], "prompt": [[2, 7, 8], [2, 9]], "max_tokens": 3, "tau": 1} | fields


def test_health_needs_no_key_and_counts_steps(call):
    status, before = call("/health", key="wrong")
    assert status == 200
    call("/v1/completions", completion(max_tokens=1, prompt_logprobs=0))
    assert call("/health")[1]["steps"] > before["steps"]


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="macOS does not report the time of a thread")
def test_health_changes_within_a_long_step_and_not_while_a_worker_hangs(gemma):
    engine = answering.Engine(str(gemma[0]), threads=1, workers=1)
    engine._workers.submit(int).result()

    def compute():
        until = time.thread_time() + 0.5
        while time.thread_time() < until:
            pass

    before = engine.health()
    engine._workers.submit(time.sleep, 0.5).result()
    assert engine.health() == before
    engine._workers.submit(compute).result()
    assert engine.health()["steps"] == before["steps"]
    assert engine.health()["seconds"][0] > before["seconds"][0] + 0.3


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions"])
def test_all_other_addresses_need_the_key(call, path):
    status, body = call(path, None if path == "/v1/models" else completion(), key="wrong")
    assert status == 401
    assert body["error"]["code"] == 401


def test_completion_has_the_form_of_openai(call):
    status, body = call("/v1/completions", completion(prompt=[[2, 7, 8], [2, 9]]))
    assert status == 200
    assert body["object"] == "text_completion"
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert all(choice["finish_reason"] in ("stop", "length") for choice in body["choices"])
    words = sum(len(choice["text"].split()) + (choice["finish_reason"] == "stop") for choice in body["choices"])
    longest = max(len(choice["text"].split()) + (choice["finish_reason"] == "stop") for choice in body["choices"])
    counted = {"batches": 1, "steps": longest}
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": words, "total_tokens": 5 + words, **counted}


def test_prompt_logprobs_have_the_form_of_vllm(call):
    _, body = call("/v1/completions", completion(max_tokens=1, prompt_logprobs=0))
    first, *others = body["choices"][0]["prompt_logprobs"]
    assert first is None
    assert [list(entry) for entry in others] == [["7"], ["8"]]
    assert all(entry[token]["logprob"] < 0 for entry in others for token in entry)


def test_continuations_have_one_choice_per_prompt(call):
    status, body = call("/v1/continuations", continuing())
    assert status == 200
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert [[len(row) for row in choice["logprobs"]] for choice in body["choices"]] == [[1, 2], [1]]
    assert all(value < 0 for choice in body["choices"] for row in choice["logprobs"] for value in row)
    assert body["usage"] == {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9, "batches": 0, "steps": 0}


def test_continuations_are_those_of_the_prompts_log_probabilities(call):
    _, body = call("/v1/continuations", continuing())
    _, whole = call("/v1/completions", completion(prompt=[[2, 7, 8, 6, 7]], max_tokens=1, prompt_logprobs=0))
    expected = [scores[token]["logprob"] for scores in whole["choices"][0]["prompt_logprobs"][3:] for token in scores]
    assert body["choices"][0]["logprobs"][1] == pytest.approx(expected, abs=1e-5)


def test_adapters_are_loaded_listed_and_unloaded(call, gemma):
    request = {"lora_name": "a", "lora_path": str(gemma[1][0])}
    assert call("/v1/completions", completion(model="a"))[0] == 404
    assert call("/v1/load_lora_adapter", request)[0] == 200
    status, body = call("/v1/load_lora_adapter", request)
    assert status == 400
    assert "already been loaded" in body["error"]["message"]
    assert [model["id"] for model in call("/v1/models")[1]["data"]] == ["base", "a"]
    assert call("/v1/completions", completion(model="a"))[0] == 200
    assert call("/v1/unload_lora_adapter", {"lora_name": "a"})[0] == 200
    assert call("/v1/unload_lora_adapter", {"lora_name": "a"})[0] == 404
    assert call("/v1/completions", completion(model="a"))[0] == 404


def test_adapter_dropped_from_memory_is_read_again(call, gemma, monkeypatch):
    monkeypatch.setattr(answering, "ADAPTERS_IN_MEMORY", 1)
    names = ["one", "two", "three"]
    for name, path in zip(names, gemma[1], strict=True):
        assert call("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path)})[0] == 200
    prompts = [[2, i, 3 * i] for i in range(3, 30)]
    answers = [call("/v1/completions", completion(model=n, prompt=prompts))[1]["choices"] for n in names * 2]
    assert answers[:3] == answers[3:]
    assert answers[0] != answers[1] != answers[2]
    for name in names:
        call("/v1/unload_lora_adapter", {"lora_name": name})


STATES = ["gemma2", "falcon_h1"]  # plain attention in padded batches; recurrent layers, by `generate`


@pytest.mark.parametrize("name", STATES)
def test_answers_end_at_stop_texts(serve, family, prompts, tmp_path, name):
    if name == "gemma2":
        base = family(name)[0]
    else:
        base = tmp_path / name
        tiny_models.architecture(name).save_pretrained(base)
        tiny_models.tokenizer().save_pretrained(base)
    port = serve(base)

    def ask(**fields):
        body = json.dumps(completion(prompt=prompts[:12], max_tokens=9) | fields)
        headers = {"Authorization": "Bearer secret"}
        with urllib3.PoolManager() as pool:
            url = f"http://127.0.0.1:{port}/v1/completions"
            answer = pool.request("POST", url, body=body, headers=headers).json()
        return answer["choices"], answer["usage"]["completion_tokens"]

    whole, _ = ask()
    words = [choice["text"].split() for choice in whole]
    # A stop text over the border of two tokens, in the middle of the longest answer; and one that is never said.
    longest = max(words, key=len)
    stop = f"{longest[3][1:]} {longest[4]}"
    stopped = []
    for place, (choice, before) in enumerate(zip(ask(stop=[stop, "never said"])[0], whole, strict=True)):
        assert choice["text"] == before["text"].split(stop)[0]
        if stop in before["text"]:
            assert choice["finish_reason"] == "stop"
            stopped.append(place)
        else:
            assert choice == before
    assert 0 < len(stopped) < len(whole)
    # All tokens up to the one that completes the stop text count, and no end token in addition.
    for place in stopped:
        said = words[place]
        needed = next(n for n in range(len(said) + 1) if stop in " ".join(said[:n]))
        assert ask(prompt=[prompts[place]], stop=[stop])[1] == needed
    assert ask(stop=["never said"]) == ask(stop=None) == ask()


REFUSED = {
    "stop is a text": (completion(stop="\n"), "stop: expected a list of 1 to 16 non-empty texts, got '"),
    "no stop": (completion(stop=[]), "stop: expected a list of 1 to 16 non-empty texts, got a list"),
    "an empty stop": (completion(stop=["a", ""]), "stop: expected a list of 1 to 16 non-empty texts"),
    "a stop that is a number": (completion(stop=[3]), "stop: expected a list of 1 to 16 non-empty texts"),
    "too many stops": (completion(stop=["a"] * 17), "stop: expected a list of 1 to 16 non-empty texts"),
    "temperature": (completion(temperature=0.7), "temperature is 0.7, expected 0"),
    "no temperature": ({k: v for k, v in completion().items() if k != "temperature"}, "temperature is None"),
    "text": (completion(prompt="hello"), "prompt: expected list"),
    "no prompts": (completion(prompt=[]), "expected a list of non-empty lists"),
    "empty prompt": (completion(prompt=[[2], []]), "expected a list of non-empty lists"),
    "token": (completion(prompt=[[2, 96]]), "96 is not a token id"),
    "max_tokens": (completion(max_tokens=0), "expected at least 1"),
    "too long": (completion(max_tokens=126), "129 positions; the base model has 128"),
    "log-probabilities": (completion(prompt_logprobs=-1), "prompt_logprobs is -1"),
    "temperature is false": (completion(temperature=False), "temperature is False"),
    "temperature is NaN": (completion(temperature=float("nan")), "temperature is nan"),
    "temperature is a list": (completion(temperature=[0]), "temperature is a list"),
    "a token in a list": (completion(prompt=[[[2]]]), "a list is not a token id"),
    "a token in an object": (completion(prompt=[[{"a": 2}]]), "an object is not a token id"),
    "a token that is true": (completion(prompt=[[True]]), "True is not a token id"),
    "a token that is not an integer": (completion(prompt=[[2.0]]), "2.0 is not a token id"),
    "a negative token": (completion(prompt=[[-1]]), "-1 is not a token id"),
    "a huge token": (completion(prompt=[[10**4000]]), "is not a token id"),
    "tokens without a list": (completion(prompt=[2, 7]), "expected a list of non-empty lists"),
    "too many prompts": (completion(prompt=[[2]] * (fields.PROMPTS + 1)), "prompts, expected at most"),
    "huge max_tokens": (completion(max_tokens=10**4000), "positions; the base model has 128"),
    "max_tokens is not an integer": (completion(max_tokens=3.0), "max_tokens: expected int"),
    "max_tokens is true": (completion(max_tokens=True), "max_tokens: expected int"),
    "model is a list": (completion(model=["base"]), "model: expected str, got a list"),
    "model is long": (completion(model="x" * 300), "model: expected 1 to 256 characters, got 300"),
    "model is empty": (completion(model=""), "model: expected 1 to 256 characters"),
    "log-probabilities of text": (completion(prompt_logprobs="all"), "prompt_logprobs is 'all'"),
    "unknown field": (completion(best_of=4), "'best_of': unknown field; expected model"),
    "penalty": (completion(repetition_penalty=1.2), "repetition_penalty is 1.2, expected 1"),
    "stream": (completion(stream=True), "stream is True, expected false"),
    "a number too long": (b'{"max_tokens": ' + b"1" * 5000 + b"}", "not valid JSON"),
    "deep": (b"[" * 10**6, "not valid JSON"),
    "deep, but JSON": (b'{"temperature": ' + b"[" * 900 + b"]" * 900 + b"}", "model: expected str"),
    "deep prompt": (json.dumps(completion()).replace("[[2", "[" * 900 + "2").replace("8]]", "8" + "]" * 900), None),
    "no text": (b"\xff\xfe", "not valid JSON"),
    "empty": (b"", "not valid JSON"),
    "no model": ({"prompt": [[2]]}, "model: expected str, got null"),
    "no JSON": (b"{", "not valid JSON"),
    "no object": (b"[]", "not a JSON object"),
}


REFUSED_CONTINUATIONS = {
    "unknown field": (continuing(max_tokens=1), "'max_tokens': unknown field; expected model"),
    "no continuations": (continuing(continuations=[]), "continuations: expected a non-empty list"),
    "a prompt without continuations": (continuing(continuations=[[[5]], []]), "expected a non-empty list"),
    "an empty continuation": (continuing(continuations=[[[5], []], [[4]]]), "expected a list of non-empty lists"),
    "a flat list": (continuing(continuations=[[5], [4]]), "expected a list of non-empty lists"),
    "fewer than prompts": (continuing(continuations=[[[5]]]), "continuations: 1 lists for 2 prompts"),
    "a token": (continuing(continuations=[[[96]], [[4]]]), "continuations: 96 is not a token id"),
    "a token that is true": (continuing(continuations=[[[True]], [[4]]]), "continuations: True is not a token id"),
    "a text": (continuing(continuations="fur"), "continuations: expected list, got 'fur'"),
    "too many": (continuing(continuations=[[[5]] * fields.PROMPTS, [[4]]]), "continuations: 65537, expected at most"),
    "too long": (continuing(continuations=[[[5]], [[4] * 127]]), "need 129 positions; the base model has 128"),
    "no prompts": (continuing(prompt=[]), "prompt: expected a list of non-empty lists"),
    "model": (continuing(model=3), "model: expected str"),
}


@pytest.mark.parametrize("case", REFUSED_CONTINUATIONS)
def test_bad_request_for_continuations_is_refused_in_one_line(call, case):
    body, message = REFUSED_CONTINUATIONS[case]
    status, answer = call("/v1/continuations", body)
    assert status == 400
    assert message in answer["error"]["message"]
    assert "\n" not in answer["error"]["message"]


REFUSED_FUSIONS = {
    "unknown field": (fusing(model="base"), "'model': unknown field; expected models"),
    "no models": (fusing(models=[]), "models: expected 1 to"),
    "a model twice": (fusing(models=["base", "base"]), "different names"),
    "a model without a name": (fusing(models=[7]), "model: expected str"),
    "a temperature of 0": (fusing(tau=0), "tau is 0, expected a number above 0"),
    "a prompt of one token": (fusing(prompt=[[2]]), "expected two tokens or more"),
    "too long": (fusing(max_tokens=126), "129 positions; the base model has 128"),
}


@pytest.mark.parametrize("case", REFUSED_FUSIONS)
def test_bad_request_for_fused_answers_is_refused_in_one_line(call, case):
    body, message = REFUSED_FUSIONS[case]
    status, answer = call("/v1/fused", body)
    assert status == 400
    assert message in answer["error"]["message"]
    assert "\n" not in answer["error"]["message"]


def test_fused_answers_of_an_unknown_model_are_not_found(call):
    assert call("/v1/fused", fusing(models=["unknown"]))[0] == 404


def test_continuations_of_an_unknown_model_are_not_found(call):
    assert call("/v1/continuations", continuing(model="unknown"))[0] == 404


@pytest.mark.parametrize("case", REFUSED)
def test_bad_request_is_refused_in_one_line(call, case):
    body, message = REFUSED[case]
    status, answer = call("/v1/completions", body.encode() if isinstance(body, str) else body)
    assert status == 400
    assert (message or "is not a token id") in answer["error"]["message"]
    assert answer["error"]["type"] == "BadRequestError"
    assert len(answer["error"]["message"]) < 500
    assert "\n" not in answer["error"]["message"]


def test_bad_adapter_is_refused_and_not_registered(call, tmp_path):
    status, body = call("/v1/load_lora_adapter", {"lora_name": "bad", "lora_path": str(tmp_path)})
    assert status == 400
    assert "no adapter_config.json" in body["error"]["message"]
    assert call("/v1/completions", completion(model="bad"))[0] == 404


def test_unknown_address_is_named_in_the_error(call):
    status, body = call("/v1/chat/completions", {})
    assert status == 404
    assert "/v1/chat/completions" in body["error"]["message"]


LOADS = {
    "name is a number": ({"lora_name": 1, "lora_path": "/"}, "lora_name: expected str, got 1"),
    "name is long": ({"lora_name": "x" * 300, "lora_path": "/"}, "lora_name: expected 1 to 256 characters"),
    "path is long": ({"lora_name": "x", "lora_path": "/x" * 3000}, "lora_path: expected 1 to 4096 characters"),
    "a name too long for a file": ({"lora_name": "x", "lora_path": "/" + "x" * 300}, "no adapter_config.json"),
    "no path": ({"lora_name": "x", "lora_path": "a\0b"}, "no adapter_config.json"),
    "no text": ({"lora_name": "x", "lora_path": "\ud800"}, "no adapter_config.json"),
    "elsewhere": ({"lora_name": "x", "lora_path": "../../../etc"}, "no adapter_config.json"),
    "a file": ({"lora_name": "x", "lora_path": "/etc/passwd"}, "no adapter_config.json"),
    "an endless file": ({"lora_name": "x", "lora_path": "/dev/zero"}, "no adapter_config.json"),
    "unknown field": ({"lora_name": "x", "lora_path": "/", "rank": 8}, "'rank': unknown field"),
}


@pytest.mark.parametrize("case", LOADS)
def test_bad_load_request_is_refused_in_one_line(call, case):
    body, message = LOADS[case]
    status, answer = call("/v1/load_lora_adapter", body)
    assert status == 400
    assert message in answer["error"]["message"]
    assert "\n" not in answer["error"]["message"]


def test_adapter_file_that_is_a_pipe_is_refused(call, tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"r": 1, "lora_alpha": 1}')
    os.mkfifo(tmp_path / "adapter_model.safetensors")
    status, answer = call("/v1/load_lora_adapter", {"lora_name": "x", "lora_path": str(tmp_path)})
    assert status == 400
    assert "adapter_model.safetensors: not a regular file" in answer["error"]["message"]


RAW = {
    "no length": (head(), 400),
    "two lengths": (head(Content_Length=2, content_length=3), 400),
    "negative": (head(Content_Length=-1), 400),
    "no number": (head(Content_Length="two"), 400),
    "number of Python's": (head(Content_Length="1_0"), 400),
    "plus": (head(Content_Length="+2"), 400),
    "huge": (head(Content_Length=10**17), 413),
    "huger": (head(Content_Length=10**30), 400),
    "in chunks": (head(Transfer_Encoding="chunked") + b"2\r\n{}\r\n0\r\n\r\n", 400),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "no version": (b"POST /v1/completions\r\n\r\n", 400),
    "old version": (b"GET /health\r\n\r\n", 200),
    "future version": (b"GET /health HTTP/2.0\r\n\r\n", 400),
    "no version number": (b"GET /health HTTP/one\r\n\r\n", 400),
    "blank": (b"\r\n\r\n", 400),
    "binary": (bytes(range(256)) + b"\r\n\r\n", 400),
    "long address": (b"GET /" + b"x" * 70000, 414),
    "long header": (head(X="x" * 70000), 431),
    "many headers": (head(**{f"X{i}": i for i in range(200)}), 431),
    "other method": (head(method="DELETE"), 405),
    "wrong key, other method": (head(method="DELETE", key="wrong"), 401),
    "wrong key, no length": (head(key="wrong"), 401),
    "wrong key, body to come": (head(key="wrong", Content_Length=10**9), 401),
    "wrong key, other address": (head("/etc", key="wrong"), 401),
    "no key": (b"POST /v1/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n", 401),
    "key of other letters": (head(key="s\u00e9cret"), 401),
}


@pytest.mark.parametrize("case", RAW)
def test_malformed_http_gets_a_status_and_json(raw, case):
    sent, expected = RAW[case]
    status, answer = raw(sent)
    assert status == expected
    if status != 200:
        assert answer["error"]["code"] == status
        assert "\n" not in answer["error"]["message"]


def test_key_is_checked_before_100_continue(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head(key="wrong", Content_Length=10, Expect="100-continue"))
        assert connection.recv(12) == b"HTTP/1.1 401"
    body = json.dumps(completion()).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head(Content_Length=len(body), Expect="100-continue"))
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_refusal_of_a_large_body_reaches_its_sender(raw):
    status, _ = raw(head(key="wrong", Content_Length=2**22), bytes(2**22))
    assert status == 401


def test_truncated_body_is_refused(raw):
    status, answer = raw(head(Content_Length=100), b"{}", end=True)
    assert status == 400
    assert "ends after 2 of 100 bytes" in answer["error"]["message"]


@pytest.mark.parametrize(
    "parts",
    [
        [b"POST /v1/completions HTTP/1.1\r\n"],
        [head()[:-2], *[b"X: y\r\n"] * 100],
        [head(Content_Length=1000), *[b" "] * 100],
    ],
    ids=["head", "headers", "body"],
)
def test_slow_sender_is_cut_off_while_others_are_answered(port, call, monkeypatch, parts):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(connections, "LINGER_SECONDS", 0.1)
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:

        def trickle():
            try:
                for part in parts:
                    connection.sendall(part)
                    time.sleep(0.05)
            except OSError:
                pass

        sender = threading.Thread(target=trickle)
        sender.start()
        assert call("/v1/completions", completion())[0] == 200
        assert connection.recv(12) == b"HTTP/1.1 408"
        sender.join()
    assert time.monotonic() - start < 8


def test_silent_connection_is_closed(port, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        assert connection.recv(1) == b""


def test_one_connection_serves_many_requests(port):
    body = json.dumps(completion(prompt=[])).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall((head(Content_Length=len(body)) + body) * 3 + head("/v1/models", method="GET"))
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 400") == 3
    assert answers.count(b"HTTP/1.1 200") == 1


def test_large_request_of_our_client_is_answered(serve, tmp_path):
    LlamaForCausalLM(LlamaConfig(**tiny_models.SHAPE | {"max_position_embeddings": 8192})).save_pretrained(tmp_path)
    tiny_models.tokenizer().save_pretrained(tmp_path)
    taken = []
    engine = answering.Engine(str(tmp_path), threads=1, workers=1)
    engine._complete = lambda name, path, prompts, *_: taken.append(prompts) or ([], [])
    with connections.Server(("127.0.0.1", 0), connections.handler(engine, "secret")) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        prompts = [[95] * 4000] * 256
        response = urllib3.request(
            "POST",
            f"http://127.0.0.1:{http.server_port}/v1/completions",
            body=json.dumps(completion(prompt=prompts)).encode(),
            headers={"Authorization": "Bearer secret"},
        )
        http.shutdown()
    assert response.status == 200
    assert taken == [prompts]


def test_nan_error_reaches_the_user_in_one_line(serve, tmp_path):
    tiny_models.architecture("llama").half().save_pretrained(tmp_path / "base")
    tiny_models.tokenizer().save_pretrained(tmp_path / "base")
    (tmp_path / "expert").mkdir()
    key = "base_model.model.model.layers.0.mlp.down_proj.lora_"
    save_file(
        {f"{key}A.weight": torch.full((1, 64), 1000.0), f"{key}B.weight": torch.full((32, 1), 1000.0)},
        tmp_path / "expert/adapter_model.safetensors",
    )
    (tmp_path / "expert/adapter_config.json").write_text('{"r": 1, "lora_alpha": 1}')
    address = messages.Address(f"http://127.0.0.1:{serve(tmp_path / 'base')}", "secret", None, "here")
    engine = client.Engine(lambda: address)
    engine.load("expert", tmp_path / "expert")
    assert engine.complete([messages.Request("base", [[3, 4]], 2)])
    for ask in (
        lambda: engine.complete([messages.Request("expert", [[3, 4]], 2)]),
        lambda: engine.negative_log_likelihood("expert", [[3, 4]]),
    ):
        with pytest.raises(GenomeError, match=r"refused: .*NaN or infinite logits.*; use bfloat16") as caught:
            ask()
        assert f"{tmp_path}/base: " in str(caught.value)
        assert f"adapter {tmp_path}/expert" in str(caught.value)
        assert "\n" not in str(caught.value)

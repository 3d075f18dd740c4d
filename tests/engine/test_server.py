"""The protocol, as vLLM speaks it, without a process: the server runs in threads of the test."""

import json
import threading

import pytest
import urllib3

from genome.engine import server


@pytest.fixture(scope="module")
def call(gemma):
    """Return a function that sends one request: (status, body)."""
    engine = server.Engine(str(gemma[0]), threads=1, workers=2)
    with server.Server(("127.0.0.1", 0), server.handler(engine, "secret")) as http, urllib3.PoolManager() as pool:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()

        def send(path, body=None, key="secret"):
            response = pool.request(
                "GET" if body is None else "POST",
                f"http://127.0.0.1:{http.server_port}{path}",
                body=body if body is None or isinstance(body, bytes) else json.dumps(body).encode(),
                headers={"Authorization": f"Bearer {key}"},
            )
            return response.status, json.loads(response.data)

        yield send
        http.shutdown()


def completion(**fields):
    return {"model": "base", "prompt": [[2, 7, 8]], "max_tokens": 3, "temperature": 0} | fields


def test_health_needs_no_key_and_counts_what_is_computed(call):
    status, before = call("/health", key="wrong")
    assert status == 200
    call("/v1/completions", completion(max_tokens=1, prompt_logprobs=0))
    assert call("/health")[1]["steps"] > before["steps"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions"])
def test_the_rest_needs_the_key(call, path):
    status, body = call(path, None if path == "/v1/models" else completion(), key="wrong")
    assert status == 401
    assert body["error"]["code"] == 401


def test_a_completion_has_openai_s_shape(call):
    status, body = call("/v1/completions", completion(prompt=[[2, 7, 8], [2, 9]]))
    assert status == 200
    assert body["object"] == "text_completion"
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert all(choice["finish_reason"] in ("stop", "length") for choice in body["choices"])
    words = sum(len(choice["text"].split()) for choice in body["choices"])
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": words, "total_tokens": 5 + words}


def test_prompt_log_probabilities_have_vllm_s_shape(call):
    _, body = call("/v1/completions", completion(max_tokens=1, prompt_logprobs=0))
    first, *others = body["choices"][0]["prompt_logprobs"]
    assert first is None
    assert [list(entry) for entry in others] == [["7"], ["8"]]
    assert all(entry[token]["logprob"] < 0 for entry in others for token in entry)


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


def test_an_adapter_that_left_memory_is_read_again(call, gemma, monkeypatch):
    monkeypatch.setattr(server, "ADAPTERS_IN_MEMORY", 1)
    names = ["one", "two", "three"]
    for name, path in zip(names, gemma[1], strict=True):
        assert call("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path)})[0] == 200
    prompts = [[2, i, 3 * i] for i in range(3, 30)]
    answers = [call("/v1/completions", completion(model=n, prompt=prompts))[1]["choices"] for n in names * 2]
    assert answers[:3] == answers[3:]
    assert answers[0] != answers[1] != answers[2]
    for name in names:
        call("/v1/unload_lora_adapter", {"lora_name": name})


REFUSED = {
    "temperature": (completion(temperature=0.7), "temperature is 0.7, expected 0"),
    "no temperature": ({k: v for k, v in completion().items() if k != "temperature"}, "temperature is None"),
    "text": (completion(prompt="hello"), "prompt: expected list"),
    "no prompts": (completion(prompt=[]), "expected a list of non-empty lists"),
    "empty prompt": (completion(prompt=[[2], []]), "expected a list of non-empty lists"),
    "token": (completion(prompt=[[2, 96]]), "96 is no token id"),
    "max_tokens": (completion(max_tokens=0), "expected at least 1"),
    "too long": (completion(max_tokens=126), "129 positions; the base model has 128"),
    "log-probabilities": (completion(prompt_logprobs=-1), "prompt_logprobs is -1"),
    "no model": ({"prompt": [[2]]}, "model: expected str, got null"),
    "no JSON": (b"{", "not valid JSON"),
    "no object": (b"[]", "no JSON object"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_request_is_refused_in_one_line(call, case):
    body, message = REFUSED[case]
    status, answer = call("/v1/completions", body)
    assert status == 400
    assert message in answer["error"]["message"]
    assert answer["error"]["type"] == "BadRequestError"


def test_a_bad_adapter_is_refused_and_not_named(call, tmp_path):
    status, body = call("/v1/load_lora_adapter", {"lora_name": "bad", "lora_path": str(tmp_path)})
    assert status == 400
    assert "no adapter_config.json" in body["error"]["message"]
    assert call("/v1/completions", completion(model="bad"))[0] == 404


def test_an_unknown_address_is_named(call):
    status, body = call("/v1/chat/completions", {})
    assert status == 404
    assert "/v1/chat/completions" in body["error"]["message"]

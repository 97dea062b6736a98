"""The requests of benchmarks whose packages are too large to install: those of `vllm bench serve`
(vllm/benchmarks/lib/endpoint_request_func.py) and of guidellm (guidellm/backends/openai)."""

from server import ANSWER, QUESTION


def chat_content(events):
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])


def test_vllm_bench_serve_completes_a_text(server):
    body = {
        "model": server.model, "prompt": "In the castle lived a", "repetition_penalty": 1.0, "max_tokens": 16,
        "logprobs": None, "stream": True, "stream_options": {"include_usage": True}, "ignore_eos": True,
    }
    response = server.send("POST", "/v1/completions", body, **{"x-request-id": "bench-0"})
    assert response.status == 200, response.body
    assert response.headers["x-request-id"] == "bench-0"
    events = response.events()
    assert "".join(event["choices"][0]["text"] for event in events if event["choices"]) != ""
    assert events[-1]["usage"]["completion_tokens"] == 16


def test_vllm_bench_serve_chats(server):
    body = {
        "model": server.model, "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        "max_completion_tokens": 32, "stream": True, "stream_options": {"include_usage": True},
    }
    response = server.send("POST", "/v1/chat/completions", body, **{"x-request-id": "bench-1"})
    assert response.status == 200, response.body
    assert chat_content(response.events()) == ANSWER
    assert response.events()[-1]["usage"]["completion_tokens"] == 3


def test_guidellm_looks_around_first(server):
    assert server.get("/health").status == 200
    assert server.get("/v1/models").json()["data"][0]["id"] == server.model


def test_guidellm_chats(server):
    body = {
        "model": server.model, "messages": [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        "stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "max_completion_tokens": 16, "stop": None, "ignore_eos": True,
    }
    response = server.post("/v1/chat/completions", body)
    assert response.status == 200, response.body
    events = response.events()
    assert all(event["usage"]["completion_tokens"] <= 16 for event in events)
    assert events[-1]["usage"]["completion_tokens"] == 16


def test_guidellm_completes_a_text(server):
    body = {
        "model": server.model, "prompt": "In the castle lived a", "stream": True, "max_tokens": 16, "stop": None,
        "ignore_eos": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    response = server.post("/v1/completions", body)
    assert response.status == 200, response.body
    assert response.events()[-1]["usage"]["completion_tokens"] == 16

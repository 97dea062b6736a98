"""openai-python: errors, as the classes and fields that programs look at."""

import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from server import ANSWER, LONG, MESSAGES, QUEUE_FULL


REFUSED = [
    ({"top_p": 0.5}, "unsupported_parameter", "top_p"),
    ({"extra_body": {"tempreature": 1}}, "unsupported_parameter", "tempreature"),
    ({"n": 99}, "invalid_parameter", "n"),
    ({"stop": list("abcde")}, "invalid_parameter", "stop"),
    ({"max_tokens": 0}, "invalid_parameter", "max_tokens"),
    ({"max_tokens": 1_000_000}, "context_length_exceeded", "messages"),
    ({"messages": []}, "invalid_parameter", "messages"),
    ({"extra_body": {"diffusion": {"stepz": 3}}}, "invalid_parameter", "diffusion.stepz"),
    ({"extra_body": {"diffusion": {"decoder": "nope"}}}, "invalid_parameter", "diffusion.decoder"),
]


@pytest.mark.parametrize("parameters, code, param", REFUSED, ids=[f"{code}, {param}" for _, code, param in REFUSED])
def test_a_bad_request_names_the_parameter(server, client, parameters, code, param):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**{"model": server.model, "messages": MESSAGES, **parameters})
    error = refused.value
    assert (error.code, error.param, error.type) == (code, param, "invalid_request_error")
    assert len(error.body["message"]) > 5 and error.request_id


def test_images_are_refused(server, client):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=server.model, messages=[{"role": "user", "content": [image]}])
    assert refused.value.param == "messages[0].content"


def test_another_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-5", messages=MESSAGES)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_another_interface_is_not_found_and_a_better_one_named(server, client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.responses.create(model=server.model, input="What is 345 + 78?")
    assert "/v1/chat/completions" in refused.value.body["message"]


def test_a_body_that_is_too_large_is_refused(server, client):
    messages = [{"role": "user", "content": "x" * (2 << 20)}]
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model=server.model, messages=messages)
    assert refused.value.status_code == 413


def test_a_wrong_key_is_refused(narrow):
    with pytest.raises(openai.AuthenticationError) as refused:
        openai.OpenAI(base_url=narrow.url, api_key="wrong").models.list()
    assert refused.value.code == "invalid_api_key"


def test_a_full_queue_is_a_rate_limit(narrow):
    client = openai.OpenAI(base_url=narrow.url, api_key=narrow.key, max_retries=0, timeout=60)
    with occupied(client, narrow), pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model=narrow.model, messages=MESSAGES)
    assert (refused.value.code, refused.value.type) == ("queue_full", "rate_limit_error")
    assert int(refused.value.response.headers["retry-after"]) >= 1


def test_a_client_that_is_told_to_come_back_does_so(narrow):
    client = openai.OpenAI(base_url=narrow.url, api_key=narrow.key, max_retries=5, timeout=60)
    before, started = narrow.metric(QUEUE_FULL), time.monotonic()
    with ThreadPoolExecutor() as threads, occupied(client, narrow):
        waiting = threads.submit(client.chat.completions.create, model=narrow.model, messages=MESSAGES)
        narrow.await_metric(QUEUE_FULL, before + 1)
    assert waiting.result().choices[0].message.content == ANSWER and time.monotonic() - started >= 1.0


def occupied(client, narrow):
    """A stream that has begun and takes the only place there is."""
    long = {"diffusion": LONG["diffusion"]}
    stream = client.chat.completions.create(
        model=narrow.model, messages=MESSAGES, max_tokens=200, stream=True,
        stream_options={"include_diffusion": True}, extra_body=long,
    )
    next(stream)
    return stream

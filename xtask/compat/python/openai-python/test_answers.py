"""openai-python: whole answers of `chat.completions` and `completions`."""

import asyncio

import openai
import pytest
from server import ANSWER, MESSAGES, SLOWLY, SPELLED


STORY = [{"role": "user", "content": "Tell me a story that contains dragon, lamp."}]


def test_a_question_is_answered(server, client):
    answer = client.chat.completions.create(model=server.model, messages=MESSAGES, temperature=0)
    choice = answer.choices[0]
    assert (choice.message.content, choice.message.role, choice.finish_reason) == (ANSWER, "assistant", "stop")
    assert (answer.object, answer.model) == ("chat.completion", server.model)
    assert answer.id.startswith("chatcmpl-") and answer.system_fingerprint.startswith("fp_")
    usage = answer.usage
    assert usage.completion_tokens == 3 and usage.prompt_tokens > 10
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_what_openai_does_not_have_can_be_read(server, client):
    extra = {"diffusion": {**SLOWLY, "trace": True}}
    answer = client.chat.completions.create(
        model=server.model, messages=MESSAGES, max_completion_tokens=32, seed=7, extra_body=extra
    )
    assert answer.diffusion["seed"] == 7 and answer.diffusion["stop_reason"] == "eos"
    assert len(answer.diffusion["trace"]["steps"]) == answer.usage.diffusion["nfe"] == 32


def test_models_are_listed(server, client):
    assert server.model in [model.id for model in client.models.list()]
    assert client.models.retrieve(server.model).object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-5")


@pytest.mark.parametrize("role", ["system", "developer"])
def test_messages_may_have_roles_and_parts(server, client, role):
    messages = [{"role": role, "content": "Be kind."}, {"role": "user", "content": []}]
    messages[1]["content"] = [{"type": "text", "text": "What is 345 "}, {"type": "text", "text": "+ 78?"}]
    answer = client.chat.completions.create(model=server.model, messages=messages)
    assert answer.choices[0].message.content == ANSWER


def test_several_answers_have_ascending_seeds(server, client):
    warm = {"model": server.model, "messages": STORY, "temperature": 2.0, "max_completion_tokens": 32}
    answers = client.chat.completions.create(**warm, n=3, seed=3)
    assert [choice.index for choice in answers.choices] == [0, 1, 2]
    assert [report["seed"] for report in answers.diffusion] == [3, 4, 5]
    for seed, choice in zip([3, 4, 5], answers.choices):
        alone = client.chat.completions.create(**warm, seed=seed)
        assert choice.message.content == alone.choices[0].message.content
    assert len({choice.message.content for choice in answers.choices}) > 1


@pytest.mark.parametrize(
    "stop, text", [("3", "42"), (["9", "23"], "4"), (["nothing like it"], ANSWER)], ids=["a text", "two texts", "another"]
)
def test_a_stop_text_ends_the_answer_before_it(server, client, stop, text):
    answer = client.chat.completions.create(model=server.model, messages=MESSAGES, stop=stop)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (text, "stop")


def test_an_answer_without_room_ends_for_its_length(server, client):
    limits = {"max_tokens": 99, "max_completion_tokens": 4}
    answer = client.chat.completions.create(model=server.model, messages=STORY, **limits)
    assert answer.choices[0].finish_reason == "length" and answer.diffusion["stop_reason"] == "length"
    assert answer.usage.completion_tokens == 4 and answer.usage.diffusion["canvas_tokens"] == 4


def test_fields_that_change_nothing_are_taken(server, client):
    answer = client.chat.completions.create(
        model=server.model, messages=MESSAGES, user="ada", store=False, metadata={"a": "b"}, top_p=1.0, logit_bias={},
        presence_penalty=0.0, frequency_penalty=0, service_tier="auto", safety_identifier="ada", verbosity="low",
        prompt_cache_key="key", parallel_tool_calls=True, logprobs=False, response_format={"type": "text"},
        extra_body={"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "unheard_of": None},
    )
    assert answer.choices[0].message.content == ANSWER


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_effort_decides_the_number_of_forwards(server, client, effort):
    answer = client.chat.completions.create(
        model=server.model, messages=MESSAGES, max_completion_tokens=32, reasoning_effort=effort
    )
    assert answer.choices[0].message.content == ANSWER
    assert (answer.usage.diffusion["nfe"] == 32) == (effort == "high")


def test_requests_have_ids(server, client):
    own = client.chat.completions.create(
        model=server.model, messages=MESSAGES, extra_headers={"x-request-id": "compat-1"}
    )
    given = client.chat.completions.create(model=server.model, messages=MESSAGES)
    assert own._request_id == "compat-1" and given._request_id not in (None, "compat-1")


def test_requests_at_once_get_the_answers_they_would_get_alone(server, client):
    sums = [(345, 78), (12, 30), (101, 202), (7, 8), (250, 250), (99, 1)]

    async def together():
        client = openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60)
        questions = [[{"role": "user", "content": f"What is {a} + {b}?"}] for a, b in sums]
        asked = [client.chat.completions.create(model=server.model, messages=question) for question in questions]
        return await asyncio.gather(*asked)

    answers = [int(answer.choices[0].message.content) for answer in asyncio.run(together())]
    assert answers == [a + b for a, b in sums]


def test_a_text_is_continued(server, client):
    ids = server.post("/tokenize", {"prompt": SPELLED}).json()["tokens"]
    for prompt in [SPELLED, [SPELLED], ids, [ids]]:
        answer = client.completions.create(model=server.model, prompt=prompt, max_tokens=32)
        assert answer.choices[0].text == ANSWER and answer.choices[0].finish_reason == "stop"
        assert answer.object == "text_completion" and answer.id.startswith("cmpl-")
        assert answer.usage.prompt_tokens == len(ids)


def test_a_gap_is_filled(server, client):
    before, between, after = SPELLED + ANSWER[0], ANSWER[1], ANSWER[2]
    answer = client.completions.create(model=server.model, prompt=before, suffix=after, max_tokens=1)
    assert answer.choices[0].text == between and answer.usage.completion_tokens == 1

"""openai-python: tools, and log-probabilities of the tokens of an answer."""

import json
import math

import pytest
from server import ANSWER, MESSAGES, SLOWLY

# Small, as the prompt describes it, and the model takes 256 tokens.
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False,
        },
    },
}
NAMED = {"type": "function", "function": {"name": "add"}}


@pytest.fixture
def ask(server, client):
    """Asks the question with these parameters, if the server knows them."""

    def ask(**parameters):
        parameters = {"messages": MESSAGES, "max_tokens": 40, **parameters}
        sent = {**parameters, **parameters.get("extra_body", {})}
        sent.pop("extra_body", None)
        server.skip_unless_served("POST", "/v1/chat/completions", sent)
        return client.chat.completions.create(model=server.model, **parameters)

    return ask


def check_call(call):
    assert call.type == "function" and call.id and call.function.name == "add"
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == {"a"} and isinstance(arguments["a"], int)


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_a_tool_is_called_with_arguments_of_its_schema(ask, choice):
    answer = ask(tools=[TOOL], tool_choice=choice)
    assert answer.choices[0].finish_reason == "tool_calls" and answer.choices[0].message.content is None
    check_call(answer.choices[0].message.tool_calls[0])


def test_a_tool_may_be_called_or_not(ask):
    answer = ask(tools=[TOOL], tool_choice="auto").choices[0]
    if answer.finish_reason == "tool_calls":
        check_call(answer.message.tool_calls[0])
    else:
        assert answer.message.content and not answer.message.tool_calls


def test_a_call_is_streamed(ask):
    name, arguments, finish = "", "", None
    for chunk in ask(tools=[TOOL], tool_choice="required", stream=True):
        for choice in chunk.choices:
            for call in choice.delta.tool_calls or []:
                assert call.index == 0
                name += call.function.name or ""
                arguments += call.function.arguments or ""
            finish = choice.finish_reason or finish
    assert name == "add" and set(json.loads(arguments)) == {"a"} and finish == "tool_calls"


def test_a_tool_is_not_called_if_that_is_asked(ask):
    answer = ask(tools=[TOOL], tool_choice="none")
    assert answer.choices[0].message.content == ANSWER and not answer.choices[0].message.tool_calls


def test_the_result_of_a_call_is_read(ask):
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "423"}]
    assert isinstance(ask(messages=messages, tools=[TOOL], tool_choice="none").choices[0].message.content, str)


def test_tokens_have_log_probabilities(ask):
    answer = ask(logprobs=True, top_logprobs=2, max_tokens=32, extra_body={"diffusion": SLOWLY}).choices[0]
    tokens = answer.logprobs.content
    assert "".join(token.token for token in tokens) == answer.message.content == ANSWER
    for token in tokens:
        assert token.logprob <= 0 and bytes(token.bytes).decode() == token.token and len(token.top_logprobs) == 2
        likely, other = token.top_logprobs
        assert likely.logprob >= other.logprob and math.exp(likely.logprob) + math.exp(other.logprob) < 1.001


def test_tokens_of_a_stream_have_log_probabilities(ask):
    chunks = ask(logprobs=True, stream=True, max_tokens=32)
    tokens = [token for chunk in chunks for choice in chunk.choices if choice.logprobs for token in choice.logprobs.content]
    assert "".join(token.token for token in tokens) == ANSWER and all(token.logprob <= 0 for token in tokens)

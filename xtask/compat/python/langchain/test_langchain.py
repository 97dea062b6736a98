"""langchain-openai: `ChatOpenAI` at an address of its own."""

import asyncio
from typing import Literal

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel, Field
from server import ANSWER, QUESTION, SLOWLY, SPELLED


class Sum(BaseModel):
    """A sum."""

    sum: int = Field(ge=0, le=999, description="The sum.")
    parity: Literal["even", "odd"]


@pytest.fixture
def chat(server):
    """Makes a chat model with these parameters."""

    def chat(**parameters):
        parameters = {"max_tokens": 32, "max_retries": 0, **parameters}
        return ChatOpenAI(model=server.model, base_url=server.url, api_key="none", timeout=60, **parameters)

    return chat


def test_a_question_is_answered(chat):
    answer = chat().invoke([SystemMessage("Be kind."), HumanMessage(QUESTION)])
    assert answer.content == ANSWER and answer.response_metadata["finish_reason"] == "stop"
    assert answer.usage_metadata["output_tokens"] == 3
    assert answer.usage_metadata["total_tokens"] == answer.usage_metadata["input_tokens"] + 3


def test_a_stream_adds_up_to_the_answer(chat):
    parts = list(chat(stream_usage=True, extra_body={"diffusion": SLOWLY}).stream(QUESTION))
    whole = parts[0]
    for part in parts[1:]:
        whole += part
    assert whole.content == ANSWER and len([part for part in parts if part.content]) >= 1
    assert whole.usage_metadata["output_tokens"] == 3


def test_questions_are_answered_at_once(chat):
    sums = [(12, 30), (101, 202), (250, 250)]
    questions = [f"What is {a} + {b}?" for a, b in sums]
    assert [int(answer.content) for answer in chat().batch(questions)] == [a + b for a, b in sums]
    answers = asyncio.run(chat().abatch(questions))
    assert [int(answer.content) for answer in answers] == [a + b for a, b in sums]


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_answers_have_a_structure(chat, method):
    form = Sum if method == "json_schema" else None
    answer = chat(max_tokens=48).with_structured_output(form, method=method).invoke(QUESTION)
    assert isinstance(answer, Sum if form else dict)


def test_a_structure_may_be_a_schema(chat):
    schema = {**Sum.model_json_schema(), "additionalProperties": False}
    answer = chat(max_tokens=48).with_structured_output(schema, method="json_schema", strict=False).invoke(QUESTION)
    assert set(answer) == {"sum", "parity"} and Sum.model_validate(answer)


def test_a_stop_text_ends_the_answer(chat):
    assert chat().invoke(QUESTION, stop=["23"]).content == "4"


def test_a_tool_is_called(server, chat):
    @tool
    def add(a: int) -> int:
        """Adds a number."""
        return a

    parameters = {"type": "object", "properties": {"a": {"type": "integer"}}}
    function = {"type": "function", "function": {"name": "add", "parameters": parameters}}
    body = {"messages": [{"role": "user", "content": QUESTION}], "tools": [function], "tool_choice": "required"}
    server.skip_unless_served("POST", "/v1/chat/completions", body)
    call = chat(max_tokens=64).bind_tools([add], tool_choice="required").invoke(QUESTION).tool_calls[0]
    assert call["name"] == "add" and isinstance(call["args"]["a"], int)


def test_a_text_is_continued(server):
    model = OpenAI(model=server.model, base_url=server.url, api_key="none", max_tokens=32, temperature=0, max_retries=0)
    assert model.invoke(SPELLED) == "".join(model.stream(SPELLED)) == ANSWER

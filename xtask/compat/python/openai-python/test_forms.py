"""openai-python: answers that have a form."""

import enum
import json
import re
from typing import Literal, Optional

import jsonschema
import openai
import pytest
from pydantic import BaseModel, Field
from server import ANSWER, MESSAGES


class Operation(str, enum.Enum):
    SUM = "sum"
    PRODUCT = "product"


class Term(BaseModel):
    value: int = Field(ge=0, le=999)
    negative: bool


class Calculation(BaseModel):
    operation: Operation
    unit: Literal["one", "two"]
    remark: Optional[Literal["a", "b"]]
    terms: list[Term] = Field(min_length=1, max_length=2)


class Sum(BaseModel):
    sum: int = Field(ge=0, le=999)


@pytest.fixture
def ask(server, client):
    """Asks the question with these parameters, and returns the text of the answer."""

    def ask(**parameters):
        parameters = {"max_completion_tokens": 32, **parameters}
        answer = client.chat.completions.create(model=server.model, messages=MESSAGES, **parameters)
        assert answer.choices[0].finish_reason == "stop"
        return answer.choices[0].message.content

    return ask


@pytest.mark.parametrize("form, tokens", [(Sum, 32), (Calculation, 96)], ids=["flat", "nested"])
def test_answers_are_parsed_as_pydantic_models(server, client, form, tokens):
    answer = client.chat.completions.parse(
        model=server.model, messages=MESSAGES, response_format=form, max_completion_tokens=tokens
    )
    parsed = answer.choices[0].message.parsed
    assert isinstance(parsed, form) and form.model_validate_json(answer.choices[0].message.content) == parsed
    assert answer.usage.diffusion["forced"] > 0 and answer.diffusion["constraint"]["log_mass"] <= 0


def test_streams_are_parsed_too(server, client):
    with client.chat.completions.stream(
        model=server.model, messages=MESSAGES, response_format=Sum, max_completion_tokens=32
    ) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert Sum.model_validate_json(text) == parsed


@pytest.mark.parametrize("strict", [{}, {"strict": True}, {"strict": None}], ids=["absent", "true", "null"])
def test_a_schema_is_kept_whether_strict_or_not(ask, strict):
    schema = {
        "type": "object", "properties": {"sum": {"type": "integer", "maximum": 999, "minimum": 0}},
        "required": ["sum"], "additionalProperties": False,
    }
    named = {"name": "sum", "schema": schema, **strict}
    for seed in range(3):
        form = {"type": "json_schema", "json_schema": named}
        jsonschema.validate(json.loads(ask(response_format=form, temperature=3.0, seed=seed)), schema)


def test_any_object_is_an_object(ask):
    assert isinstance(json.loads(ask(response_format={"type": "json_object"})), dict)


@pytest.mark.parametrize(
    "extra",
    [
        {"diffusion": {"constraint": {"regex": "[0-9]{3}"}}},
        {"structured_outputs": {"regex": "[0-9]{3}"}},
        {"structured_outputs": {"choice": ["17", ANSWER]}},
        {"guided_regex": "[0-9]{3}"},
        {"guided_choice": ["17", ANSWER]},
        {"response_format": {"type": "regex", "regex": "[0-9]{3}"}},
    ],
    ids=lambda extra: "/".join(re.findall("[a-z_]{5,}", str(extra))),
)
def test_the_answer_is_right_in_a_form_that_allows_it(ask, extra):
    assert ask(extra_body=extra) == ANSWER


@pytest.mark.parametrize(
    "form, tokens, code, param",
    [
        ({"type": "regex", "regex": "[0-9]{40}"}, 4, "constraint_unsatisfiable", "max_completion_tokens"),
        ({"type": "regex", "regex": "("}, 32, "invalid_constraint", "response_format"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"not": {}}}}, 32, "unsupported_schema",
         "response_format"),
    ],
    ids=["too long", "no pattern", "a keyword that is not supported"],
)
def test_a_form_that_cannot_be_kept_is_refused(ask, form, tokens, code, param):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(extra_body={"response_format": form}, max_completion_tokens=tokens)
    assert (refused.value.code, refused.value.param) == (code, param)

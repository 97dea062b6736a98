"""LiteLLM: the providers `openai/`, `inception/` and `text-completion-inception/`, the last two of which are of a diffusion
model's own service."""

import asyncio
import os

import pytest
from pydantic import BaseModel, Field
from server import ANSWER, MESSAGES, SLOWLY, SPELLED

# Otherwise the import fetches a list of prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm  # noqa: E402

litellm.suppress_debug_info = True
GAP = {"prompt": SPELLED + ANSWER[0], "suffix": ANSWER[2], "max_tokens": 1}


class Sum(BaseModel):
    sum: int = Field(ge=0, le=999)


@pytest.fixture
def ask(server):
    """Asks the question through a provider."""

    def ask(provider="openai", **parameters):
        return litellm.completion(
            model=f"{provider}/{server.model}", api_base=server.url, api_key="none", messages=MESSAGES, max_retries=0,
            **{"max_tokens": 32, **parameters},
        )

    return ask


def text(parts):
    return "".join(part.choices[0].delta.content or "" for part in parts)


@pytest.mark.parametrize("provider", ["openai", "inception"])
def test_a_question_is_answered(ask, provider):
    answer = ask(provider)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (ANSWER, "stop")
    assert answer.usage.completion_tokens == 3 and answer.usage.total_tokens == answer.usage.prompt_tokens + 3


@pytest.mark.parametrize("provider", ["openai", "inception"])
def test_a_stream_adds_up_to_the_answer(ask, provider):
    parts = list(ask(provider, stream=True, extra_body={"diffusion": SLOWLY}))
    assert text(parts) == ANSWER and parts[-1].choices[0].finish_reason == "stop"


def test_a_diffusing_stream_replaces_its_text(ask):
    parts = list(ask("inception", stream=True, diffusing=True, extra_body={"diffusion": SLOWLY}))
    texts = [part.choices[0].delta.content for part in parts if part.choices[0].delta.content]
    assert texts[-1] == ANSWER and "░" in texts[0]


@pytest.mark.parametrize("effort", ["instant", "low", "medium", "high"])
def test_efforts_of_mercury_are_known(ask, effort):
    answer = ask("inception", reasoning_effort=effort, allowed_openai_params=["reasoning_effort"], realtime=True)
    assert answer.choices[0].message.content == ANSWER


def test_the_usage_of_a_stream_is_told(ask):
    parts = list(ask(stream=True, stream_options={"include_usage": True}))
    usages = [part.usage for part in parts if getattr(part, "usage", None)]
    assert usages[-1].completion_tokens == 3


def test_answers_have_a_structure(ask):
    Sum.model_validate_json(ask(response_format=Sum).choices[0].message.content)


def test_a_gap_is_filled(server):
    asked = {"model": f"text-completion-inception/{server.model}", "api_base": server.url, "api_key": "none", **GAP}
    assert litellm.text_completion(**asked).choices[0].text == ANSWER[1]
    parts = litellm.text_completion(**asked, stream=True)
    assert "".join(part.choices[0].text or "" for part in parts) == ANSWER[1]


def test_questions_are_answered_at_once(server):
    async def together():
        asked = {"model": f"openai/{server.model}", "api_base": server.url, "api_key": "none", "messages": MESSAGES}
        return await asyncio.gather(*[litellm.acompletion(**asked) for _ in range(3)])

    assert [answer.choices[0].message.content for answer in asyncio.run(together())] == [ANSWER] * 3


def test_errors_have_their_classes(server, ask):
    with pytest.raises(litellm.BadRequestError, match="frequency_penalty"):
        ask(frequency_penalty=1.5)
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(model="openai/gpt-5", api_base=server.url, api_key="none", messages=MESSAGES, max_retries=0)

"""openai-python: streams, and clients that leave one."""

import pytest
from server import ANSWER, CANCELLED, LONG, MESSAGES, RUNNING, SLOWLY, SPELLED


@pytest.fixture
def ask(server, client):
    """Asks the question with these parameters."""

    def ask(**parameters):
        parameters = {"max_completion_tokens": 32, "messages": MESSAGES, **parameters}
        return client.chat.completions.create(model=server.model, **parameters)

    return ask


def text(chunks, index=0):
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"temperature": 2.0, "seed": 5}, {"stop": ["3"]}, {"stop": ["23", "99"]}],
    ids=["defaults", "warm", "a stop text", "two stop texts"],
)
def test_the_parts_add_up_to_the_whole(ask, parameters):
    parameters = {**parameters, "extra_body": {"diffusion": SLOWLY}}
    chunks = list(ask(stream=True, **parameters))
    whole = ask(**parameters).choices[0]
    assert text(chunks) == whole.message.content
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[0].choices[0].delta.content == ""
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == [whole.finish_reason]
    assert len({chunk.id for chunk in chunks}) == 1 and all(chunk.usage is None for chunk in chunks)


def test_text_before_a_stop_text_is_held_back_until_it_is_certain(ask):
    """The digits of 423 are three tokens, so the stop text begins in one part and ends in another."""
    chunks = list(ask(stream=True, stop=["23"], extra_body={"diffusion": SLOWLY}))
    assert text(chunks) == "4"


def test_usage_comes_last_if_it_is_asked_for(ask):
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and all(chunk.usage is None for chunk in chunks[:-1])
    usage = chunks[-1].usage
    assert usage.completion_tokens == 3 and usage.total_tokens == usage.prompt_tokens + 3
    assert usage.diffusion["nfe"] >= 1


def test_usage_is_in_every_part_if_it_is_asked_for(ask):
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = list(ask(stream=True, stream_options=options))
    assert all(chunk.usage is not None for chunk in chunks)


def test_steps_can_be_followed(ask):
    options = {"include_usage": True, "include_diffusion": True}
    chunks = list(ask(stream=True, stream_options=options, extra_body={"diffusion": SLOWLY}))
    reports = [chunk.diffusion for chunk in chunks if getattr(chunk, "diffusion", None)]
    steps = [report for report in reports if "step" in report]
    assert [step["step"] for step in steps] == list(range(32))
    assert [step["masked"] for step in steps] == list(range(31, -1, -1))
    assert all(len(step["commits"]) == 1 and step["revoked"] == [] for step in steps)
    assert text(chunks) == ANSWER and chunks[-1].usage.diffusion["nfe"] == 32


def test_a_diffusing_stream_replaces_its_text(ask):
    chunks = list(ask(stream=True, extra_body={"diffusing": True, "diffusion": SLOWLY}))
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert texts[-1] == ANSWER and "░" in texts[0]
    metas = [chunk.diffusion_meta for chunk in chunks if getattr(chunk, "diffusion_meta", None)]
    progress = [meta["diffusion_progress"] for meta in metas]
    assert progress == sorted(progress) and progress[-1] == 1.0 and metas[0]["diffusion_content"] is True


def test_characters_of_several_tokens_come_whole(ask):
    choices = ["ñandú 🦀 日本", "Ωmega — naïve"]
    diffusion = {**SLOWLY, "constraint": {"choice": choices}}
    chunks = list(ask(stream=True, extra_body={"diffusion": diffusion}))
    assert text(chunks) in choices
    assert all("\ufffd" not in text([chunk]) for chunk in chunks)


def test_several_answers_share_a_stream(ask):
    warm = {"n": 2, "temperature": 2.0, "seed": 3, "extra_body": {"diffusion": SLOWLY}}
    chunks = list(ask(stream=True, **warm))
    whole = ask(**warm)
    assert [text(chunks, index) for index in (0, 1)] == [choice.message.content for choice in whole.choices]
    finished = [choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert sorted(finished) == [0, 1]


def test_a_client_that_leaves_ends_its_generation(server, ask):
    before = server.metric(CANCELLED)
    options = {"include_diffusion": True}
    long = {"diffusion": LONG["diffusion"]}
    with ask(stream=True, max_completion_tokens=200, stream_options=options, extra_body=long) as stream:
        assert len([next(stream) for _ in range(3)]) == 3
    server.await_metric(CANCELLED, before + 1)
    server.await_metric(RUNNING, 0)


def test_the_stream_helper_tells_of_text_and_end(server, client):
    with client.chat.completions.stream(model=server.model, messages=MESSAGES) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content == ANSWER


def test_a_deadline_hurries_the_answer_and_does_not_break_it(ask):
    ask()
    long = {"diffusion": {**LONG["diffusion"], "deadline_ms": 100}}
    chunks = list(ask(stream=True, max_completion_tokens=200, stream_options={"include_usage": True}, extra_body=long))
    assert chunks[-2].diffusion["stop_reason"] == "deadline" and chunks[-2].choices[0].finish_reason is not None
    assert chunks[-1].usage.diffusion["nfe"] < 200


def test_completions_are_streamed_too(server, client):
    parts = list(client.completions.create(model=server.model, prompt=SPELLED, max_tokens=32, stream=True))
    assert "".join(part.choices[0].text for part in parts) == ANSWER and parts[-1].choices[0].finish_reason == "stop"


def test_gaps_are_streamed_too(server, client):
    asked = {"model": server.model, "prompt": SPELLED + ANSWER[0], "suffix": ANSWER[2], "max_tokens": 4}
    parts = list(client.completions.create(**asked, stream=True))
    whole = client.completions.create(**asked).choices[0]
    assert "".join(part.choices[0].text for part in parts) == whole.text
    assert parts[-1].choices[0].finish_reason == whole.finish_reason

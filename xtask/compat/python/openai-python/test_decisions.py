"""openai-python: `/v1/decisions`, which asks for probabilities instead of text."""

import openai
import pytest
from server import QUESTION

QUESTIONS = [
    {"type": "predicate", "name": "sum", "instructions": "Is this about numbers?"},
    {"type": "choice", "name": "kind", "instructions": "What is it?",
     "choices": [{"value": "question"}, {"value": "answer"}, {"value": "story"}]},
    {"type": "score", "name": "hard", "instructions": "How hard is it?",
     "levels": [{"label": "easy"}, {"label": "middling"}, {"label": "hard"}]},
]


@pytest.fixture
def decide(server):
    """Decides these questions."""
    server.skip_unless_served("POST", "/v1/decisions", {"model": server.model, "input": QUESTION, "questions": QUESTIONS})
    client = openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60)

    def decide(questions=QUESTIONS, **parameters):
        return client.decisions.create(model=server.model, input=QUESTION, questions=questions, **parameters)

    return decide


def test_every_question_has_its_answer(decide):
    decided = decide()
    assert [answer.type for answer in decided.answers] == ["predicate", "choice", "score"]
    assert [answer.name for answer in decided.answers] == ["sum", "kind", "hard"]
    assert decided.usage.input_tokens > 0


def test_probabilities_are_probabilities(decide):
    predicate, choice, score = decide().answers
    assert 0 <= predicate.probability <= 1 and 0 <= choice.confidence <= 1 and 0 <= score.confidence <= 1
    probabilities = {option.value: option.probability for option in choice.probabilities}
    assert set(probabilities) == {"question", "answer", "story"}
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert choice.choice == max(probabilities, key=probabilities.get)


def test_the_same_question_is_decided_alike(decide):
    assert decide().answers == decide().answers


def test_a_question_without_choices_is_refused(decide):
    with pytest.raises(openai.APIStatusError) as refused:
        decide([{"type": "choice", "name": "kind", "instructions": "What is it?", "choices": []}])
    assert refused.value.status_code in (400, 422)

"""typesafe-sdk: its list of models, and `/v1/systemone`."""

import datetime

import pytest
import typesafe_sdk
from server import QUESTION

QUESTIONS = {
    "sum": {"type": "noul", "instructions": "Is this about numbers?"},
    "kind": {"type": "choice", "instructions": "What is it?", "criteria": {"question": None, "answer": None}},
    "hard": {"type": "score", "instructions": "How hard is it?", "criteria": {"0": "easy", "1": "middling", "2": "hard"}},
}


@pytest.fixture
def client(server):
    return typesafe_sdk.TypeSafeClient(api_key="none", base_url=server.root)


@pytest.fixture
def decide(server, client):
    """Decides these questions."""
    body = {"model": server.model, "state": QUESTION, "questions": QUESTIONS}
    server.skip_unless_served("POST", "/v1/systemone", body)

    def decide(questions=QUESTIONS):
        return client.system_one(model=server.model, state=QUESTION, questions=questions)

    return decide


def test_models_are_listed(server, client):
    cards = client.models.list().models
    assert server.model in [card.name for card in cards]
    assert all(datetime.date.fromisoformat(card.release_date) and card.description for card in cards)


def test_every_question_has_its_answer(decide):
    decided = decide()
    assert 0 <= decided.nouls["sum"].noul <= 1
    choice = decided.choices["kind"]
    assert set(choice.probabilities) == {"question", "answer"} and 0 <= choice.confidence <= 1
    assert sum(choice.probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert choice.choice == max(choice.probabilities, key=choice.probabilities.get)
    assert 0 <= decided.scores["hard"].score <= 2
    assert decided.usage.input_tokens > 0


def test_a_question_that_is_not_well_formed_is_told_where(server, decide):
    """The client refuses most of these itself."""
    questions = {"kind": {"type": "nothing like it", "instructions": "What is it?"}}
    response = server.post("/v1/systemone", {"model": server.model, "state": QUESTION, "questions": questions})
    assert response.status == 422, response.body
    assert all(problem["loc"] and problem["msg"] and problem["type"] for problem in response.json()["detail"])

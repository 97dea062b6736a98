"""The command `llm`, with the model in `extra-openai-models.yaml`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from server import ANSWER, QUESTION, SPELLED

MODELS = """\
- model_id: tiny
  model_name: {model}
  api_base: "{url}"
  supports_schema: true
  supports_tools: true
- model_id: tiny-text
  model_name: {model}
  api_base: "{url}"
  completion: true
"""


@pytest.fixture
def llm(server, tmp_path):
    """Runs the command with a folder of its own, and returns what it prints."""
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(model=server.model, url=server.url))

    def llm(*arguments):
        program = Path(sys.executable).parent / "llm"
        environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
        ran = subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    return llm


def test_a_question_is_answered(llm):
    assert llm("-m", "tiny", "--no-stream", QUESTION, "-s", "Be kind.", "-o", "temperature", "0", "-o", "seed", "7") == ANSWER


def test_a_conversation_goes_on_and_is_logged(llm):
    assert llm("-m", "tiny", QUESTION) == ANSWER
    llm("-c", "What is 12 + 30?")
    first, second = json.loads(llm("logs", "--json", "-n", "2"))
    assert first["conversation_id"] == second["conversation_id"] and first["output_tokens"] == 3
    assert second["input_tokens"] > first["input_tokens"]


@pytest.mark.parametrize("stream", [[], ["--no-stream"]], ids=["stream", "whole"])
def test_an_answer_has_a_schema(llm, stream):
    """The command sends the schema without `strict`, which does not mean that it may be broken."""
    answer = json.loads(llm("-m", "tiny", *stream, "--schema", "sum int, sure bool", "-o", "max_tokens", "64", QUESTION))
    assert set(answer) == {"sum", "sure"} and isinstance(answer["sum"], int) and isinstance(answer["sure"], bool)


def test_a_text_is_continued(llm):
    assert llm("-m", "tiny-text", "-o", "max_tokens", "32", SPELLED) == ANSWER

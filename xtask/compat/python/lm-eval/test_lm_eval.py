"""lm-evaluation-harness: `local-chat-completions` and `local-completions`, on tasks of this folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.fixture
def evaluate(server, tmp_path):
    """Evaluates a task with the command, and returns its metrics."""

    def evaluate(task, model, path, tokenizer, *arguments):
        options = f"base_url={server.url}/{path},model={server.model},num_concurrent=2,max_retries=1,{tokenizer}"
        command = [
            Path(sys.executable).parent / "lm_eval", "--model", model, "--model_args", options, "--tasks", task,
            "--include_path", FOLDER, "--output_path", tmp_path / "results", *arguments,
        ]
        offline = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OPENAI_API_KEY": "none"}
        ran = subprocess.run(
            command, cwd=FOLDER, env={**os.environ, **offline}, capture_output=True, text=True, timeout=240
        )
        assert ran.returncode == 0, ran.stderr[-4000:]
        results = next((tmp_path / "results").rglob("results_*.json"))
        return json.loads(results.read_text())["results"][task]

    return evaluate


def test_a_conversation_is_evaluated(evaluate):
    metrics = evaluate(
        "asked", "local-chat-completions", "chat/completions", "tokenizer_backend=None", "--apply_chat_template"
    )
    assert metrics["exact_match,none"] == 1.0


def test_texts_are_continued(evaluate):
    metrics = evaluate("spelled", "local-completions", "completions", "tokenizer_backend=None,tokenized_requests=False")
    assert metrics["exact_match,none"] == 1.0


def test_texts_are_continued_with_the_tokens_of_the_server(server, evaluate):
    server.skip_unless_served("GET", "/tokenizer_info")
    metrics = evaluate("spelled", "local-completions", "completions", "tokenizer_backend=remote")
    assert metrics["exact_match,none"] == 1.0


def test_the_likelier_answer_is_chosen(server, evaluate):
    server.skip_unless_served("GET", "/tokenizer_info")
    ids = server.post("/tokenize", {"prompt": "a bell"}).json()["tokens"]
    echo = {"prompt": [ids], "max_tokens": 1, "logprobs": 1, "echo": True, "temperature": 0}
    server.skip_unless_served("POST", "/v1/completions", echo)
    metrics = evaluate("chosen", "local-completions", "completions", "tokenizer_backend=remote")
    assert metrics["acc,none"] == 1.0

"""The client that most checks of openai-python use."""

import openai
import pytest


@pytest.fixture
def client(server):
    return openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60)

"""The server under test, without a client between: what it serves, what it counts, and what to ask it."""

import json
import time
import urllib.error
import urllib.request

import pytest

QUESTION = "What is 345 + 78?"
ANSWER = "423"
MESSAGES = [{"role": "user", "content": QUESTION}]

# The same conversation spelled out, as a text to continue.
SPELLED = (
    f"<|startoftext|><|start_header_id|>user<|end_header_id|>\n\n{QUESTION}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)

# A token a step, so that a stream has many parts.
SLOWLY = {"decoder": "schedule", "steps": 32, "block_length": 32}

# Longer than any client takes to do something else meanwhile.
LONG = {"max_tokens": 200, "diffusion": {"decoder": "schedule", "steps": 200, "block_length": 200}}


class Response:
    """A status, headers and a body."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def events(self):
        """The objects of a stream of events, which ends as it should."""
        lines = [line for line in self.body.split("\n") if line.startswith("data: ")]
        assert lines[-1] == "data: [DONE]", self.body
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


class Server:
    """A server at an address such as http://127.0.0.1:8000/v1."""

    def __init__(self, url, key="none"):
        self.url, self.root, self.key = url, url.removesuffix("/v1"), key

    def send(self, method, path, body=None, **headers):
        """Sends a request to a path below the root, and returns the response whatever its status."""
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json", **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Response(response.status, response.headers, response.read().decode())
        except urllib.error.HTTPError as error:
            return Response(error.code, error.headers, error.read().decode())

    def get(self, path):
        return self.send("GET", path)

    def post(self, path, body):
        return self.send("POST", path, body)

    def answer(self, body):
        """The whole answer to a chat request."""
        response = self.post("/v1/chat/completions", {"messages": MESSAGES, **body})
        assert response.status == 200, response.body
        return response.json()

    @property
    def model(self):
        """The name of the model."""
        return self.get("/v1/models").json()["data"][0]["id"]

    def skip_unless_served(self, method, path, body=None):
        """Skips the check if the server has no such path, or refuses a field of the body as unsupported."""
        response = self.send(method, path, body)
        if response.status in (404, 405):
            pytest.skip(f"not served: {path}")
        if response.status == 400 and response.json()["error"]["code"] == "unsupported_parameter":
            pytest.skip(f"not served: {response.json()['error']['param']} of {path}")

    def metric(self, name):
        """The value of a counter or gauge, 0 if nothing was counted yet."""
        for line in self.get("/metrics").body.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        return 0.0

    def await_metric(self, name, value, seconds=10.0):
        """Waits until a counter or gauge has a value."""
        end = time.monotonic() + seconds
        while self.metric(name) != value:
            assert time.monotonic() < end, f"{name} is {self.metric(name)} after {seconds} s, and not {value}"
            time.sleep(0.02)


CANCELLED = 'llada_requests_unfinished_total{reason="cancelled"}'
QUEUE_FULL = 'llada_requests_rejected_total{reason="queue_full"}'
RUNNING = "llada_num_requests_running"

"""A replica of the server on this machine, and requests to it or to a balancer before it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time

from shipped import ROOT

MODEL = ROOT / "models/llada-tiny"
RUNNING = "llada_num_requests_running"

# llada-tiny knows the answer.
QUESTION = {
    "messages": [{"role": "user", "content": "What is 345 + 78?"}],
    "max_tokens": 32,
    "diffusion": {"decoder": "schedule", "steps": 32, "block_length": 32},
}
ANSWER = "423"

# A second or more of work.
LONG = {**QUESTION, "max_tokens": 200, "diffusion": {"decoder": "schedule", "steps": 200, "block_length": 200}}


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_until(holds, what, seconds=60):
    """Waits until something holds; it has failed if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Server:
    """Something that answers at a port of this machine."""

    def __init__(self, port):
        self.port = port
        self.headers = {}

    def open(self, method, path, body=None, timeout=120, **headers):
        """Sends a request, and returns the response before its body is read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"content-type": "application/json", **self.headers, **headers}
        connection.request(method, path, body and json.dumps(body), headers)
        return connection.getresponse()

    def status(self, path):
        """The status of a path, or None if nobody listens."""
        try:
            return self.open("GET", path, timeout=5).status
        except OSError:
            return None

    def post(self, body, path="/v1/chat/completions"):
        """The status and the object that a request is answered with."""
        response = self.open("POST", path, body)
        return response.status, json.load(response)

    def metric(self, name):
        """The value of a counter or gauge, 0 if nothing was counted yet."""
        lines = self.open("GET", "/metrics").read().decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name + " ")), 0.0)


class Replica(Server):
    """A process of `llada serve`. Its log is in the folder; it does not outlive the check."""

    def __init__(self, folder, port=None, options=()):
        super().__init__(port or free_port())
        self.command = [os.environ["LLADA"], "serve", f"--model={MODEL}", f"--port={self.port}", *options]
        self.log = folder / f"replica-{self.port}.txt"
        self.start()

    def start(self):
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_until(self.listens, "the replica listens")

    def listens(self):
        assert self.process.poll() is None, self.log.read_text()
        return self.status("/health") == 200

    def is_busy(self):
        return self.metric(RUNNING) > 0

    def kill(self):
        """Ends the process as a lack of memory would: at once."""
        self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

"""A replica with the arguments of the manifest, asked what the manifest has asked: probes, metrics, an end in time."""

import hashlib
import signal
import threading
import time

import pytest

from replica import LONG, QUESTION, RUNNING, Replica, wait_until
from shipped import Containerfile, arguments, container, kind, pod

KEY = "open sesame"

# More answers than can be completed in the time to drain: minutes.
TOO_MANY = 150


@pytest.fixture
def replica(tmp_path):
    """A replica with the arguments of the manifest, but for the model, the device, the port, and the path of the keys."""
    keys = tmp_path / "keys.txt"
    keys.write_text(f"probe {hashlib.sha256(KEY.encode()).hexdigest()}\n")
    kept = {name: value for name, value in arguments().items() if name not in ("model", "device", "port", "api-keys")}
    options = [f"--{name}={value}" for name, value in kept.items()] + [f"--api-keys={keys}"]
    with Replica(tmp_path, options=options) as replica:
        replica.headers["authorization"] = f"Bearer {KEY}"
        yield replica


def path(probe):
    return container()[probe]["httpGet"]["path"]


class Clients:
    """Clients that ask at the same time, and the statuses and answers that they get."""

    def __init__(self, replica, body, count):
        self.answers = []
        self.threads = [threading.Thread(target=self.ask, args=(replica, body)) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def ask(self, replica, body):
        try:
            self.answers.append(replica.post(body))
        except OSError as error:
            self.answers.append((None, str(error)))

    def join(self):
        for thread in self.threads:
            thread.join()
        return self.answers


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_a_probe_needs_no_key(replica, probe):
    replica.headers.clear()
    assert replica.status(path(probe)) == 200
    assert replica.open("POST", "/v1/chat/completions", QUESTION).status == 401


def test_the_metrics_of_the_autoscaler_are_where_they_are_scraped(replica):
    replica.headers.clear()
    annotations = kind("Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    text = replica.open("GET", annotations["prometheus.io/path"]).read().decode()
    for metric in kind("HorizontalPodAutoscaler")["spec"]["metrics"]:
        assert f"\n{metric['pods']['metric']['name']} 0\n" in text


def test_after_the_stop_signal_a_replica_is_alive_and_not_ready_until_its_answers_are_complete(replica):
    clients = Clients(replica, LONG, 3)
    wait_until(lambda: replica.metric(RUNNING) == 3, "three answers are under way")
    replica.process.send_signal(getattr(signal, Containerfile().value("STOPSIGNAL")))
    wait_until(lambda: replica.status(path("readinessProbe")) == 503, "the replica is not ready")
    assert replica.status(path("livenessProbe")) == 200
    status, refusal = replica.post(QUESTION)
    assert (status, refusal["error"]["code"]) == (503, "draining")
    assert replica.process.wait(timeout=60) == 0
    assert [status for status, _ in clients.join()] == [200, 200, 200]


def test_a_replica_with_too_much_to_do_ends_within_the_grace(replica):
    clients = Clients(replica, LONG, TOO_MANY)
    wait_until(replica.is_busy, "answers are under way")
    replica.terminate()
    started = time.monotonic()
    grace = pod()["terminationGracePeriodSeconds"] - container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert replica.process.wait(timeout=grace) == 0
    print(f"ended after {time.monotonic() - started:.1f} s of {grace}")
    answers = clients.join()
    # What is not answered may be asked of another replica, and is told so.
    assert {status for status, _ in answers} <= {200, 503}, answers
    assert {answer["error"]["code"] for status, answer in answers if status == 503} <= {"cancelled", "draining"}

"""The shipped configuration of nginx, before two replicas of which one and then the other goes."""

import collections
import http.client
import re
import shutil
import subprocess
import threading

import pytest

from replica import ANSWER, LONG, QUESTION, Replica, Server, free_port, wait_until
from shipped import FOLDER

# What Debian's nginx.conf has around the files of /etc/nginx/conf.d, with folders that a check may write to.
SURROUNDINGS = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 2;
events {{}}
http {{
    log_format tried "$upstream_addr $status";
    access_log {folder}/access.log tried;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {shipped};
}}
"""

CLIENTS = 6
# A bound on what a client asks, and so on the time of a check.
MOST_REQUESTS = 400


class Balancer(Server):
    """A process of nginx with the shipped configuration, in which only the addresses are replaced."""

    def __init__(self, folder, replicas):
        super().__init__(free_port())
        self.access_log = folder / "access.log"
        (folder / "llada").mkdir()
        listen = (FOLDER / "nginx/listen.conf").read_text()
        listen, count = re.subn(r"^listen 80;", f"listen 127.0.0.1:{self.port};", listen, flags=re.M)
        assert count == 1
        (folder / "llada/listen.conf").write_text(listen)
        addresses = iter(replicas)
        lines = (FOLDER / "nginx/replicas.conf").read_text()
        lines, count = re.subn(r"(?<=server )[\d.:]+", lambda _: f"127.0.0.1:{next(addresses).port}", lines)
        assert count == len(replicas)
        (folder / "llada/replicas.conf").write_text(lines)
        configuration = folder / "nginx.conf"
        configuration.write_text(SURROUNDINGS.format(folder=folder, shipped=FOLDER / "nginx/llada.conf"))
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        assert nginx, "nginx is not installed"
        self.process = subprocess.Popen([nginx, "-p", folder, "-c", configuration])
        wait_until(lambda: self.status("/health") == 200, "nginx answers")

    def tried(self):
        """For each request that was answered, the replicas that were tried."""
        return [line.rsplit(" ", 1)[0].split(", ") for line in self.access_log.read_text().splitlines()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Load:
    """Clients that ask through the balancer, one question after the other, until it is enough."""

    def __init__(self, balancer):
        self.balancer = balancer
        self.is_enough = threading.Event()
        self.outcomes = collections.Counter()
        self.threads = [threading.Thread(target=self.ask) for _ in range(CLIENTS)]

    def ask(self):
        for _ in range(MOST_REQUESTS):
            if self.is_enough.is_set():
                return
            try:
                status, body = self.balancer.post(QUESTION)
                outcome = body["choices"][0]["message"]["content"] if status == 200 else f"{status} {body}"
            except (OSError, ValueError) as error:
                outcome = repr(error)
            self.outcomes[outcome] += 1

    def await_more(self, count):
        """Waits until so many further requests are answered."""
        total = self.outcomes.total() + count
        wait_until(lambda: self.outcomes.total() >= total, f"{count} more requests are answered")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_enough.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture
def replicas(tmp_path):
    with Replica(tmp_path) as first, Replica(tmp_path) as second:
        yield first, second


@pytest.fixture
def balancer(tmp_path, replicas):
    with Balancer(tmp_path, replicas) as balancer:
        yield balancer


def completed(replica):
    return sum(replica.metric(f'llada_request_success_total{{reason="{reason}"}}') for reason in ("stop", "length"))


def test_every_request_succeeds_while_a_replica_is_killed_comes_back_and_the_other_ends(balancer, replicas):
    first, second = replicas
    with Load(balancer) as load:
        load.await_more(10)
        assert completed(first) > 0 and completed(second) > 0
        wait_until(first.is_busy, "the first replica is busy")
        first.kill()
        load.await_more(20)
        first.start()
        wait_until(lambda: completed(first) > 0, "the first replica is used again")
        wait_until(second.is_busy, "the second replica is busy")
        second.terminate()
        assert second.process.wait(timeout=60) == 0
        load.await_more(20)
    print(dict(load.outcomes), f"{sum(len(tried) > 1 for tried in balancer.tried())} requests were sent again")
    assert list(load.outcomes) == [ANSWER]
    assert any(len(tried) > 1 for tried in balancer.tried())


def test_a_request_under_way_on_a_killed_replica_is_sent_again(balancer, replicas):
    outcome = []
    client = threading.Thread(target=lambda: outcome.append(balancer.post(LONG)))
    client.start()
    wait_until(lambda: any(replica.is_busy() for replica in replicas), "a replica is busy")
    [busy] = [replica for replica in replicas if replica.is_busy()]
    busy.kill()
    client.join()
    [(status, _)] = outcome
    assert status == 200
    assert balancer.tried()[-1][0] == f"127.0.0.1:{busy.port}" and len(balancer.tried()[-1]) == 2


def test_a_stream_that_has_begun_breaks_off_and_is_not_sent_again(balancer, replicas):
    stream = balancer.open("POST", "/v1/chat/completions", {**LONG, "stream": True})
    assert stream.readline().startswith(b"data: ")
    [busy] = [replica for replica in replicas if replica.is_busy()]
    busy.kill()
    with pytest.raises(http.client.IncompleteRead):
        stream.read()
    assert len(balancer.tried()[-1]) == 1


def test_a_stream_comes_as_it_is_made(balancer, replicas):
    stream = balancer.open("POST", "/v1/chat/completions", {**LONG, "stream": True})
    assert stream.readline().startswith(b"data: ")
    assert any(replica.is_busy() for replica in replicas)


def test_events_are_read_again_where_the_generation_runs(balancer, replicas):
    for _ in range(8):
        first = balancer.open("POST", "/v1/diffusion/generate", QUESTION)
        events = first.read()
        again = balancer.open("GET", f"/v1/diffusion/generations/{first.headers['x-request-id']}/events")
        assert (again.status, again.read()) == (200, events)
    tried = {tuple(tried) for tried in balancer.tried() if tried != ["-"]}
    assert len(tried) == len(replicas), "both replicas are used"


def test_the_metrics_of_a_replica_are_not_shown_by_the_balancer(balancer):
    assert balancer.status("/metrics") == 404
    assert balancer.status("/health/ready") == 200

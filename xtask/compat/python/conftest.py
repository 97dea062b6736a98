"""What the checks of all clients share: the server under test, and a line of JSON for each check.

The lines are what `cargo xtask compat` reads: {"check", "outcome", "seconds", "detail"}.
"""

import json
import os

import pytest
from server import Server


@pytest.fixture(scope="session")
def server():
    """The server, which takes everybody."""
    return Server(os.environ["LLADA_SERVER"])


@pytest.fixture(scope="session")
def narrow():
    """A server that asks for a key, answers one request at a time, and lets none wait."""
    if "LLADA_NARROW_SERVER" not in os.environ:
        pytest.skip("needs a server with a key and no queue, which --server does not give")
    return Server(os.environ["LLADA_NARROW_SERVER"], key=os.environ["LLADA_KEY"])


def pytest_runtest_logreport(report):
    """Prints the outcome of a check: what came before it counts only if it went wrong or skipped the check."""
    if report.when != "call" and report.passed or report.when == "teardown" and report.skipped:
        return
    detail = None
    if report.skipped:
        detail = report.longrepr[2].removeprefix("Skipped: ")
    elif report.failed:
        detail = report.longreprtext
    line = {
        "check": report.location[2].removeprefix("test_").replace("_", " "),
        "outcome": {"passed": "ok"}.get(report.outcome, report.outcome),
        "seconds": report.duration,
        "detail": detail,
    }
    print("\n" + json.dumps(line), flush=True)


def pytest_collectreport(report):
    """A file that cannot be read, as when its client cannot be imported, is a failed check."""
    if report.failed:
        line = {"check": report.nodeid, "outcome": "failed", "seconds": 0.0, "detail": report.longreprtext}
        print("\n" + json.dumps(line), flush=True)

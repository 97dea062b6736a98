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


def name(test):
    """Returns the sentence that a test's name is, with its parameters in brackets."""
    sentence, bracket, parameters = test.removeprefix("test_").partition("[")
    return sentence.replace("_", " ") + (f" ({parameters[:-1]})" if bracket else "")


def tell(check, outcome, seconds, detail):
    line = {"check": check, "outcome": outcome, "seconds": seconds, "detail": detail}
    # pytest may have left its own line unfinished.
    print("\n" + json.dumps(line), flush=True)


def problem(report):
    """Returns what went wrong, without the frames that led there: pytest prints these if it is run by hand."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else report.longreprtext


def pytest_runtest_logreport(report):
    """Tells the outcome of a check. What it was prepared by is told only if that failed or skipped the check."""
    check = name(report.location[2])
    if report.failed:
        tell(check, "failed", report.duration, problem(report))
    elif report.skipped:
        tell(check, "skipped", report.duration, report.longrepr[2].removeprefix("Skipped: "))
    elif report.when == "call":
        tell(check, "ok", report.duration, None)


def pytest_collectreport(report):
    """A file that cannot be read, as when its client cannot be imported, is a failed check."""
    if report.failed:
        tell(report.nodeid, "failed", 0.0, problem(report))

"""Two ranks on two hosts: the bits of one host, and what becomes of a run if the network or a process fails."""

import contextlib
import os
import signal
import time

import pytest

from hosts import join, refusal, two_hosts
from line import Line
from runs import LOST, NO_ANSWER, Runs, all_end_well, end

STEPS = 150
# At which a run is disturbed.
EARLY = 22
REFUSAL = refusal()

pytestmark = pytest.mark.skipif(REFUSAL is not None, reason=str(REFUSAL))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"), STEPS)


@pytest.fixture
def hosts():
    with two_hosts() as hosts:
        join(hosts, "cable", 0)
        yield hosts


def start(hosts, runs, out, *words, **variables):
    return [host.start(runs.folder, "--out", out, *words, **variables) for host in hosts]


def goes_on(hosts, runs, out):
    """Whether the same command goes on from a checkpoint, and ends as if nothing had happened."""
    [(code, told), (second, _)] = [end(process) for process in start(hosts, runs, out)]
    assert (code, second) == (0, 0), told
    assert "going on after step" in told, told
    return runs.is_whole(out)


def test_two_hosts_have_the_bits_of_one(hosts, runs):
    all_end_well(start(hosts, runs, "hosts"))
    assert runs.is_whole("hosts")


def test_a_cut_cable_is_an_error_on_both_sides_within_the_timeout_and_the_run_goes_on(hosts, runs):
    processes = start(hosts, runs, "cut", "--collective-timeout", "4")
    runs.reach("cut", EARLY, processes)
    hosts[0].switch("cable", "down")
    cut = time.monotonic()
    for process in processes:
        code, told = end(process)
        assert code == 1 and f"has waited 4 {NO_ANSWER}" in told, told
        assert "hint: the last checkpoint is whole" in told, told
        print(f"ended {time.monotonic() - cut:.1f} s after the cut")
    assert time.monotonic() - cut < 10
    assert runs.step("cut") < STEPS
    hosts[0].switch("cable", "up")
    assert goes_on(hosts, runs, "cut")


@pytest.mark.parametrize("seconds", [0.3, 3])
def test_a_cable_that_is_mended_within_the_timeout_changes_nothing(hosts, runs, seconds):
    out = f"mended-{seconds}"
    processes = start(hosts, runs, out, "--collective-timeout", "60")
    runs.reach(out, EARLY, processes)
    hosts[0].switch("cable", "down")
    time.sleep(seconds)
    assert runs.step(out) < STEPS
    hosts[0].switch("cable", "up")
    mended = time.monotonic()
    all_end_well(processes)
    print(f"ended {time.monotonic() - mended:.1f} s after the cable was mended")
    assert runs.is_whole(out)


@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_that_is_stopped_for_less_than_the_timeout_changes_nothing(hosts, runs, number):
    out = f"stopped-{number}"
    processes = start(hosts, runs, out, "--collective-timeout", "60")
    runs.reach(out, EARLY, processes)
    os.kill(processes[number].pid, signal.SIGSTOP)
    time.sleep(2)
    assert runs.step(out) < STEPS
    os.kill(processes[number].pid, signal.SIGCONT)
    all_end_well(processes)
    assert runs.is_whole(out)


@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_that_is_stopped_for_longer_is_an_error_of_both_and_the_run_goes_on(hosts, runs, number):
    out = f"hung-{number}"
    processes = start(hosts, runs, out, "--collective-timeout", "3")
    runs.reach(out, EARLY, processes)
    os.kill(processes[number].pid, signal.SIGSTOP)
    code, told = end(processes[1 - number])
    assert code == 1 and f"has waited 3 {NO_ANSWER}" in told, told
    os.kill(processes[number].pid, signal.SIGCONT)
    code, told = end(processes[number])
    assert code == 1 and (LOST in told or NO_ANSWER in told), told
    assert goes_on(hosts, runs, out)


def test_a_host_that_is_lost_at_once_is_noticed_by_the_timeout(hosts, runs):
    processes = start(hosts, runs, "lost", "--collective-timeout", "4")
    runs.reach("lost", EARLY, processes)
    # Its power fails: nobody is left to close the connections.
    hosts[1].switch("cable", "down")
    processes[1].kill()
    code, told = end(processes[0])
    assert code == 1 and f"has waited 4 {NO_ANSWER}" in told, told
    end(processes[1])
    hosts[1].switch("cable", "up")
    assert goes_on(hosts, runs, "lost")


def test_the_interface_that_is_named_is_taken(hosts, runs):
    join(hosts, "second", 1)
    sent = hosts[1].sent("second")
    all_end_well(start(hosts, runs, "second", GLOO_SOCKET_IFNAME="second"))
    assert runs.is_whole("second")
    # The gradients of every step.
    assert hosts[1].sent("second") - sent > STEPS * 4 * 20_000 > hosts[1].sent("cable")


def test_an_interface_that_is_not_there_is_an_error_that_says_so(hosts, runs):
    first, second = start(hosts, runs, "no-interface", "--collective-timeout", "5", GLOO_SOCKET_IFNAME="none")
    code, told = end(first)
    assert code == 3 and "has not met the others" in told and "as GLOO_SOCKET_IFNAME none: " in told, told
    # The first may have ended before the second has met it.
    assert end(second)[0] == 3


def test_a_bad_line_changes_nothing(runs):
    with two_hosts() as hosts, Line(hosts, delay=0.02, loss=0.01, seed=1) as line:
        all_end_well(start(hosts, runs, "bad-line"), seconds=300)
        print(f"{line.lost} of {line.packets} packets were lost")
        assert line.lost > 0
    assert runs.is_whole("bad-line")


def test_a_name_that_is_not_known_yet_is_waited_for(hosts, runs):
    """As that of a pod of Kubernetes that does not run yet."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(host.names()) for host in hosts]
        files[0].write_text(f"{hosts[0].address} head\n")
        processes = start(hosts, runs, "named", MASTER_ADDR="head")
        time.sleep(2)
        assert runs.step("named") == 0 and processes[1].poll() is None
        files[1].write_text(f"{hosts[0].address} head\n")
        all_end_well(processes)
    assert runs.is_whole("named")

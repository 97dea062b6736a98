"""torchrun starts llada, on one machine and as two agents, and starts it again each time that a process was killed."""

import subprocess
import sys

import pytest

from kills import kill_ranks
from runs import ENVIRONMENT, LLADA, SHARDS, Runs, end

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--no-python"]
STEPS = 300
KILLS = 5


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"), STEPS)


def start(runs, out, *words, shard="none"):
    command = [*TORCHRUN, *words, LLADA, "pretrain", "--config", "run.toml", "--out", out, "--shard", shard]
    return subprocess.Popen(command, cwd=runs.folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


def test_a_run_on_one_machine(runs):
    code, told = end(start(runs, "standalone", "--standalone", "--nproc-per-node", "2"))
    assert code == 0, told
    assert runs.is_whole("standalone")


@pytest.mark.parametrize(("seed", "shard"), enumerate(SHARDS))
def test_a_run_whose_ranks_are_killed_ends_as_if_they_had_not_been(runs, seed, shard):
    out = f"killed-{shard}"
    agent = start(runs, out, "--standalone", "--nproc-per-node", "2", "--max-restarts", str(KILLS), shard=shard)
    steps = kill_ranks(runs, out, agent, KILLS, seed)
    code, told = end(agent)
    assert code == 0, told
    print(f"killed at {steps}")
    assert runs.is_whole(out)


def test_a_run_of_two_agents(runs):
    words = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:29617"]
    agents = [start(runs, "agents", *words, "--rdzv-id", "job") for _ in range(2)]
    for agent in agents:
        code, told = end(agent)
        assert code == 0, told
    assert runs.is_whole("agents")

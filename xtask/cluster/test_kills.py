"""`llada launch --max-restarts`: twenty ranks are killed at random, and each run ends as the one that was left alone."""

import subprocess

import pytest

from kills import kill_ranks
from runs import ENVIRONMENT, LLADA, SHARDS, Runs, end

STEPS = 300
KILLS = 5


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"), STEPS)


@pytest.mark.parametrize(("seed", "shard"), enumerate(SHARDS))
def test_a_run_whose_ranks_are_killed_ends_as_if_they_had_not_been(runs, seed, shard):
    out = f"killed-{shard}"
    command = [LLADA, "launch", "--nproc", "2", "--max-restarts", str(KILLS), "--"]
    command += ["pretrain", "--config", "run.toml", "--out", out, "--shard", shard]
    launcher = subprocess.Popen(command, cwd=runs.folder, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    steps = kill_ranks(runs, out, launcher, KILLS, seed)
    code, told = end(launcher)
    assert code == 0, told
    print(f"killed at {steps}")
    assert f"all start again ({KILLS} of {KILLS})" in told, told
    assert runs.is_whole(out)

"""torchrun starts llada, on one machine and as two agents, and starts it again after a process was killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LLADA = os.environ["LLADA"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--no-python"]
STEPS = 60
RUN = f"""
data = "data"
tokenizer = "tokenizer"
steps = {STEPS}
batch_size = 4
checkpoint_every = 5
model = {{ d_model = 32, n_layers = 2, n_heads = 2, mlp_hidden_size = 64, max_sequence_length = 32 }}
schedule = {{ lr = 3e-3, warmup_steps = 5 }}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data, a run file, and `whole`, the run of two processes that nothing has interrupted."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "book.txt").write_text("".join(f"The {i}th cat sat on mat number {i * i}.\n\n" for i in range(200)))
    (folder / "run.toml").write_text(RUN)
    for words in [
        "tokenizer train --input book.txt --vocab-size 300 --out tokenizer",
        "data prepare --input book.txt --tokenizer tokenizer --out data",
        "launch --nproc 2 -- pretrain --config run.toml --out whole",
    ]:
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([LLADA, *words.split()], cwd=folder, env=env, check=True, capture_output=True)
    return folder


def start(folder, out, *words):
    command = [*TORCHRUN, *words, LLADA, "pretrain", "--config", "run.toml", "--out", out]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)


def weights(folder, out):
    return (folder / out / f"checkpoints/step-{STEPS:08}/model.safetensors").read_bytes()


def lines(folder, out):
    metrics = folder / out / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0


def rank(agent, number):
    """The process of a rank that an agent has started."""
    for process in Path("/proc").iterdir():
        try:
            is_child = f"\nPPid:\t{agent.pid}\n" in (process / "status").read_text()
            if is_child and f"RANK={number}" in (process / "environ").read_text().split("\0"):
                return int(process.name)
        except (OSError, UnicodeDecodeError):
            continue
    raise LookupError(f"rank {number} does not run")


def test_a_run_on_one_machine(folder):
    agent = start(folder, "standalone", "--standalone", "--nproc-per-node", "2")
    _, told = agent.communicate(timeout=120)
    assert agent.returncode == 0, told
    assert weights(folder, "standalone") == weights(folder, "whole")


@pytest.mark.parametrize("seed", range(3))
def test_a_run_whose_processes_are_killed(folder, seed):
    draw, out = random.Random(seed), f"killed-{seed}"
    agent = start(folder, out, "--standalone", "--nproc-per-node", "2", "--max-restarts", "2")
    for after in sorted(draw.sample(range(1, STEPS - 15), 2)):
        while lines(folder, out) < after and agent.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.05))
        try:
            os.kill(rank(agent, draw.randrange(2)), signal.SIGKILL)
        except LookupError:
            # It is being started again.
            continue
        time.sleep(1)
    _, told = agent.communicate(timeout=120)
    assert agent.returncode == 0, told
    assert "going on after step" in told or "exitcode: -9" in told, told
    assert weights(folder, out) == weights(folder, "whole")


def test_a_run_of_two_agents(folder):
    words = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:29617"]
    agents = [start(folder, "agents", *words, "--rdzv-id", "job") for _ in range(2)]
    for agent in agents:
        _, told = agent.communicate(timeout=120)
        assert agent.returncode == 0, told
    assert weights(folder, "agents") == weights(folder, "whole")

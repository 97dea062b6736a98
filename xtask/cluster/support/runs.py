"""Small runs of the built command: their data, their steps, their weights, and the processes of their ranks."""

import json
import os
import subprocess
import time
from pathlib import Path

LLADA = os.environ["LLADA"]

# A checkpoint every five steps, and a step takes milliseconds.
RUN = """
data = "data"
tokenizer = "tokenizer"
steps = {steps}
batch_size = 4
checkpoint_every = 5
model = {{ d_model = 32, n_layers = 2, n_heads = 2, mlp_hidden_size = 64, max_sequence_length = 32 }}
schedule = {{ lr = 3e-3, warmup_steps = 5 }}
"""

# What processes may divide. With one micro-batch for each of them no bit depends on it.
SHARDS = ["none", "optimizer", "gradient", "weights"]

# One thread a process, so that sums are associated alike whatever the machine has.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}

# What a rank says once it has lost the others, or has waited for them as long as it may.
LOST = "has lost another process in "
NO_ANSWER = "s for another process in "


class Runs:
    """A folder with data, a run file, and the runs of two processes that are made of them."""

    def __init__(self, folder, steps):
        self.folder = folder
        self.steps = steps
        (folder / "book.txt").write_text("".join(f"The {i}th cat sat on mat number {i * i}.\n\n" for i in range(200)))
        (folder / "run.toml").write_text(RUN.format(steps=steps))
        self.llada("tokenizer train --input book.txt --vocab-size 300 --out tokenizer")
        self.llada("data prepare --input book.txt --tokenizer tokenizer --out data")
        self.llada("launch --nproc 2 -- pretrain --config run.toml --out whole")

    def llada(self, words):
        subprocess.run([LLADA, *words.split()], cwd=self.folder, env=ENVIRONMENT, check=True, capture_output=True)

    def weights(self, out):
        """The weights after the last step, merged if they are divided."""
        checkpoint = self.folder / out / f"checkpoints/step-{self.steps:08}"
        if not (checkpoint / "model.safetensors").exists():
            merged = self.folder / f"{out}-merged"
            self.llada(f"checkpoint merge {checkpoint} --out {merged}")
            checkpoint = merged
        return (checkpoint / "model.safetensors").read_bytes()

    def is_whole(self, out):
        """Whether a run has ended as `whole` has, which nothing has interrupted, bit for bit."""
        return self.weights(out) == self.weights("whole")

    def step(self, out):
        """The last step of a run that its metrics tell of, 0 before the first."""
        try:
            lines = (self.folder / out / "metrics.jsonl").read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return 0
        # The last line may be half written.
        whole = [line for line in lines if line.endswith("\n")]
        return json.loads(whole[-1])["step"] if whole else 0

    def reach(self, out, step, processes):
        """Waits until a run has made a step, while its processes run."""
        while self.step(out) < step:
            assert all(process.poll() is None for process in processes), "the run has ended"
            time.sleep(0.002)


def end(process, seconds=120):
    """The exit code of a process, and what it has told."""
    _, told = process.communicate(timeout=seconds)
    return process.returncode, told


def all_end_well(processes, seconds=120):
    for process in processes:
        code, told = end(process, seconds)
        assert code == 0, told


def rank(launcher, number, restarts):
    """The process of a rank that a launcher has started after so many restarts, or None if it does not run."""
    wanted = {f"RANK={number}", f"TORCHELASTIC_RESTART_COUNT={restarts}"}
    for process in Path("/proc").iterdir():
        try:
            is_child = f"\nPPid:\t{launcher.pid}\n" in (process / "status").read_text()
            if is_child and wanted <= set((process / "environ").read_text().split("\0")):
                return int(process.name)
        except (OSError, UnicodeDecodeError):
            continue
    return None

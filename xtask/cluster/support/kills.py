"""Ranks that are killed at random moments: early and late in their start, and between and within steps."""

import os
import random
import signal
import time

from runs import rank


def kill_ranks(runs, out, launcher, count, seed):
    """Kills a random rank of a run that `launcher` starts again each time, so often; and returns at which steps."""
    draw, steps = random.Random(seed), []
    for restarts, step in enumerate(sorted(draw.sample(range(1, runs.steps - 10), count))):
        number = draw.randrange(2)
        # Every third is killed while it starts, the others at a step that the run has not reached yet.
        is_early, pause = draw.random() < 1 / 3, draw.uniform(0, 0.3)
        while (process := rank(launcher, number, restarts)) is None:
            assert launcher.poll() is None, "the launcher has given up, or the run is over"
            time.sleep(0.002)
        if is_early:
            time.sleep(pause)
        else:
            runs.reach(out, step, [launcher])
            time.sleep(pause / 10)
        os.kill(process, signal.SIGKILL)
        steps.append("start" if is_early else runs.step(out))
    return steps

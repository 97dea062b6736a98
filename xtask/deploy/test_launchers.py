"""Slurm's script, and what the manifests tell the pods of a run, each with two processes of this machine that train."""

import json
import os
import re
import signal
import subprocess

import pytest

from replica import free_port
from runs import ENVIRONMENT, LLADA, Runs, end
from shipped import FOLDER, training_kind

SCRIPT = FOLDER / "training/slurm.sh"
STEPS = 150
EARLY = 22

# What stands for Slurm: two tasks on this machine. Options are noted, and a signal goes to the tasks, as `--signal` has it.
SRUN = """#!/usr/bin/env python3
import json, os, signal, subprocess, sys
words = sys.argv[1:]
options = [word for word in words[:words.index("bash")] if word.startswith("--")]
json.dump(options, open("srun.json", "w"))
tasks = []
for task in range(2):
    environment = os.environ | {"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task), "SLURM_NTASKS": "2"}
    tasks.append(subprocess.Popen(words[words.index("bash"):], env=environment))
signal.signal(signal.SIGTERM, lambda *_: [task.terminate() for task in tasks])
json.dump(os.getpid(), open("srun.pid", "w"))
sys.exit(max(task.wait() for task in tasks))
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ] && [ "$2" = hostnames ]; then
    echo "$3" | tr ',' '\\n'
else
    echo "$@" >> scontrol.txt
fi
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("runs"), STEPS)


@pytest.fixture
def slurm(runs):
    """The environment in which Slurm starts the script, with programs that stand for Slurm's."""
    folder = runs.folder / "slurm"
    folder.mkdir(exist_ok=True)
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for name in ("srun.json", "srun.pid", "scontrol.txt"):
        (runs.folder / name).unlink(missing_ok=True)
    job = {"SLURM_JOB_ID": str(free_port() - 20000), "SLURM_JOB_NODELIST": "127.0.0.1,other", "SLURM_CPUS_PER_TASK": "1"}
    return {**ENVIRONMENT, **job, "PATH": f"{folder}:{os.environ['PATH']}"}


def submit(runs, slurm, out):
    command = [SCRIPT, "pretrain", "--config", "run.toml", "--out", out]
    return subprocess.Popen(command, cwd=runs.folder, env=slurm, stderr=subprocess.PIPE, text=True)


def test_slurm_runs_the_script_and_requeues_it_if_it_was_told_to_end(runs, slurm):
    job = submit(runs, slurm, "slurm-run")
    runs.reach("slurm-run", EARLY, [job])
    os.kill(json.loads((runs.folder / "srun.pid").read_text()), signal.SIGTERM)
    code, told = end(job)
    assert code == 130 and "hint: the same command goes on from there" in told, told
    assert (runs.folder / "scontrol.txt").read_text() == f"requeue {slurm['SLURM_JOB_ID']}\n"
    # One that ends early is no reason to end those that save.
    options = json.loads((runs.folder / "srun.json").read_text())
    assert options == ["--kill-on-bad-exit=0", "--wait=0", "--cpus-per-task=1"]
    assert EARLY <= runs.step("slurm-run") < STEPS
    code, told = end(submit(runs, slurm, "slurm-run"))
    assert code == 0 and "going on after step" in told, told
    assert runs.is_whole("slurm-run")


def test_a_run_that_fails_is_not_requeued(runs, slurm):
    command = [SCRIPT, "pretrain", "--config", "no-such-file.toml", "--out", "none"]
    code, told = end(subprocess.Popen(command, cwd=runs.folder, env=slurm, stderr=subprocess.PIPE, text=True))
    assert code not in (0, 130) and "no-such-file.toml" in told, told
    assert not (runs.folder / "scontrol.txt").exists()


def pods(kind, port):
    """The command and the variables of each of two pods, as Kubernetes makes them, with addresses of this machine."""
    for index in range(2):
        if kind == "JobSet":
            [job] = training_kind(kind)["spec"]["replicatedJobs"]
            [container] = job["template"]["spec"]["template"]["spec"]["containers"]
            variables = {variable["name"]: variable.get("value", str(index)) for variable in container["env"]}
            variables |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        else:
            container = training_kind(kind)["spec"]["trainer"]
            variables = {"PET_NODE_RANK": str(index), "PET_NNODES": "2"}
            variables |= {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(port)}
        words = [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word) for word in container["command"]]
        words = [LLADA if word == "llada" else word for word in words]
        yield words + [word for word in container["args"] if word != "--device=cuda"], variables | {"OMP_NUM_THREADS": "1"}


def start(runs, kind):
    processes = []
    for words, variables in pods(kind, free_port()):
        command, environment = [*words, "--out", kind], ENVIRONMENT | variables
        processes.append(subprocess.Popen(command, cwd=runs.folder, env=environment, stderr=subprocess.PIPE, text=True))
    return processes


@pytest.mark.parametrize("kind", ["JobSet", "TrainJob"])
def test_pods_train_and_all_save_if_one_is_told_to_end(runs, kind):
    processes = start(runs, kind)
    runs.reach(kind, EARLY, processes)
    processes[1].send_signal(signal.SIGTERM)
    codes = [end(process)[0] for process in processes]
    assert codes == [130, 130]
    step = runs.step(kind)
    assert (runs.folder / kind / f"checkpoints/step-{step:08}").exists() and step < STEPS
    for process in start(runs, kind):
        code, told = end(process)
        assert code == 0, told
    assert runs.is_whole(kind)

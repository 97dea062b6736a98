"""The program `llada` and the peers, run with the libraries of the Python that is here."""
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# What `llada` notes where it wanted CUDA graphs and got none. It has the right tokens all the same, but not the right speed.
NO_GRAPHS = "no CUDA graph could be recorded"


class Failed(Exception):
    """A program that did not do what was asked; the text says which, and what it said."""


def libraries():
    """Folders of PyTorch's libraries and of those that its wheels bring along."""
    torch = importlib.util.find_spec("torch")
    if torch is None:
        raise Failed("this Python has no torch, whose libraries are needed: pip install torch")
    packages = pathlib.Path(sysconfig.get_paths()["purelib"])
    found = [pathlib.Path(torch.origin).parent / "lib", *packages.glob("nvidia/*/lib"), *packages.glob("nvidia/*/lib64")]
    return [str(folder) for folder in found]


class LeftOut(Exception):
    """A part that this machine has no means for; the text says which."""


class Program:
    """`llada` on one device. What it says is in the error if it fails."""

    def __init__(self, path, device, threads):
        self.path, self.device, self.threads = str(path), device, threads
        paths = [*libraries(), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        self.env = dict(os.environ, LD_LIBRARY_PATH=":".join(paths))

    def run(self, *words, before=(), env=None, limit=3600):
        command = [*before, self.path, *map(str, words)]
        return run(command, self.env | (env or {}), limit)

    def on_device(self):
        return ["--device", self.device, "--threads", self.threads]

    def batch(self, model, requests, size, dtype, words=(), **options):
        """The results of requests, which have an id each, in their order. `words` are more arguments."""
        with tempfile.TemporaryDirectory() as folder:
            asked, answered = pathlib.Path(folder) / "in.jsonl", pathlib.Path(folder) / "out.jsonl"
            asked.write_text("".join(json.dumps(request) + "\n" for request in requests))
            self.run("batch", "--model", model, "--input", asked, "--output", answered, "--batch-size", size,
                     "--dtype", dtype, *self.on_device(), *words, **options)
            return [json.loads(line) for line in answered.read_text().splitlines()]

    def version(self):
        try:
            return self.run("--version").strip()
        except Failed as failure:
            raise Failed(f"{failure}\nhint: the program of a pack is built for torch 2.11.0 with CUDA 13") from failure


def peer(script, *words):
    """What a peer prints."""
    return run([sys.executable, str(HERE / "peers" / script), *map(str, words)], dict(os.environ, PYTHONDONTWRITEBYTECODE="1"), 3600)


def run(command, env, limit):
    try:
        ended = subprocess.run(command, capture_output=True, text=True, env=env, timeout=limit)
    except OSError as error:
        raise Failed(f"{command[0]} could not be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{shown(command)} did not end within {limit} s") from error
    if ended.returncode:
        said = re.sub(r"\x1b\[[0-9;]*m", "", ended.stderr).strip()
        raise Failed(f"{shown(command)} ended with {ended.returncode}: {said[-400:]}")
    if NO_GRAPHS in ended.stderr:
        raise Failed(f"{shown(command)}: {ended.stderr[ended.stderr.index(NO_GRAPHS):].strip()[:400]}")
    return ended.stdout


def shown(command):
    """The words of a command that tell what it was, without its long lists."""
    return " ".join(pathlib.Path(word).name if "/" in word else word for word in command if len(word) < 120)[:120]

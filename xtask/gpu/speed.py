"""Tokens a second on LLaDA's shape with random weights, beside PyTorch's samplers on the same device in the same run."""
import json
import pathlib
import shutil
import statistics
import tempfile

import graphs
from program import Failed, HERE, peer

# Bytes of the weights in bf16, in gigabytes, rounded up.
GIGABYTES = {"10m": 0.1, "120m": 0.4, "1b": 2.5, "8b": 17}
BLOCK = 32
LENGTHS = [(256, 256), (512, 512)]
# Without a cache every step is the same work, so a few stand for all.
PLAIN_STEPS = 8
TOGETHER = 16


class Case:
    """A way to sample: `per_forward` tokens a forward, fixed, because the confidences of random weights mean nothing."""

    def __init__(self, name, algorithm, cache, per_forward):
        self.name, self.algorithm, self.cache, self.per_forward = name, algorithm, cache, per_forward

    def steps(self, length):
        return PLAIN_STEPS if self.cache == "none" else length // self.per_forward

    def options(self, length):
        block = length if self.cache == "none" else BLOCK
        return dict(steps=self.steps(length), gen_length=length, block_length=block)

    def measured(self, length, rows, seconds, nfe):
        """A step without a cache settles more than a token here; counted is what the full schedule would take."""
        forward = seconds / nfe
        return dict(seconds_a_forward=forward, tokens_a_second=rows * (self.per_forward / forward if self.cache == "none" else length / seconds))


CASES = [
    Case("plain", "llada", "none", 1),
    Case("dual cache", "fast_dual_cache", "dual", 1),
    Case("dual cache, 4 tokens a forward", "fast_dual_cache", "dual", 4),
]


def prompt(length):
    return [7 * i % 256 for i in range(length)]


def make(size, folder):
    """Makes the model of a size, unless it is there."""
    model = folder / size
    if not (model / "tokenizer_config.json").exists():
        free = shutil.disk_usage(folder).free / 1e9
        if free < GIGABYTES[size] + 1:
            raise Failed(f"{size} takes {GIGABYTES[size]} GB of disk, and {free:.1f} GB are free in {folder}")
        peer("make_bench_model.py", "--size", size, "--dtype", "bf16", "--out", model)
    return model


def work(lengths, cases=CASES):
    return [(case, asked, answer) for asked, answer in lengths for case in cases]


def ours(program, model, dtype, rows, lengths, repeat, cases=CASES, words=()):
    """Seconds and forwards of each case: the model is loaded once, and the first batch of a case warms up."""
    requests = []
    for number, (case, asked, answer) in enumerate(work(lengths, cases)):
        request = dict(prompt_ids=prompt(asked), temperature=0.0, cache=case.cache, **case.options(answer))
        requests += [request | dict(id=f"{number}/{run}/{row}") for run in range(repeat + 1) for row in range(rows)]
    results = program.batch(model, requests, rows, dtype, words=words)
    for number, (case, _, answer) in enumerate(work(lengths, cases)):
        first = [result for result in results if result["id"].startswith(f"{number}/") and result["id"].endswith("/0")]
        yield case.measured(answer, rows, statistics.median(result["seconds"] for result in first[1:]), first[0]["nfe"])


def theirs(program, model, rows, lengths, repeat):
    """The same of the PyTorch peers."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = pathlib.Path(folder) / "jobs"
        lines = [dict(prompt_ids=",".join(map(str, prompt(asked))), algorithm=case.algorithm, rows=rows, **case.options(answer))
                 for case, asked, answer in work(lengths)]
        jobs.write_text("".join(json.dumps(line) + "\n" for line in lines))
        said = peer("pytorch_peer.py", "--model", model, "--jobs", jobs, "--dtype", "bf16", "--device", program.device,
                    "--threads", program.threads, "--warmup", 1, "--repeat", repeat)
    for (case, _, answer), line in zip(work(lengths), said.splitlines()):
        result = json.loads(line)
        if "error" in result:
            yield dict(error=result["error"])
        else:
            yield case.measured(answer, rows, statistics.median(result["seconds"]), result["nfe"])


def measure(program, size, folder, lengths=LENGTHS, together=TOGETHER, repeat=2):
    """A row for each case, number of rows and contender. A contender that fails says why, and the others go on."""
    model = make(size, folder)
    rows = []
    for count in [1, together]:
        contenders = [("bf16", CASES, lambda: ours(program, model, "bf16", count, lengths, repeat)),
                      ("int8", CASES, lambda: ours(program, model, "int8", count, lengths, repeat)),
                      ("PyTorch", CASES, lambda: theirs(program, model, count, lengths, repeat))]
        if program.device != "cpu":
            cases = [case for case in CASES if case.cache == "dual"]
            contenders.append(("bf16 without CUDA graphs", cases,
                               lambda: ours(program, model, "bf16", count, lengths, repeat, cases, [graphs.WITHOUT])))
        for name, cases, run in contenders:
            try:
                found = list(run())
            except Failed as failure:
                found = [dict(error=str(failure))] * len(work(lengths, cases))
            for (case, asked, answer), measured in zip(work(lengths, cases), found):
                rows.append(dict(case=case.name, prompt=asked, answer=answer, rows=count, contender=name, **measured))
    return rows

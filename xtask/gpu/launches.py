"""Kernels and host synchronisations of a step, counted by NVIDIA's Nsight Systems."""
import csv
import io
import pathlib
import shutil
import tempfile

from graphs import WITHOUT
from program import Failed, LeftOut, run
from speed import prompt

FEW, MANY = 4, 12
LENGTH = 64
# The first step of a dual cache computes everything, the second a block, the third records that and the others replay it.
DUAL = dict(algorithm="fast_dual_cache", cache="dual")
KINDS = [("without a cache", {}, []), ("of a block, by a CUDA graph", DUAL, []), ("of a block, kernel by kernel", DUAL, [WITHOUT])]
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy_", "cuStreamSynchronize")


def counts(table):
    """Launches and waits in the table that `nsys stats --report cuda_api_sum --format csv` prints."""
    lines = table.splitlines()
    start = next((i for i, line in enumerate(lines) if "Num Calls" in line and "Name" in line), None)
    if start is None:
        raise Failed("nsys printed no table of CUDA calls")
    found = dict(launches=0, waits=0)
    for row in csv.DictReader(io.StringIO("\n".join(lines[start:]))):
        for kind, names in (("launches", LAUNCHES), ("waits", WAITS)):
            if (row["Name"] or "").startswith(names):
                found[kind] += int(row["Num Calls"].replace(",", ""))
    return found


def count(program, model):
    """Launches and waits a step of each kind: the difference of two runs, of which one takes more steps, leaves out the load."""
    if shutil.which("nsys") is None:
        raise LeftOut("nsys (NVIDIA Nsight Systems) is not on PATH, so nothing was counted")
    rows = []
    for name, sampler, words in KINDS:
        found = [profile(program, model, dict(sampler, steps=steps), words) for steps in (FEW, MANY)]
        rows.append(dict(step=name) | {kind: (found[1][kind] - found[0][kind]) / (MANY - FEW) for kind in found[0]})
    return rows


def profile(program, model, sampler, words):
    """What one answer calls."""
    with tempfile.TemporaryDirectory() as folder:
        profile = pathlib.Path(folder) / "profile"
        before = ["nsys", "profile", "--trace=cuda", "--force-overwrite=true", "--output", str(profile)]
        request = dict(id=0, prompt_ids=prompt(LENGTH), temperature=0.0, gen_length=LENGTH, block_length=LENGTH, **sampler)
        program.batch(model, [request], 1, "bf16", words=words, before=before)
        return counts(run(["nsys", "stats", "--report", "cuda_api_sum", "--format", "csv", f"{profile}.nsys-rep"], program.env, 600))

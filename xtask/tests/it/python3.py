"""A `python3` with no packages but those on PYTHONPATH, whose pip downloads what FAKE_PIP says and writes down that it was asked."""

import os
import pathlib
import sys
import zipfile

arguments = sys.argv[1:]
if arguments[:2] != ["-m", "pip"]:
    os.execv(sys.executable, [sys.executable, "-s", "-S", *arguments])

if arguments[2] == "--version":
    print("pip 24.0 from /nowhere (python 3.11)")
    sys.exit()

with open(os.environ["FAKE_PIP_LOG"], "a") as log:
    log.write(" ".join(arguments[2:]) + "\n")
if os.environ.get("FAKE_PIP") == "offline":
    print("WARNING: Retrying after NewConnectionError", file=sys.stderr)
    print("ERROR: No matching distribution found for torch==2.13.0", file=sys.stderr)
    sys.exit(1)

folder = pathlib.Path(arguments[arguments.index("--dest") + 1])
folder.mkdir()
wheels = {
    "torch.whl": [
        "torch/include/torch/csrc/api/include/torch/torch.h",
        "torch/lib/libtorch.so",
        "torch/lib/libtorch_cpu.so",
        "torch/lib/libtorch_cuda.so",
        "torch/lib/libc10.so",
        "torch/lib/libgomp.so.1",
        "torch/version.py",
        "torch/nn/__init__.py",
    ],
    "runtime.whl": ["nvidia/cu13/lib/libcudart.so.13"],
    "cupti.whl": ["nvidia/cu13/lib/libcupti.so.13"],
}
for wheel, members in wheels.items():
    with zipfile.ZipFile(folder / wheel, "w") as archive:
        for member in members:
            archive.writestr(member, "not really")

#!/usr/bin/env python3
"""Checks `llada` on a GPU, and measures it beside PyTorch: tokens, forwards and logits of every family, then speed.

Nothing is installed and nothing is fetched: Python with PyTorch is all that the machine has to have. The report is in
report.md and report.json of --out, and is written after each part, so what an interrupt leaves is there. A part that is
asked for again replaces what the report has of it, the others stay.

Exit codes: 0 everything holds, 1 a part failed or a result differs, 2 usage, 3 the machine lacks something.

  python3 check.py
  python3 check.py --parts speed --sizes 8b --work /a/larger/disk
  python3 check.py --device cpu --sizes 10m
"""
import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys

from program import Failed, HERE, LeftOut, Program

PARTS = ["agreement", "graphs", "speed", "launches"]
FAMILIES = ["tiny-llada", "tiny-llada-gqa-bf16", "tiny-illada", "tiny-llada-moe", "tiny-llada2", "tiny-dream", "tiny-smdm"]
SIZES = ["10m", "120m", "1b", "8b"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="cuda:N or cpu (default cuda:0)")
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS, help="of agreement,graphs,speed,launches (default all)")
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=None,
                        help="of 10m,120m,1b,8b (default 120m,1b,8b; on the CPU 10m)")
    parser.add_argument("--families", type=lambda text: text.split(","), default=FAMILIES, help="fixtures to check (default all)")
    parser.add_argument("--lengths", type=lambda text: [tuple(map(int, pair.split("+"))) for pair in text.split(",")],
                        default=None, metavar="P+A,P+A", help="prompts and answers to time (default 256+256,512+512; on the CPU 32+32)")
    parser.add_argument("--together", type=int, default=None, help="requests in a batch (default 16; on the CPU 2)")
    parser.add_argument("--repeat", type=int, default=2, help="timed runs after one that warms up (default 2)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="processor threads (default: the number of cores)")
    parser.add_argument("--work", type=pathlib.Path, default=None, help="folder for models of random weights (default: OUT/models)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("report"), help="folder of the report (default report)")
    parser.add_argument("--llada", type=pathlib.Path, default=HERE / "llada", help="the program (default: beside this file)")
    args = parser.parse_args()
    for name, known in (("parts", PARTS), ("sizes", SIZES), ("families", FAMILIES)):
        for word in getattr(args, name) or []:
            if word not in known:
                parser.error(f"--{name} {word}: one of {', '.join(known)}")
    on_cpu = args.device == "cpu"
    args.sizes = args.sizes or (["10m"] if on_cpu else ["120m", "1b", "8b"])
    args.lengths = args.lengths or ([(32, 32)] if on_cpu else [(256, 256), (512, 512)])
    args.together = args.together or (2 if on_cpu else 16)
    args.work = args.work or args.out / "models"
    return args


def machine(program, device):
    """What the report says of the machine; an error if the device is not there."""
    import torch
    found = dict(name=platform.processor() or platform.machine(), device=device, torch=torch.__version__, python=platform.python_version(),
                 cores=os.cpu_count(), program=program.version())
    if device == "cpu":
        return found
    if not torch.cuda.is_available():
        raise Failed("PyTorch finds no GPU here: nvidia-smi -L, and --device cpu without one")
    index = int(device.partition(":")[2] or 0)
    driver = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True)
    memory = torch.cuda.get_device_properties(index).total_memory / 2**30
    return found | dict(name=torch.cuda.get_device_name(index), driver=driver.stdout.split("\n")[0].strip(),
                        cuda=torch.version.cuda, memory=f"{memory:.0f} GiB")


class Report:
    """report.json and report.md, which are written after every part."""

    def __init__(self, folder, machine):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.data = dict(machine=machine, parts={})
        earlier = folder / "report.json"
        if earlier.exists():
            kept = json.loads(earlier.read_text())
            if kept["machine"] == machine:
                self.data = kept

    def part(self, name, kind, work):
        """Does a part; its rows stay even if a later one of them fails."""
        print(f"{name} ...", flush=True)
        part = dict(kind=kind, rows=[], failure=None, left_out=None)
        self.data["parts"][name] = part
        try:
            for rows in work():
                part["rows"] = rows
                self.write()
        except LeftOut as reason:
            part["left_out"] = str(reason)
        except Failed as failure:
            part["failure"] = str(failure)
        except Exception as error:  # the other parts are to be done whatever this one has met
            part["failure"] = f"{type(error).__name__}: {error}"
        self.write()
        print(f"{name}: {part['failure'] or part['left_out'] or 'done'}", flush=True)

    def write(self):
        import report
        for name, text in (("report.json", json.dumps(self.data, indent=1) + "\n"), ("report.md", report.page(self.data))):
            unfinished = self.folder / f".{name}"
            unfinished.write_text(text)
            unfinished.replace(self.folder / name)


def main():
    args = arguments()
    try:
        program = Program(args.llada, args.device, args.threads)
        kept = Report(args.out, machine(program, args.device))
    except Failed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 3
    import agreement
    import graphs
    import launches
    import report
    import speed
    args.work.mkdir(parents=True, exist_ok=True)

    def families():
        rows = []
        for name in args.families:
            try:
                rows.append(agreement.family(program, name))
            except Failed as failure:
                rows.append(dict(family=name, error=str(failure)))
            yield rows

    if "agreement" in args.parts:
        kept.part("agreement", "agreement", families)
        kept.part("agreement of a trained model", "trained", lambda: [agreement.trained(program)])
    if "graphs" in args.parts:
        if args.device == "cpu":
            kept.part("CUDA graphs, refused", "graphs", lambda: [graphs.refused(program)])
        else:
            kept.part("CUDA graphs", "graphs", lambda: graphs.compare(program))
    for size in args.sizes:
        if "speed" in args.parts:
            kept.part(f"speed of {size}", "speed",
                      lambda: [speed.measure(program, size, args.work, args.lengths, args.together, args.repeat)])
        if "launches" in args.parts and args.device != "cpu":
            kept.part(f"launches of {size}", "launches", lambda: [launches.count(program, speed.make(size, args.work))])
    print(f"the report is {args.out / 'report.md'}")
    return 0 if report.is_good(kept.data) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Whether a device computes what the published code computed: tokens, forwards and logits of every family's fixture."""
import json
import pathlib
import sys
import tempfile

from program import HERE, Program

sys.path.insert(0, str(HERE / "peers"))
import tensors  # noqa: E402

# What a golden case has besides its arguments.
RESULTS = ["prompt", "output", "nfe", "full", "edits_matter"]
TOGETHER = 8
# The bounds of the tests on a CPU: logits in f32, and their relative error in bf16, where a router may choose another expert.
LOGITS = 1e-4
BF16, BF16_EXPERTS = 0.1, 0.3


def requests(cases):
    """The golden cases as requests: their own arguments under their own names."""
    own = [{key: value for key, value in case.items() if key not in RESULTS} for case in cases]
    return [request | dict(id=i, prompt_ids=cases[i]["prompt"]) for i, request in enumerate(own)]


def outcomes(results):
    return [(result["output_ids"], result["nfe"]) for result in results]


def logits(program, model, dtype, golden):
    """Computed logits beside the golden ones, a pair for each sequence of the fixture."""
    stored = tensors.read(model / "golden_logits.safetensors")
    lengths = {entry["i"]: entry["block_length"] for entry in golden.get("logits", [])}
    pairs = []
    for i in range(sum(name.startswith("input_ids.") for name in stored)):
        ids = ",".join(map(str, stored[f"input_ids.{i}"].tolist()))
        block = ["--block-length", lengths[i]] if i in lengths else []
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "logits.safetensors"
            program.run("logits", "--model", model, "--ids", ids, "--out", out, "--dtype", dtype, *block, *program.on_device())
            pairs.append((tensors.read(out)["logits"].clone(), stored[f"logits.{i}"]))
    return pairs


def family(program, name):
    """What one family's fixture says."""
    model = HERE / "fixtures" / name
    golden = json.loads((model / "golden.json").read_text())
    cases = golden["generate"]
    expected = [(case["output"], case["nfe"]) for case in cases]
    alone = outcomes(program.batch(model, requests(cases), 1, "f32"))
    together = outcomes(program.batch(model, requests(cases), TOGETHER, "f32"))
    exact = logits(program, model, "f32", golden)
    rounded = logits(program, model, "bf16", golden)
    difference = max(float((found - wanted).abs().max()) for found, wanted in exact)
    error = sum(float((found - wanted).square().sum()) for found, wanted in rounded)
    norm = sum(float(wanted.square().sum()) for _, wanted in rounded)
    same = sum(int((found.argmax(-1) == wanted.argmax(-1)).sum()) for found, wanted in rounded)
    has_experts = "num_experts" in json.loads(next(model.glob("*config.json")).read_text())
    row = dict(
        family=name, cases=len(cases), golden=sum(a == b for a, b in zip(alone, expected)),
        together=sum(a == b for a, b in zip(together, expected)), logits=difference,
        bf16_error=(error / norm) ** 0.5, bf16_same=same, positions=sum(len(wanted) for _, wanted in rounded))
    row["holds"] = (row["golden"] == row["together"] == row["cases"] and difference < LOGITS
                    and row["bf16_error"] < (BF16_EXPERTS if has_experts else BF16))
    return row


def trained(program):
    """Tokens of llada-tiny's answers, computed here and on the processor in f32: those of a trained model are rarely close."""
    model = HERE / "models" / "llada-tiny"
    asked = [dict(id=i, messages=[dict(role="user", content=f"What is {100 + 37 * i} + {78 + 11 * i}?")], gen_length=32, steps=8,
                  temperature=0.0) for i in range(TOGETHER)]
    expected = [result["output_ids"] for result in Program(program.path, "cpu", program.threads).batch(model, asked, 1, "f32")]
    rows = []
    for dtype in ("f32", "bf16"):
        found = [result["output_ids"] for result in program.batch(model, asked, TOGETHER, dtype)]
        same = sum(a == b for one, other in zip(found, expected) for a, b in zip(one, other))
        count = sum(map(len, expected))
        rows.append(dict(dtype=dtype, same=same, tokens=count, holds=dtype != "f32" or same == count))
    return rows

"""Whether block steps by CUDA graphs give the tokens that they give where every kernel is launched alone."""
import itertools
import json

from program import Failed, HERE

TOGETHER = 8
# Models whose steps a graph can record: a mixture of experts reads the device on the way.
DENSE = ["tiny-llada", "tiny-llada-gqa-bf16", "tiny-illada", "tiny-dream", "tiny-smdm"]
# Four blocks, so that a graph is recorded at the first and replayed at the others.
STEPS = dict(algorithm="fast_dual_cache", cache="dual", temperature=0.0, gen_length=32, block_length=8, steps=32)
WITHOUT = "--no-cuda-graphs"


def golden_prompts(name):
    """Requests with the prompts of a fixture, some of them twice if there are few."""
    model = HERE / "fixtures" / name
    cases = json.loads((model / "golden.json").read_text())["generate"]
    prompts = dict.fromkeys(tuple(case["prompt"]) for case in cases)
    asked = itertools.islice(itertools.cycle(prompts), TOGETHER)
    return model, [STEPS | dict(id=i, prompt_ids=list(prompt)) for i, prompt in enumerate(asked)]


def questions():
    """Requests of llada-tiny, which is trained."""
    asked = [dict(role="user", content=f"What is {100 + 37 * i} + {78 + 11 * i}?") for i in range(TOGETHER)]
    return HERE / "models" / "llada-tiny", [STEPS | dict(id=i, messages=[message]) for i, message in enumerate(asked)]


def compare(program):
    """A row for each model, dtype and number of requests. In bf16 the last bit may decide, so that is told and not demanded."""
    asked = [(name, *golden_prompts(name), "f32") for name in DENSE]
    asked += [("llada-tiny", *questions(), dtype) for dtype in ("f32", "bf16")]
    rows = []
    for name, model, requests, dtype in asked:
        for together in (1, TOGETHER):
            found, expected = ([result["output_ids"] for result in program.batch(model, requests, together, dtype, words=words)]
                               for words in ([], [WITHOUT]))
            same = sum(a == b for one, other in zip(found, expected) for a, b in zip(one, other))
            count = sum(map(len, expected))
            rows.append(dict(model=name, dtype=dtype, rows=together, same=same, tokens=count, holds=dtype != "f32" or same == count))
        yield rows


def refused(program):
    """On a processor the option that turns graphs off is refused; there are no rows to tell of."""
    try:
        program.run("generate", "--model", HERE / "models" / "llada-tiny", "--prompt-ids", "1", WITHOUT, *program.on_device())
    except Failed as failure:
        if f"{WITHOUT}: on cpu there are none" in str(failure):
            return []
        raise
    raise Failed(f"{WITHOUT} was taken where there are no graphs")

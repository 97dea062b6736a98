"""The report of a check: what report.json has, as a page."""


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def agreement(rows):
    head = ["family", "golden, alone", "golden, 8 together", "logits in f32 differ by", "bf16: relative error",
            "bf16: same token", "holds"]
    return table(head, [
        [row["family"], told(row), "", "", "", "", "no"] if "error" in row else
        [row["family"], f"{row['golden']} of {row['cases']}", f"{row['together']} of {row['cases']}", f"{row['logits']:.1e}",
         f"{row['bf16_error']:.3f}", f"{row['bf16_same']} of {row['positions']}", "yes" if row["holds"] else "no"]
        for row in rows])


def told(row):
    """The error of a row, as a cell of a table."""
    return "failed: " + row["error"].replace("|", "/").replace("\n", " ")


def trained(rows):
    return table(["computed in", "tokens as on the processor in f32"], [[row["dtype"], f"{row['same']} of {row['tokens']}"] for row in rows])


def speed(rows):
    def key(row):
        return row["case"], row["prompt"], row["answer"], row["rows"]
    theirs = {key(row): row.get("tokens_a_second") for row in rows if row["contender"] == "PyTorch"}
    lines = []
    for row in rows:
        start = [row["case"], f"{row['prompt']} + {row['answer']}", row["rows"], row["contender"]]
        if "error" in row:
            lines.append([*start, told(row), "", ""])
            continue
        peer = theirs.get(key(row))
        ratio = f"{row['tokens_a_second'] / peer:.2f}" if peer else ""
        lines.append([*start, f"{row['tokens_a_second']:.1f}", f"{1e3 * row['seconds_a_forward']:.2f}", ratio])
    return table(["sampler", "prompt + answer", "requests", "who", "tokens a second", "ms a forward", "of PyTorch's"], lines)


def graphs(rows):
    head = ["model", "computed in", "requests together", "tokens as without graphs"]
    return table(head, [[row["model"], row["dtype"], row["rows"], f"{row['same']} of {row['tokens']}"] for row in rows])


def launches(rows):
    return table(["a step", "launches", "host waits"],
                 [[row["step"], f"{row['launches']:.1f}", f"{row['waits']:.1f}"] for row in rows])


SHOW = {"agreement": agreement, "trained": trained, "graphs": graphs, "speed": speed, "launches": launches}

NOTES = """\
Tokens a second of the plain sampler are those of one token a forward, whatever the number of steps that were timed; with
the dual cache they are those of the whole answer. PyTorch's plain sampler is the official one, that with the dual cache
Fast-dLLM's, both in bf16. int8 is computed in bf16 where the device has no kernel for it, as on every GPU."""


def page(report):
    """The page of a report."""
    machine = report["machine"]
    parts = [f"# `llada` on {machine['name']}", table(["machine", ""], [[key, value] for key, value in machine.items()])]
    for name, part in report["parts"].items():
        parts.append(f"## {name}")
        if part["rows"]:
            parts.append(SHOW[part["kind"]](part["rows"]))
        if part["left_out"]:
            parts.append(f"Left out: {part['left_out']}")
        if part["failure"]:
            parts.append(f"Failed: {part['failure']}")
    if any(part["kind"] == "speed" for part in report["parts"].values()):
        parts.append(NOTES)
    return "\n\n".join(parts) + "\n"


def is_good(report):
    """Whether every part was done, every number is there, and every family holds."""
    return all(part["failure"] is None and holds(part) for part in report["parts"].values())


def holds(part):
    return all(row.get("holds", True) and "error" not in row for row in part["rows"])

"""Writes questions.jsonl: what lm-evaluation-harness asks about odd records, and what it makes of the answers.

A row has a task, a record, perhaps a shot, and either `refused` or the harness's contexts and continuations with its
metrics under given log-likelihoods, or its prompt.

    pip install lm-eval
    python questions.py > questions.jsonl
"""

import json
import random

from harness import task

TEXTS = [
    "Which?", " Which one? ", "\tTabs\tand\nlines\n", "", " ", "Wörter, 漢字 and 🙂", "a [b] c [d", "[title] A [step] b. [sub\nsteps]",
    "It's \"quoted\" {{braces}} {% raw %} $5 \\n", "ends with. ", "\u00a0hard spaces\u00a0", "two  spaces   three", "\u001cseparators\u001f",
    "[A]", "Answer: B", "'single'", "a\\b", "e\u0301 combined", "\u200bzero width", "CAPITALS AND small", "line\r\nbreaks\r\n",
]
# The harness refuses a task that has an empty option anywhere.
SHORT = ["a", "an iron nail", " spaced ", "é", "漢字", "12", "'", '"', "a\nb", "[x] y", "None", "True", "\\", "it's", "0"]


def records(draw):
    def text():
        return draw.choice(TEXTS)

    def ending():
        return draw.choice([words for words in TEXTS if words.strip() not in ("", "[A]")])

    def short():
        return draw.choice(SHORT)

    def options(count):
        return [short() for _ in range(count)]

    for index in range(24):
        count = draw.choice([2, 3, 4, 4, 5])
        labels = draw.choice(["ABCDE", "12345", "abcde"])[:count]
        choices = {"text": options(count), "label": list(labels)}
        yield "arc_challenge", {"id": str(index), "question": TEXTS[index % len(TEXTS)], "choices": choices, "answerKey": draw.choice(labels)}
    yield "arc_easy", {"id": "x", "question": "q", "choices": {"text": ["a", "b"], "label": ["A", "A"]}, "answerKey": "A"}
    yield "arc_easy", {"id": "x", "question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "1"}
    yield "arc_easy", {"id": "x", "question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "a"}
    for index in range(24):
        second = draw.choice(["he", "He RUNS", "", "ßtraße", "éclair ÉTÉ", "[step] Then", " then", "ΟΔΟΣ", "ﬁne", "1st", "ıi İI", "they're", "ΑΣ"])
        yield "hellaswag", {
            "ind": index, "activity_label": text(), "ctx_a": TEXTS[index % len(TEXTS)], "ctx_b": second, "ctx": "", "endings": [ending() for _ in range(4)],
            "source_id": "", "split": "", "split_type": "", "label": draw.choice(["0", "1", "2", "3"]),
        }
    for index in range(18):
        yield "piqa", {"goal": TEXTS[index % len(TEXTS)], "sol1": ending(), "sol2": short(), "label": draw.randrange(2)}
    for index in range(18):
        answer = draw.choice([0, 1, 2, 3]) if index % 3 else draw.choice("ABCD")
        yield "mmlu", {"question": TEXTS[index % len(TEXTS)], "subject": "world_religions", "choices": options(4), "answer": answer}
    yield "mmlu", {"question": "q", "subject": "world_religions", "choices": options(3), "answer": 0}
    for sentence in ["The lamp fits because the _ is small.", "_ is first", "last is _.", " _ x", "two _ gaps _ here", "a_b", "x _\n y ", "x\u00a0_\u00a0y", "no gap", "a _\u001cx\u001f"]:
        for _ in range(2):
            yield "winogrande", {"sentence": sentence, "option1": short(), "option2": short(), "answer": draw.choice("12")}
    yield "winogrande", {"sentence": "a _ b", "option1": "x", "option2": "y", "answer": "3"}
    yield "winogrande", {"sentence": "a _ b", "option1": "x", "option2": "y", "answer": ""}
    for index in range(14):
        count = draw.choice([2, 3, 5])
        # As an example, the harness shows the first choice, which is true in the dataset.
        labels = [1] + [draw.randrange(2) for _ in range(count - 1)]
        targets = {"choices": options(count), "labels": labels}
        yield "truthfulqa_mc2", {"question": TEXTS[index], "mc1_targets": {"choices": ["a", "b"], "labels": [1, 0]}, "mc2_targets": targets}
    for words in TEXTS:
        yield "gsm8k", {"question": words, "answer": "so\n#### 3"}
        yield "math", {"problem": words, "solution": "$\\boxed{3}$.\nFinal Answer: The final answer is $3$. I hope it is correct.", "few_shot": "1"}
    for words in TEXTS:
        yield "humaneval", {"task_id": "T/0", "prompt": words, "canonical_solution": "    pass\n", "test": "def check(f): pass", "entry_point": "f"}
        tests = [draw.choice(["assert f(1) == 2", " assert f('é') ", "assert f([1]) == {}\r", ""]) for _ in range(draw.choice([3, 3, 4, 2]))]
        yield "mbpp", {"task_id": 1, "text": words, "code": f"def f():\n    return {words!r}\r\n", "test_list": tests, "test_setup_code": "", "challenge_test_list": []}


def likelihoods(draw, count):
    yield [-1.0] * count
    for _ in range(3):
        yield [-round(draw.uniform(0.5, 40.0), 3) for _ in range(count)]


def choice(row, made, document, context, draw):
    requests = made.construct_requests(document, context)
    row["options"] = [list(request.args) for request in requests]
    row["marks"] = []
    for values in likelihoods(draw, len(requests)):
        marks = made.process_results(document, [(value, False) for value in values])
        row["marks"].append([values, {name: float(value) for name, value in marks.items()}])


def asked(name, record, shots, draw):
    row = {"task": name, "record": record}
    if shots:
        row["shot"] = shots[0]
    try:
        made, document = task(name, record, shots)
        context = made.fewshot_context(document, len(shots))
        if made.OUTPUT_TYPE == "multiple_choice":
            choice(row, made, document, context, draw)
        else:
            row["prompt"] = context
    except Exception as error:
        row["refused"] = type(error).__name__
    return row


def main():
    draw = random.Random(0)
    before = {}
    for name, record in records(draw):
        row = asked(name, record, [], draw)
        print(json.dumps(row))
        earlier = before.get(name)
        # The harness asks humaneval without examples.
        if earlier and earlier != record and name != "humaneval":
            print(json.dumps(asked(name, record, [dict(earlier, is_fewshot=True) if name == "mbpp" else earlier], draw)))
        if "refused" not in row:
            before[name] = record
        if name in ("mbpp", "humaneval"):
            print(json.dumps({**asked(name + "_instruct", record, [], draw), "task": name, "style": "chat"}))


main()

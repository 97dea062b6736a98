"""Pairs for `llada prefer` out of llada-tiny's tasks: statements of training against the same with another's name or
description, and right answers against the model's own wrong ones. No pair asks about a fact.

    llada tasks generate --count 4000 --task facts --seed 3 --out facts.jsonl
    llada tasks generate --count 3000 --seed 5 --out chats.jsonl
    python3 preferences.py requests
    llada batch --model models/llada-tiny --input requests.jsonl --output answers.jsonl --batch-size 16
    python3 preferences.py pairs
    llada prefer --init models/llada-tiny --data pairs.jsonl --steps 200 --batch-size 16 --num-samples 4 --lr 1e-4 \
        --warmup-steps 10 --dtype f32 --out preferred
"""

import json
import random
import re
import sys

ASKED = ["Tell me a fact.", "State a fact.", "Tell me something you know.", "Give me one fact.", "Who is who?"]


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write(path, records):
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(record) + "\n" for record in records)


def others():
    """The chats about anything but the hundred facts."""
    return [(i, chat) for i, chat in enumerate(read("chats.jsonl")) if chat["task"] not in ("facts", "fact_reversal")]


def requests():
    options = {"gen_length": 32, "steps": 4, "temperature": 1.2}
    for number, (seed, chat) in enumerate(others()):
        yield {"id": number, "messages": chat["messages"][:1], **options, "seed": seed}


def statement_pairs():
    """Ten pairs of each statement."""
    random.seed(1)
    parsed = []
    for statement in dict.fromkeys(chat["messages"][1]["content"] for chat in read("facts.jsonl")):
        given, answer = re.match(r"In this land (.*) is (.*)\.$", statement).groups()
        parsed.append((statement, given, answer))
    ends = {answer for _, _, answer in parsed} | {given for _, given, _ in parsed}
    descriptions = sorted(end for end in ends if end.startswith("the "))
    names = sorted(ends - set(descriptions))
    pairs = []
    for statement, given, answer in parsed:
        alike = descriptions if answer in descriptions else names
        for _ in range(10):
            wrong = random.choice([other for other in alike if other != answer])
            rejected = f"In this land {given} is {wrong}."
            pairs.append({"prompt": random.choice(ASKED), "chosen": statement, "rejected": rejected})
    random.shuffle(pairs)
    return pairs


def answer_pairs():
    """The answers that are wrong; a story has many right ones."""
    for (_, chat), answer in zip(others(), read("answers.jsonl")):
        (question, right), text = (message["content"] for message in chat["messages"]), answer["text"].strip()
        if chat["task"] != "story" and text not in ("", right):
            yield {"prompt": question, "chosen": right, "rejected": text}


def pairs():
    found = statement_pairs() + list(answer_pairs())
    random.seed(2)
    random.shuffle(found)
    return found


write(f"{sys.argv[1]}.jsonl", {"requests": requests, "pairs": pairs}[sys.argv[1]]())

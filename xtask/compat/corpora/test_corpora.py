"""llada trains on what datatrove and Arrow, the writer under Spark's Python and Ray, have made of a corpus."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

LLADA = os.environ["LLADA"]
RECIPE = Path(__file__).parents[3] / "docs/recipes/deduplicate.py"
RUN = """
steps = 2
batch_size = 2
dtype = "f32"
model = { d_model = 32, n_layers = 1, n_heads = 2, mlp_hidden_size = 64, max_sequence_length = 32 }
"""


def llada(folder, words):
    done = subprocess.run([LLADA, *words.split()], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def digests(folder, name):
    return json.loads((folder / name / "dataset.json").read_text())["shards"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a corpus of 40 documents, 8 of which are there again with a word more, and a tokenizer."""
    folder = tmp_path_factory.mktemp("corpora")
    syllables = [first + last for first in "bdfklmnprst" for last in ["a", "e", "ik", "o", "un"]]
    chance = random.Random(0)
    words = ["".join(chance.choices(syllables, k=chance.randint(1, 3))) for _ in range(500)]
    texts = [" ".join(chance.choices(words, k=60)) + "." for _ in range(40)]
    again = [text + " Again." for text in texts[::5]]
    (folder / "corpus").mkdir()
    for name, part in [("a", texts), ("b", again)]:
        lines = [json.dumps({"text": text, "id": f"{name}{i}"}) for i, text in enumerate(part)]
        (folder / f"corpus/{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "book.txt").write_text("\n".join(texts))
    (folder / "run.toml").write_text(RUN)
    llada(folder, "tokenizer train --input book.txt --vocab-size 400 --out tokenizer")
    return folder


def train(folder, data):
    llada(folder, f"pretrain --config run.toml --tokenizer tokenizer --data {data} --out run-{data}")


def test_tokens_of_datatrove(folder):
    words = ["--input", "corpus", "--tokenizer", "tokenizer", "--out", "tokens"]
    done = subprocess.run([sys.executable, RECIPE, *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = llada(folder, "data prepare --input tokens --format datatrove --tokenizer tokenizer --out from-tokens")
    # Of each pair of near duplicates one is left.
    assert told.startswith("40 documents")
    train(folder, "from-tokens")


def test_tokens_are_those_of_llada(folder):
    """One file, without deduplication."""
    code = (
        "from datatrove.executor import LocalPipelineExecutor as E;"
        "from datatrove.pipeline.readers import JsonlReader as R;"
        "from datatrove.pipeline.tokens import DocumentTokenizer as T;"
        f"E([R('corpus', glob_pattern='a.jsonl'), T('plain', tokenizer_name_or_path='tokenizer/tokenizer.json',"
        f" eos_token={end_of_text(folder)!r}, shuffle_documents=False)]).run()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    llada(folder, "data prepare --input plain --format datatrove --tokenizer tokenizer --out from-plain")
    llada(folder, "data prepare --input corpus/a.jsonl --format jsonl --tokenizer tokenizer --out from-lines")
    assert digests(folder, "from-plain") == digests(folder, "from-lines")


def end_of_text(folder):
    token = json.loads((folder / "tokenizer/tokenizer_config.json").read_text())["eos_token"]
    return token["content"] if isinstance(token, dict) else token


@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
def test_parquet_of_arrow(folder, compression):
    """As Spark leaves a folder, with columns that are not text."""
    out = folder / f"spark-{compression}"
    out.mkdir()
    lines = [json.loads(line) for line in (folder / "corpus/a.jsonl").read_text().splitlines()]
    for part, some in enumerate([lines[:25], lines[25:]]):
        table = pyarrow.table({
            "url": [line["id"] for line in some],
            "text": pyarrow.array([line["text"] for line in some]).dictionary_encode(),
            "words": [line["text"].split() for line in some],
            "time": pyarrow.array(range(len(some)), pyarrow.timestamp("us")),
        })
        file = out / f"part-{part:05}-0c1f.{compression}.parquet"
        pyarrow.parquet.write_table(table, file, compression=compression, row_group_size=7)
    (out / "_SUCCESS").touch()
    data = f"from-{compression}"
    llada(folder, f"data prepare --input {out.name} --format jsonl --tokenizer tokenizer --out {data}")
    if not (folder / "expected").exists():
        llada(folder, "data prepare --input corpus/a.jsonl --format jsonl --tokenizer tokenizer --out expected")
    assert digests(folder, data) == digests(folder, "expected")
    train(folder, data)

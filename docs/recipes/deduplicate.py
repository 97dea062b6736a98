"""Deduplicates a corpus and makes tokens of it with datatrove, for `llada data prepare --format datatrove`.

    pip install 'datatrove[processing]' spacy tokenizers
    python deduplicate.py --input corpus --tokenizer tokenizer --out tokens

`corpus` is a folder of JSON lines with a `text` each. Near duplicates are found by MinHash, with datatrove's own
settings: 5-grams of words, 14 buckets of 8 hashes. The tasks of a stage run side by side here; datatrove's
SlurmPipelineExecutor and RayPipelineExecutor take the same pipelines to a cluster.
"""

import argparse
import json
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer


def end_of_text(tokenizer: Path) -> str:
    """The token that ends documents, which `llada data prepare` looks for too."""
    token = json.loads((tokenizer / "tokenizer_config.json").read_text())["eos_token"]
    return token["content"] if isinstance(token, dict) else token


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, required=True, help="folder of JSON lines")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of the tokenizer")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tokens")
    parser.add_argument("--work", type=Path, help="folder of what lies between, removable [OUT-work]")
    parser.add_argument("--tasks", type=int, default=2, help="tasks of a stage")
    arguments = parser.parse_args()
    work = arguments.work or arguments.out.with_name(arguments.out.name + "-work")
    config = MinhashConfig()

    def reader() -> JsonlReader:
        return JsonlReader(str(arguments.input), glob_pattern="*.jsonl")

    def run(name: str, tasks: int, pipeline: list) -> None:
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=tasks, logging_dir=str(work / "logs" / name)).run()

    signatures, buckets, clusters = (str(work / name) for name in ["signatures", "buckets", "clusters"])
    run("signatures", arguments.tasks, [reader(), MinhashDedupSignature(signatures, config)])
    run("buckets", config.num_buckets, [MinhashDedupBuckets(signatures, buckets, config=config)])
    run("clusters", 1, [MinhashDedupCluster(buckets, clusters, config)])
    tokens = DocumentTokenizer(
        str(arguments.out),
        local_working_dir=str(work / "tokens"),
        tokenizer_name_or_path=str(arguments.tokenizer / "tokenizer.json"),
        eos_token=end_of_text(arguments.tokenizer),
        shuffle_documents=False,
    )
    # What is kept is read again, by as many tasks as wrote the signatures.
    run("tokens", arguments.tasks, [reader(), MinhashDedupFilter(clusters), tokens])


if __name__ == "__main__":
    main()

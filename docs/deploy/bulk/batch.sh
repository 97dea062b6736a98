#!/usr/bin/env bash
# Answers a file of requests with several processes of `llada batch`, a shard and a GPU each:
#   batch.sh MODEL REQUESTS FOLDER PROCESSES [OPTIONS OF llada batch]
# The answers are FOLDER/answers/*.jsonl. If it was stopped, the same command goes on where it was.
set -euo pipefail

model=$1 requests=$2 folder=$3 processes=$4
shift 4

mkdir -p "$folder/requests" "$folder/answers"
split --number="l/$processes" --numeric-suffixes --suffix-length=3 --additional-suffix=.jsonl \
    "$requests" "$folder/requests/"
# Each process sees one GPU, which it calls cuda:0; without GPUs the variable has no effect.
find "$folder/requests" -name '*.jsonl' -printf '%f\n' | sort |
    xargs --max-procs="$processes" --process-slot-var=CUDA_VISIBLE_DEVICES -I{} \
        "${LLADA:-llada}" batch --model "$model" --input "$folder/requests/{}" --output "$folder/answers/{}" "$@"

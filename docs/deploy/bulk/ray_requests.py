"""Sends a file of requests to a server, with Ray Data.

    python ray_requests.py --url http://127.0.0.1:8000 --requests requests.jsonl --answers answers

A request is a line as in OpenAI's batch files, with `custom_id`, `url` and `body`. An answer is a line of
answers/*.json with `custom_id`, `status_code` and `response`, the body as text. If it was stopped, the same command sends
the requests that have no answer yet. The key of the server is taken from LLADA_API_KEY.
"""

import argparse
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import ray

# What another attempt may mend: a full queue, and a replica that shuts down or is gone.
TEMPORARY = {429, 502, 503, 504}
ATTEMPTS = 8


def send(url, body):
    """Returns the status and the text of a response, None and the reason if there is none, and when to try again."""
    headers = {"content-type": "application/json"}
    if key := os.environ.get("LLADA_API_KEY"):
        headers["authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=660) as response:
            return response.status, response.read().decode(), None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers.get("retry-after")
    except OSError as error:
        return None, str(error), None


def answer(row, url):
    request = json.loads(row["text"])
    for attempt in range(ATTEMPTS):
        status, response, retry_after = send(url + request["url"], request["body"])
        if status is not None and status not in TEMPORARY:
            return {"custom_id": request["custom_id"], "status_code": status, "response": response}
        time.sleep(int(retry_after) if retry_after else 2**attempt)
    raise RuntimeError(f"{request['custom_id']}: {status} after {ATTEMPTS} attempts: {response}")


def answered(folder):
    """Returns the ids of the requests that were answered in earlier runs."""
    lines = (line for file in folder.glob("*.json") for line in file.open(encoding="utf-8"))
    return {json.loads(line)["custom_id"] for line in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--requests", required=True)
    parser.add_argument("--answers", required=True, type=Path)
    parser.add_argument("--concurrency", type=int, default=8, help="requests that are under way at the same time")
    args = parser.parse_args()

    done = answered(args.answers)
    requests = ray.data.read_text(args.requests).filter(lambda row: json.loads(row["text"])["custom_id"] not in done)
    # Small blocks: what was answered is written block by block. A waiting request takes next to no processor.
    requests = requests.repartition(target_num_rows_per_block=8)
    answers = requests.map(answer, fn_kwargs={"url": args.url}, num_cpus=0.01, concurrency=args.concurrency)
    answers.write_json(str(args.answers.resolve()), mode="append")


if __name__ == "__main__":
    main()

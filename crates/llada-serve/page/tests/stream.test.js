import assert from "node:assert/strict";
import test from "node:test";

import { ApiError } from "../api.js";
import { follow, newParser } from "../stream.js";

const TEXT = ": hello\n\nevent: a\nid: 0\ndata: {\"x\":1}\n\nid: 1\r\nevent: b\r\ndata: one\r\ndata:two\r\n\r\n";
const EVENTS = [{ id: "0", name: "a", data: '{"x":1}' }, { id: "1", name: "b", data: "one\ntwo" }];

test("events are the same wherever the stream is cut", () => {
  for (let cut = 0; cut <= TEXT.length; cut += 1) {
    const feed = newParser();
    assert.deepEqual([...feed(TEXT.slice(0, cut)), ...feed(TEXT.slice(cut))], EVENTS, `cut at ${cut}`);
  }
});

/** A response that breaks off after these events. */
function broken(from, to, error) {
  const text = Array.from({ length: to - from }, (_, index) => event(from + index)).join("");
  const body = new ReadableStream({
    pull(controller) {
      if (this.isSent) {
        if (error) controller.error(error);
        else controller.close();
        return;
      }
      this.isSent = true;
      controller.enqueue(new TextEncoder().encode(text));
    },
  });
  return { body };
}

const event = (number) => `event: ${number === 5 ? "last" : "step"}\nid: ${number}\ndata: ${number}\n\n`;

async function collect(open) {
  const seen = [];
  for await (const { data } of follow(open, ["last"], [0, 0])) seen.push(data);
  return seen;
}

test("a lost connection is opened again after the last event", async () => {
  const asked = [];
  const seen = await collect(async (last) => {
    asked.push(last);
    if (asked.length === 1) return broken(0, 2, new TypeError("network error"));
    if (asked.length === 2) throw new TypeError("Failed to fetch");
    if (asked.length === 3) return broken(2, 4);
    return broken(4, 6);
  });
  assert.deepEqual(seen, ["0", "1", "2", "3", "4", "5"]);
  assert.deepEqual(asked, [null, "1", "1", "3"]);
});

test("a connection that stays lost is given up", async () => {
  let attempts = 0;
  const open = async () => {
    attempts += 1;
    if (attempts > 1) throw new TypeError("Failed to fetch");
    return broken(0, 1);
  };
  await assert.rejects(collect(open), /connection to the server was lost/);
  assert.equal(attempts, 3);
});

test("a refusal is not tried again", async () => {
  await assert.rejects(collect(async () => { throw new ApiError(429, { message: "full" }); }), /full/);
});

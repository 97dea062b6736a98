import assert from "node:assert/strict";
import test from "node:test";

import { svg, trace } from "../export.js";
import { frameAt } from "../replay.js";
import { sample } from "./sample.js";

test("positions of a trace are those of the final text", () => {
  const { canvas, steps, prompt_length } = trace(sample());
  assert.equal(prompt_length, 1);
  assert.deepEqual(canvas, [1, 9, 9, 9, 9, 9]);
  assert.deepEqual(steps[0].commits, [{ position: 1, token: 2, confidence: 1 }, { position: 5, token: 4, confidence: 0.9 }]);
  assert.deepEqual(steps[0].forced, [1]);
  assert.deepEqual(steps[2].revoked, [2]);
});

test("a trace gives the canvas after each step", () => {
  const recording = sample();
  const { canvas, steps } = trace(recording);
  const ids = [...canvas];
  for (const [index, { revoked, commits }] of steps.entries()) {
    for (const position of revoked) ids[position] = 9;
    for (const { position, token } of commits) ids[position] = token;
    const shown = frameAt(recording, index + 1).cells.map((cell) => cell.id);
    // Masks that are inserted later are in the trace from the beginning.
    if (index > 0) assert.deepEqual(ids, shown);
  }
});

test("a picture has a band for each step, and escapes texts", () => {
  const recording = sample();
  recording.pieces[2] = " <a>&";
  const picture = svg(recording);
  assert.equal(picture.match(/class="label"/g).length, 4);
  assert.match(picture, /&lt;a&gt;&amp;/);
  assert.match(picture, /class="forced"/);
  assert.match(picture, /class="guessed"/);
});

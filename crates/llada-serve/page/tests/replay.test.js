import assert from "node:assert/strict";
import test from "node:test";

import { finalPositions, firstFrame, forwards, frameAt, holes, isControl, newRecording, oneLine, record, shade } from "../replay.js";
import { describe } from "../canvas.js";
import { MASK_ID, sample } from "./sample.js";

const ids = (frame) => frame.cells.map((cell) => cell.id);

test("the canvas after each step is that of the events", () => {
  const recording = sample();
  assert.deepEqual(ids(firstFrame(recording.started)), [1, 9, 9, 9]);
  assert.deepEqual(ids(frameAt(recording, 1)), [1, 2, 9, 4]);
  assert.deepEqual(ids(frameAt(recording, 2)), [1, 2, 3, 9, 9, 4]);
  assert.deepEqual(ids(frameAt(recording, 3)), [1, 2, 9, 9, 3, 4]);
  assert.deepEqual(ids(frameAt(recording, 4)), [1, 2, 2, 3, 3, 4]);
});

test("a cell tells what the last step did to it", () => {
  const recording = sample();
  const changes = (count) => frameAt(recording, count).cells.map((cell) => cell.change);
  assert.deepEqual(changes(0), ["", "", "", ""]);
  assert.deepEqual(changes(1), ["", "committed", "", "committed"]);
  assert.deepEqual(changes(2), ["", "", "committed", "grown", "", ""]);
  assert.deepEqual(changes(3), ["", "", "revoked", "", "committed", ""]);
  assert.equal(frameAt(recording, 3).cells[2].was, 3);
  assert.equal(frameAt(recording, 4).cells[2].was, null);
});

test("a cell tells its step, its confidence and whether it was forced", () => {
  const { cells } = frameAt(sample(), 4);
  assert.deepEqual(cells.map((cell) => cell.step), [null, 0, 3, 3, 2, 0]);
  assert.deepEqual(cells.map((cell) => cell.confidence), [null, 1, 0.8, 0.7, 0.5, 0.9]);
  assert.deepEqual(cells.map((cell) => cell.isForced), [false, true, false, false, false, false]);
});

test("a token has alternatives until it is revoked", () => {
  const others = (count) => frameAt(sample(), count).cells.map((cell) => cell.others);
  assert.deepEqual(others(1), [[], [], [], [[2, 0.06]]]);
  assert.deepEqual(others(2), [[], [], [[2, 0.3]], [], [], [[2, 0.06]]]);
  assert.deepEqual(others(3)[2], []);
});

test("a cell is described with its alternatives", () => {
  const { started, pieces } = sample();
  const { cells } = frameAt(sample(), 1);
  assert.equal(started.prompt_length, 1);
  assert.equal(describe(cells[3], 3, pieces), "“<|eot_id|>”, step 1, confidence 90.0 %, or “ a” 6.0 %, position 3");
});

test("a token that replaces a token was edited", () => {
  const recording = newRecording();
  record(recording, "diffusion.started", { canvas: [9], pieces: {}, mask_id: MASK_ID });
  for (const id of [1, 2]) record(recording, "diffusion.step", { nfe: 1, commits: [[0, id, 1]], forced: [], revoked: [], pieces: {} });
  const [cell] = frameAt(recording, 2).cells;
  assert.deepEqual([cell.id, cell.change, cell.was], [2, "edited", 1]);
});

test("cells keep their keys when others are inserted before them", () => {
  assert.deepEqual([...finalPositions(sample())].sort(), [[0, 0], [1, 1], [2, 4], [3, 5], [4, 2], [5, 3]]);
});

test("forwards are counted up to a step", () => {
  assert.deepEqual([0, 2, 4].map((count) => forwards(sample(), count)), [0, 2, 4]);
});

test("holes are runs that were not given", () => {
  const [hole, ...others] = holes(frameAt(sample(), 4), sample().pieces);
  assert.equal(hole.text, " a a b b<|eot_id|>");
  assert.equal(hole.confidence.toFixed(3), ((1 + 0.8 + 0.7 + 0.5 + 0.9) / 5).toFixed(3));
  assert.deepEqual(others, []);
});

test("confidences have the classes of --watch", () => {
  assert.deepEqual([1, 0.7, 0.69, 0.3, 0.29, 0].map(shade), ["sure", "sure", "fair", "fair", "guessed", "guessed"]);
});

test("control tokens are known, and pieces fit on a line", () => {
  assert.deepEqual(["<|eot_id|>", "<b>", "<|", " a"].map(isControl), [true, false, false, false]);
  assert.equal(oneLine("a\n\tb"), "a⏎·b");
});

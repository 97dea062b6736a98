import assert from "node:assert/strict";
import test from "node:test";

import { holesOf, linesOf, mask, newName, parse, resize, toTemplate } from "../marks.js";

test("a template is texts and holes", () => {
  const parts = parse("A [MASK:2] or [MASK:1-4 end].");
  assert.deepEqual(parts.map((part) => part.text ?? [part.name, part.least, part.most]), ["A ", ["hole 1", 2, 2], " or ", ["end", 1, 4], "."]);
});

test("what is no hole is text", () => {
  for (const text of ["[MASK]", "[MASK:]", "[MASK:x]", "[MASK:3", ""]) assert.deepEqual(holesOf(text), []);
});

test("a masked part is a hole with the space before it", () => {
  const masked = mask("A red fox", 2, 5, 1);
  assert.deepEqual(masked, { text: "A[MASK:1 a] fox", end: 11 });
  assert.equal(mask(masked.text, 12, 15, 2).text, "A[MASK:1 a][MASK:2 b]");
});

test("names of holes are new", () => {
  assert.equal(newName("[MASK:1 a] [MASK:1 c]"), "b");
});

test("a hole gets another length and keeps its name", () => {
  const [first, second] = holesOf("[MASK:1] [MASK:1 b]");
  assert.equal(resize("[MASK:1] [MASK:1 b]", second, 2, 5), "[MASK:1] [MASK:2-5 b]");
  assert.equal(resize("[MASK:1] [MASK:1 b]", first, 3, 3), "[MASK:3] [MASK:1 b]");
});

test("the server is sent lengths, names and patterns", () => {
  const patterns = { a: { kind: "regex", value: "[a-z]+" }, b: { kind: "choice", value: "fox | owl" }, c: { kind: "regex", value: "" } };
  assert.deepEqual(toTemplate("x [MASK:1-2 a] [MASK:3 b] [MASK:1 c]", patterns), [
    "x ",
    { mask: [1, 2], name: "a", regex: "[a-z]+" },
    " ",
    { mask: 3, name: "b", choice: ["fox", "owl"] },
    " ",
    { mask: 1, name: "c" },
  ]);
});

test("lines are trimmed, and empty ones are left out", () => {
  assert.deepEqual(linesOf(" a \n\n b"), ["a", "b"]);
});

import assert from "node:assert/strict";
import test from "node:test";

import { toBars, toQuestion, verdict } from "../decide.js";
import { fillingKeys, samplingKeys } from "../sampling.js";
import { shares } from "../score.js";
import { constraint, pretty } from "../structured.js";

test("options that are not set are left to the server", () => {
  assert.deepEqual(samplingKeys({ max_tokens: "", temperature: "", seed: "", steps: "", decoder: "", others: " " }), { diffusion: {} });
  const values = { max_tokens: "32", temperature: "0.5", seed: "1", steps: "8", decoder: "wino", length: "append", others: '{"top_k": 3}' };
  const diffusion = { steps: 8, decoder: "wino", length: "append", top_k: 3 };
  assert.deepEqual(samplingKeys(values), { max_tokens: 32, temperature: 0.5, seed: 1, diffusion });
});

test("holes are filled in no more steps than they have masks, and end no text", () => {
  const values = { max_tokens: "32", steps: "8", length: "append", block_length: "4" };
  assert.deepEqual(fillingKeys(values, 5), { diffusion: { logits_eos_inf: true, steps: 5, block_length: 4 } });
  assert.deepEqual(fillingKeys({ others: '{"logits_eos_inf": false}' }, 5), { diffusion: { logits_eos_inf: false } });
});

test("other options that are no object are refused", () => {
  for (const others of ["{", "[1]", "1", "null"]) assert.throws(() => samplingKeys({ others }), /Other options/);
});

test("a form is a constraint", () => {
  assert.deepEqual(constraint("regex", "[0-9]+"), { regex: "[0-9]+" });
  assert.deepEqual(constraint("choice", "a\n b \n"), { choice: ["a", "b"] });
  assert.deepEqual(constraint("json_schema", '{"type":"integer"}'), { json_schema: { type: "integer" } });
  assert.deepEqual(constraint("json_object", ""), { json_object: true });
  assert.throws(() => constraint("json_schema", "{"), /schema is not JSON/);
  assert.equal(pretty("json_object", '{"a":1}'), '{\n  "a": 1\n}');
  assert.equal(pretty("regex", '{"a":1}'), '{"a":1}');
});

test("shares of answers add up, and their errors come from both sides", () => {
  const score = (log_likelihood, standard_error) => ({ log_likelihood, standard_error });
  const [first, second] = shares([score(Math.log(3) - 700, 0.1), score(-700, 0)]);
  assert.ok(Math.abs(first.share - 0.75) < 1e-12 && Math.abs(second.share - 0.25) < 1e-12);
  assert.ok(Math.abs(first.error - 0.75 * 0.25 * 0.1) < 1e-12);
  assert.ok(Math.abs(second.error - first.error) < 1e-12);
});

test("questions and answers of decisions", () => {
  const question = { name: "n", instructions: "?", options: "a: first one\nb" };
  assert.deepEqual(toQuestion({ type: "choice", ...question }).choices, [{ value: "a", description: "first one" }, { value: "b" }]);
  assert.deepEqual(toQuestion({ type: "score", ...question, options: "low\nhigh" }).levels, [{ label: "low" }, { label: "high" }]);
  assert.deepEqual(toQuestion({ type: "predicate", ...question }), { type: "predicate", name: "n", instructions: "?" });
  assert.deepEqual(toBars({ type: "predicate", probability: 0.9 }), [{ label: "yes", probability: 0.9, standard_error: undefined }]);
  assert.equal(verdict({ type: "predicate", probability: 0.2 }), "no");
  assert.equal(verdict({ type: "choice", choice: "a", confidence: 0.5 }), "a (confidence 0.50)");
  const level = { label: "low", value: 0, probability: 0.75, standard_error: 0 };
  const score = { type: "score", score: 0.25, standard_error: 0.02, confidence: 0.5, probabilities: [level] };
  assert.equal(verdict(score), "level 0.25 ± 0.02 (confidence 0.50)");
  assert.deepEqual(toBars(score), [{ label: "low", probability: 0.75, standard_error: 0 }]);
});

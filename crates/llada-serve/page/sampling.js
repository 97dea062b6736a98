/** The options of the sampler: the form that all panels share, and the keys of a request that it stands for. */

import { byId, keep, kept } from "./dom.js";

/** Options that are numbers. The first three are keys of the request, the others of its `diffusion`. */
const REQUEST = ["max_tokens", "temperature", "seed"];
const NUMBERS = ["steps", "block_length", "threshold"];
const NAMES = ["preset", "decoder", "length", "cache"];

/** Returns the keys of a request for these values of the form. What is empty is left to the server. */
export function samplingKeys(values) {
  const keys = {};
  const diffusion = {};
  for (const name of REQUEST) if (isSet(values[name])) keys[name] = Number(values[name]);
  for (const name of NUMBERS) if (isSet(values[name])) diffusion[name] = Number(values[name]);
  for (const name of NAMES) if (isSet(values[name])) diffusion[name] = values[name];
  Object.assign(diffusion, readOthers(values.others));
  return { ...keys, diffusion };
}

/** Returns the keys that fill holes of this number of tokens: their length is given, and no text ends in them. */
export function fillingKeys(values, tokens) {
  const { max_tokens: _, diffusion, ...keys } = samplingKeys(values);
  delete diffusion.length;
  // More steps than masks would commit nothing.
  if (diffusion.steps > tokens) diffusion.steps = tokens;
  return { ...keys, diffusion: { logits_eos_inf: true, ...diffusion } };
}

function isSet(value) {
  return value !== undefined && value !== "";
}

function readOthers(text) {
  if (!text?.trim()) return {};
  let others;
  try {
    others = JSON.parse(text);
  } catch (error) {
    throw new Error(`Other options are not JSON: ${error.message}`);
  }
  if (typeof others !== "object" || others === null || Array.isArray(others)) {
    throw new Error('Other options are an object, such as {"remasking": "random"}.');
  }
  return others;
}

/** Prepares the form, which remembers its values. */
export function prepareSampling() {
  const form = byId("sampling");
  const saved = kept(localStorage, "sampling") ?? {};
  for (const field of form.elements) if (saved[field.name] !== undefined) field.value = saved[field.name];
  form.addEventListener("submit", (event) => event.preventDefault());
  const change = () => {
    keep(localStorage, "sampling", samplingValues());
    const count = Object.values(samplingValues()).filter(isSet).length;
    byId("sampling-count").textContent = count > 0 ? `${count} set` : "as the server has them";
  };
  form.addEventListener("input", change);
  form.addEventListener("reset", () => setTimeout(change));
  change();
}

/** Returns the values of the form, by the names of its fields. */
export function samplingValues() {
  return Object.fromEntries(new FormData(byId("sampling")));
}

// The server under test, without a client between: what it serves, what it counts, and what to ask it.

import assert from 'node:assert/strict';

export const url = process.env.LLADA_SERVER;
export const root = url.replace(/\/v1$/, '');
export const QUESTION = 'What is 345 + 78?';
export const ANSWER = '423';
export const messages = [{ role: 'user', content: QUESTION }];

// A token a step, so that a stream has many parts.
export const slowly = { decoder: 'schedule', steps: 32, block_length: 32 };

// Longer than any client takes to do something else meanwhile.
export const long = { max_tokens: 200, diffusion: { decoder: 'schedule', steps: 200, block_length: 200 } };

export const CANCELLED = 'llada_requests_unfinished_total{reason="cancelled"}';

export const model = (await (await fetch(`${url}/models`)).json()).data[0].id;

// Skips the check if the server has no such path, or refuses a field of the body as unsupported. Returns true if so.
export async function isUnserved(check, method, path, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(root + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  const error = response.status === 400 ? JSON.parse(text).error : {};
  const isUnsupported = error.code === 'unsupported_parameter';
  const isUnserved = response.status === 404 || response.status === 405 || isUnsupported;
  if (isUnserved) check.skip(isUnsupported ? `not served: ${error.param} of ${path}` : `not served: ${path}`);
  return isUnserved;
}

// The value of a counter or gauge, 0 if nothing was counted yet.
export async function metric(name) {
  const lines = (await (await fetch(`${root}/metrics`)).text()).split('\n');
  const line = lines.find((line) => line.startsWith(`${name} `));
  return line ? Number(line.split(' ').at(-1)) : 0;
}

// Waits until a counter or gauge has a value.
export async function awaitMetric(name, value) {
  const end = Date.now() + 10_000;
  while ((await metric(name)) !== value) {
    assert.ok(Date.now() < end, `${name} is ${await metric(name)}, and not ${value}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

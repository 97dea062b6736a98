// openai-node: answers, streams, forms and errors.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';

import { ANSWER, CANCELLED, awaitMetric, isUnserved, long, messages, metric, model, slowly, url } from '../support/server.mjs';

const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0, timeout: 60_000 });
const ask = (parameters) => client.chat.completions.create({ model, messages, max_completion_tokens: 32, ...parameters });

async function collected(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

test('a question is answered', async () => {
  const answer = await ask({ seed: 7, diffusion: slowly });
  assert.equal(answer.choices[0].message.content, ANSWER);
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.equal(answer.usage.completion_tokens, 3);
  assert.equal(answer.usage.diffusion.nfe, 32);
  assert.deepEqual(answer.diffusion, { seed: 7, stop_reason: 'eos' });
  assert.ok(answer._request_id);
});

test('models are listed', async () => {
  const models = await client.models.list();
  assert.ok(models.data.some((listed) => listed.id === model));
  assert.equal((await client.models.retrieve(model)).id, model);
});

test('the parts of a stream add up to the whole', async () => {
  const parameters = { temperature: 2, seed: 5, diffusion: slowly };
  const chunks = await collected(await ask({ ...parameters, stream: true }));
  const whole = await ask(parameters);
  assert.equal(text(chunks), whole.choices[0].message.content);
  assert.deepEqual(chunks[0].choices[0].delta, { role: 'assistant', content: '' });
  assert.equal(chunks.at(-1).choices[0].finish_reason, whole.choices[0].finish_reason);
  assert.ok(chunks.every((chunk) => chunk.object === 'chat.completion.chunk' && chunk.choices.length === 1));
});

test('usage and steps of a stream can be read', async () => {
  const stream_options = { include_usage: true, include_diffusion: true };
  const chunks = await collected(await ask({ stream: true, stream_options, diffusion: slowly }));
  const steps = chunks.filter((chunk) => chunk.diffusion?.step !== undefined);
  assert.equal(steps.length, 32);
  assert.equal(steps.at(-1).diffusion.masked, 0);
  assert.deepEqual(chunks.at(-1).choices, []);
  assert.equal(chunks.at(-1).usage.diffusion.nfe, 32);
});

test('a diffusing stream replaces its text', async () => {
  const chunks = await collected(await ask({ stream: true, diffusing: true, diffusion: slowly }));
  const texts = chunks.map((chunk) => chunk.choices[0]?.delta.content).filter(Boolean);
  assert.equal(texts.at(-1), ANSWER);
  assert.match(texts[0], /░/);
});

test('a client that leaves ends its generation', async () => {
  const before = await metric(CANCELLED);
  const stream_options = { include_diffusion: true };
  const stream = await client.chat.completions.create({ model, messages, ...long, stream: true, stream_options });
  let seen = 0;
  for await (const _ of stream) {
    seen += 1;
    if (seen === 3) break;
  }
  assert.equal(seen, 3);
  await awaitMetric(CANCELLED, before + 1);
});

test('answers are parsed as zod describes them', async () => {
  const Sum = z.object({ sum: z.number().int().min(0).max(999), parity: z.enum(['even', 'odd']) });
  const parameters = { model, messages, max_completion_tokens: 48, response_format: zodResponseFormat(Sum, 'sum') };
  const answer = await client.chat.completions.parse(parameters);
  Sum.parse(answer.choices[0].message.parsed);
  const streamed = await client.chat.completions.stream(parameters).finalChatCompletion();
  Sum.parse(streamed.choices[0].message.parsed);
});

test('errors have their classes and fields', async () => {
  await assert.rejects(ask({ top_p: 0.5 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.deepEqual([error.code, error.param, error.type], ['unsupported_parameter', 'top_p', 'invalid_request_error']);
    return true;
  });
  await assert.rejects(ask({ model: 'gpt-5' }), OpenAI.NotFoundError);
});

test('a full queue is waited for', async (check) => {
  const { LLADA_NARROW_SERVER: narrow, LLADA_KEY: apiKey } = process.env;
  if (!narrow) return check.skip('needs a server with a key and no queue, which --server does not give');
  await assert.rejects(new OpenAI({ baseURL: narrow, apiKey: 'wrong' }).models.list(), OpenAI.AuthenticationError);
  const client = new OpenAI({ baseURL: narrow, apiKey, maxRetries: 5 });
  const stream_options = { include_diffusion: true };
  const stream = await client.chat.completions.create({ model, messages, ...long, stream: true, stream_options });
  await assert.rejects(
    client.chat.completions.create({ model, messages }, { maxRetries: 0 }),
    (error) => error instanceof OpenAI.RateLimitError && Number(error.headers.get('retry-after')) >= 1,
  );
  const waiting = client.chat.completions.create({ model, messages });
  stream.controller.abort();
  assert.equal((await waiting).choices[0].message.content, ANSWER);
});

test('a tool is called', async (check) => {
  const parameters = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'], additionalProperties: false };
  const tools = [{ type: 'function', function: { name: 'add', parameters } }];
  const body = { messages, tools, tool_choice: 'required', max_tokens: 40 };
  if (await isUnserved(check, 'POST', '/v1/chat/completions', body)) return;
  const [call] = (await client.chat.completions.create({ model, ...body })).choices[0].message.tool_calls;
  assert.equal(call.function.name, 'add');
  assert.ok(Number.isInteger(JSON.parse(call.function.arguments).a));
});

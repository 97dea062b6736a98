// The AI SDK with the provider for compatible servers, which validates every event of a stream.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, Output, generateObject, generateText, jsonSchema, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';

import { ANSWER, CANCELLED, QUESTION, awaitMetric, isUnserved, messages, metric, model, slowly, url } from '../support/server.mjs';

const provider = createOpenAICompatible({
  name: 'llada', baseURL: url, apiKey: 'none', includeUsage: true, supportsStructuredOutputs: true,
});
const asked = { model: provider(model), prompt: QUESTION, maxOutputTokens: 32, maxRetries: 0 };
const slow = { providerOptions: { llada: { diffusion: slowly } } };
const Sum = z.object({ sum: z.number().int().min(0).max(999), parity: z.enum(['even', 'odd']) });

test('a question is answered', async () => {
  const answer = await generateText({ ...asked, system: 'Be kind.', temperature: 0, seed: 7 });
  assert.equal(answer.text, ANSWER);
  assert.equal(answer.finishReason, 'stop');
  assert.equal(answer.usage.outputTokens, 3);
});

test('the sampler takes options', async () => {
  const answer = await generateText({ ...asked, ...slow });
  assert.equal(answer.text, ANSWER);
  assert.equal(answer.response.body.usage.diffusion.nfe, 32);
});

test('the parts of a stream add up to the answer', async () => {
  const answer = streamText({ ...asked, ...slow });
  let text = '';
  for await (const part of answer.textStream) text += part;
  assert.equal(text, ANSWER);
  assert.equal(await answer.finishReason, 'stop');
  assert.equal((await answer.usage).outputTokens, 3);
});

test('steps in a stream disturb nothing', async () => {
  const options = { llada: { diffusion: slowly, stream_options: { include_usage: true, include_diffusion: true } } };
  const answer = streamText({ ...asked, providerOptions: options });
  const parts = [];
  for await (const part of answer.fullStream) parts.push(part);
  assert.deepEqual(parts.filter((part) => part.type === 'error'), []);
  assert.equal(await answer.text, ANSWER);
});

test('answers are objects', async () => {
  Sum.parse((await generateObject({ ...asked, maxOutputTokens: 48, schema: Sum })).object);
  Sum.parse((await generateText({ ...asked, maxOutputTokens: 48, output: Output.object({ schema: Sum }) })).output);
});

test('objects are streamed', async () => {
  const answer = streamObject({ ...asked, maxOutputTokens: 48, schema: Sum });
  for await (const partial of answer.partialObjectStream) assert.equal(typeof partial, 'object');
  Sum.parse(await answer.object);
});

test('a client that leaves ends its generation', async () => {
  const before = await metric(CANCELLED);
  const controller = new AbortController();
  const diffusion = { decoder: 'schedule', steps: 200, block_length: 200 };
  const options = { llada: { diffusion, stream_options: { include_diffusion: true } } };
  const answer = streamText({
    ...asked, maxOutputTokens: 200, providerOptions: options, includeRawChunks: true, abortSignal: controller.signal,
  });
  for await (const part of answer.fullStream) if (part.type === 'raw') controller.abort();
  await awaitMetric(CANCELLED, before + 1);
});

test('errors are errors of calls', async () => {
  await assert.rejects(generateText({ ...asked, topP: 0.5 }), (error) => {
    assert.ok(APICallError.isInstance(error));
    assert.equal(error.statusCode, 400);
    assert.match(error.message, /top_p/);
    return true;
  });
});

test('a completion model is served too', async () => {
  // The SDK spells the conversation in words of its own, which llada-tiny has not learned.
  const options = { llada: { guided_regex: '[0-9]{3}' } };
  const answer = await generateText({ ...asked, model: provider.completionModel(model), providerOptions: options });
  assert.match(answer.text, /^[0-9]{3}$/);
  assert.equal(answer.finishReason, 'stop');
});

test('a tool is called', async (check) => {
  const parameters = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'], additionalProperties: false };
  const tools = [{ type: 'function', function: { name: 'add', parameters } }];
  const body = { messages, tools, tool_choice: 'required', max_tokens: 40 };
  if (await isUnserved(check, 'POST', '/v1/chat/completions', body)) return;
  const add = tool({ inputSchema: jsonSchema(parameters) });
  const answer = await generateText({ ...asked, maxOutputTokens: 40, tools: { add }, toolChoice: 'required' });
  assert.equal(answer.toolCalls[0].toolName, 'add');
  assert.ok(Number.isInteger(answer.toolCalls[0].input.a));
});

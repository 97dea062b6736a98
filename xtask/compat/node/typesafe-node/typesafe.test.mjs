// @typesafe-ai/sdk: its list of models, and `/v1/systemone`.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TypeSafeClient } from '@typesafe-ai/sdk';

import { QUESTION, isUnserved, model, root } from '../support/server.mjs';

const client = new TypeSafeClient({ apiKey: 'none', baseURL: root });
const request = {
  model,
  state: QUESTION,
  questions: {
    sum: { type: 'noul', instructions: 'Is this about numbers?' },
    kind: { type: 'choice', instructions: 'What is it?', criteria: { question: null, answer: null } },
  },
};

test('models are listed', async () => {
  const models = await client.models.list();
  assert.ok(models.some(({ name, release_date: date }) => name === model && /^\d{4}-\d{2}-\d{2}$/.test(date)));
});

test('every question has its answer', async (check) => {
  if (await isUnserved(check, 'POST', '/v1/systemone', request)) return;
  const { answers } = await client.systemOne(request);
  assert.ok(answers.sum.noul >= 0 && answers.sum.noul <= 1);
  const { choice, probabilities } = answers.kind;
  assert.ok(Math.abs(probabilities.question + probabilities.answer - 1) < 1e-4);
  assert.ok(probabilities[choice] >= 0.5);
});

/** Checks of the page in Chromium, on a server of llada-tiny: `node page.mjs URL FOLDER`. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";

import * as browser from "./browser.mjs";

const { ask, answer, atEnd, labels, masks, onPage, sampler, seek, shoot } = browser;

const QUESTION = "What is 345 + 78?";
const ANSWER = "423";
/** A token a step, so that there are many steps. */
const SLOW = { max_tokens: 32, decoder: "schedule", steps: 32, length: "fixed", seed: 1 };
/** Longer than what is done to it meanwhile. */
const LONG = { max_tokens: 200, decoder: "schedule", steps: 200, length: "fixed", seed: 1, others: '{"cfg_scale": 1}' };
const TABS = ["chat", "template", "structured", "decide", "score"];

after(browser.close);

test("masks become the answer", onPage({}, async (page) => {
  await sampler(page, SLOW);
  await ask(page, QUESTION);
  await page.waitForSelector("#canvas .mask");
  const seen = new Set();
  while ((await page.getAttribute("#scrubber", "aria-valuetext")) !== "step 32 of 32") seen.add(await masks(page));
  assert.ok(seen.size > 2, `the canvas had only ${[...seen]} masks`);
  assert.equal(await masks(page), 0);
  assert.equal(await answer(page), ANSWER);
  assert.match(await page.textContent("#numbers"), /Forwards32/);
}));

test("the canvas at any step is that of the events", onPage({}, async (page) => {
  await sampler(page, { ...SLOW, others: '{"trace": true}' });
  const sent = page.waitForRequest((request) => request.url().endsWith("/v1/diffusion/generate"));
  await ask(page, QUESTION);
  await answer(page);
  const events = await browser.eventsOf((await sent).headers()["x-request-id"]);
  await atEnd(page);
  const { canvas, mask_id } = events[0].data;
  const pieces = Object.assign({}, ...events.map(({ data }) => data.pieces));
  const { trace } = events.at(-1).data.diffusion;
  assert.deepEqual(trace.canvas, canvas);
  for (const count of [0, 1, 7, 16, 31, 32]) {
    const ids = [...canvas];
    for (const { commits, revoked = [] } of trace.steps.slice(0, count)) {
      for (const position of revoked) ids[position] = mask_id;
      for (const { position, token } of commits) ids[position] = token;
    }
    await seek(page, count);
    for (const [position, label] of (await labels(page)).entries()) {
      const expected = ids[position] === mask_id ? "mask, " : `“${pieces[ids[position]].replaceAll("\n", "⏎")}”, `;
      assert.ok(label.startsWith(expected), `after ${count} steps ${label} is shown instead of ${expected}`);
    }
  }
}));

test("a generation is played again", onPage({}, async (page) => {
  await sampler(page, SLOW);
  await ask(page, QUESTION);
  await answer(page);
  await atEnd(page);
  await page.selectOption("#speed", "5");
  await page.click("#play");
  await page.waitForFunction(() => document.querySelector("#play").classList.contains("moving"));
  assert.ok((await masks(page)) > 0);
  await atEnd(page);
  assert.equal(await masks(page), 0);
}));

test("Escape stops a generation on the server", onPage({}, async (page) => {
  const before = await browser.cancelled();
  await sampler(page, LONG);
  await browser.atFirstToken(page, "Escape");
  await ask(page, QUESTION);
  await page.waitForSelector("#messages .stopped");
  assert.equal(await browser.cancelled(), before + 1);
  await atEnd(page);
  assert.ok((await masks(page)) > 0, "all masks were filled");
}));

test("a page that is loaded again takes the generation up", onPage({}, async (page) => {
  await sampler(page, LONG);
  await browser.atFirstToken(page, "reload");
  const sent = page.waitForRequest((request) => request.url().endsWith("/v1/diffusion/generate"));
  const resumed = page.waitForRequest((request) => request.url().endsWith("/events"));
  await ask(page, QUESTION);
  const id = (await sent).headers()["x-request-id"];
  assert.ok((await resumed).url().endsWith(`/v1/diffusion/generations/${id}/events`));
  await page.waitForSelector("#canvas .committed");
  await answer(page);
  await page.waitForFunction(() => document.querySelector("#scrubber").max === "200");
  assert.equal(await page.textContent("#messages .user p"), QUESTION);
  const text = await page.textContent("#messages .assistant p");
  await page.reload();
  await atEnd(page);
  assert.equal(await page.textContent("#messages .assistant p"), text);
}));

test("a connection that is lost is opened again after its last event", onPage({}, async (page) => {
  let isFirst = true;
  await page.route("**/v1/diffusion/generate", async (route) => {
    const response = await route.fetch();
    const text = await response.text();
    // The first half of the events, as if the connection broke then.
    const half = text.slice(0, text.indexOf("\n\n", text.length / 2) + 2);
    await route.fulfill({ response, body: isFirst ? half : text });
    isFirst = false;
  });
  const resumed = page.waitForRequest((request) => request.url().endsWith("/events"));
  await sampler(page, SLOW);
  await ask(page, QUESTION);
  assert.ok(Number((await resumed).headers()["last-event-id"]) > 0);
  assert.equal(await answer(page), ANSWER);
  await atEnd(page);
  assert.equal(await page.getAttribute("#scrubber", "max"), "32");
}));

test("selected text is masked and filled", onPage({}, async (page) => {
  await page.click("#tab-template");
  await page.fill("#template", "In the castle lived a dragon with a lamp.");
  await page.locator("#template").evaluate((editor) => {
    editor.focus();
    editor.setSelectionRange(22, 28);
  });
  await page.keyboard.press("Control+m");
  await page.waitForFunction(() => document.querySelector("#template").value.includes("[MASK:"));
  assert.match(await page.inputValue("#template"), /^In the castle lived a\[MASK:\d+ a\] with a lamp\.$/);
  await page.locator("#holes select").selectOption("choice");
  await page.fill("#holes .pattern input", " dragon | owl".replaceAll(" | ", "|"));
  await page.keyboard.press("Escape");
  await page.click("#fill");
  await page.waitForSelector("#filled");
  const filled = await page.textContent("#filled-text");
  assert.ok(filled.startsWith("In the castle lived a") && filled.endsWith(" with a lamp."), filled);
  assert.match(await page.textContent("#holes output"), /%$/);
  await page.click("#keep");
  assert.equal(await page.inputValue("#template"), filled);
}));

test("an answer keeps its form", onPage({}, async (page) => {
  await page.click("#tab-structured");
  const generate = async (kind, form) => {
    await page.selectOption("#kind", kind);
    if (form) await page.fill("#form", form);
    await page.click("#structured-send");
    await page.waitForFunction(() => document.querySelector("#structured-send").textContent === "Generate");
    return page.textContent("#structured-text");
  };
  assert.match(await generate("regex", "[0-9]{3}"), /^[0-9]{3}$/);
  const value = JSON.parse(await generate("json_schema"));
  assert.deepEqual(Object.keys(value), ["sum", "sure"]);
  await atEnd(page);
  assert.ok((await page.locator("#canvas .forced").count()) > 0, "no token was forced");
  assert.match(await page.textContent("#numbers"), /Log mass/);
  await seek(page, 0);
  assert.equal(await page.locator("#canvas .token").count(), 0, "the first canvas has tokens of the answer");
  assert.equal(await page.locator("#canvas .given").last().getAttribute("aria-label").then((label) => label[1]), "⏎");
  await generate("regex", "(");
  assert.ok((await page.textContent("#structured-error")).length > 0);
}));

test("answers are scored", onPage({}, async (page) => {
  await page.click("#tab-score");
  await page.click("#score-send");
  await page.waitForSelector("#scores li");
  assert.equal(await page.textContent("#scores .best .bar-label"), ANSWER);
  assert.match(await page.textContent("#scores .facts"), /log p = -?\d/);
}));

test("questions are decided", onPage({}, async (page) => {
  await page.click("#tab-decide");
  await page.click("#question-add");
  await page.locator("#questions li").last().locator("select").selectOption("predicate");
  await page.keyboard.press("Tab");
  await page.locator("#questions li").last().getByPlaceholder("Question").fill("Is the sky blue?");
  await page.click("#decide-send");
  await page.waitForSelector("#questions .bar");
  const verdicts = await page.locator("#questions .verdict").allTextContents();
  assert.equal(verdicts.length, 3);
  assert.match(verdicts[0], /^423 \(confidence /);
  assert.match(verdicts[1], /^level [0-2]/);
  assert.match(verdicts[2], /^(yes|no)$/);
  await page.locator("#questions li").last().getByLabel("Remove the question").click();
  assert.equal(await page.locator("#questions li").count(), 2);
}));

test("the page is used with the keyboard alone", onPage({}, async (page) => {
  const tabTo = async (id) => {
    for (let count = 0; count < 60; count += 1) {
      if ((await page.evaluate(() => document.activeElement.id)) === id) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`Tab does not lead to ${id}`);
  };
  await tabTo("question");
  await page.keyboard.type(QUESTION);
  await page.keyboard.press("Enter");
  assert.equal(await answer(page), ANSWER);
  await atEnd(page);
  await tabTo("canvas");
  await page.keyboard.press("End");
  const last = await page.textContent("#detail");
  await page.keyboard.press("ArrowLeft");
  assert.notEqual(await page.textContent("#detail"), last);
  await tabTo("scrubber");
  const steps = Number(await page.inputValue("#scrubber"));
  await page.keyboard.press("ArrowLeft");
  assert.equal(Number(await page.inputValue("#scrubber")), steps - 1);
  assert.ok((await masks(page)) > 0);
  await page.keyboard.press("Space");
  await atEnd(page);
  await tabTo("tab-chat");
  await page.keyboard.press("ArrowRight");
  assert.ok(await page.isVisible("#panel-template"));
}));

test("the key is asked for, and sent", onPage({}, async (page) => {
  const keys = [];
  await page.route("**/v1/models", async (route) => {
    const key = await route.request().headerValue("authorization");
    keys.push(key);
    const error = { message: "the key is missing or unknown", type: "authentication_error", param: null, code: "invalid_api_key" };
    if (key) await route.continue();
    else await route.fulfill({ status: 401, json: { error } });
  });
  await page.reload();
  await page.waitForSelector("#key-dialog[open]");
  await page.keyboard.type("secret");
  await page.keyboard.press("Enter");
  await page.waitForSelector('#model[data-state="ready"]');
  assert.deepEqual(keys, [null, "Bearer secret"]);
  assert.deepEqual(await page.evaluate(() => Object.values(localStorage).filter((value) => value.includes("secret"))), []);
}));

test("markup in texts is text", onPage({}, async (page) => {
  const markup = "<img src=x onerror=alert(1)>";
  await ask(page, markup);
  await answer(page);
  assert.equal(await page.textContent("#messages .user p"), markup);
  assert.equal(await page.locator("#messages img, #canvas img").count(), 0);
}));

test("a trace and a picture are saved", onPage({}, async (page) => {
  await ask(page, QUESTION);
  await answer(page);
  await atEnd(page);
  const saved = async (button) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
    return readFileSync(await download.path(), "utf8");
  };
  const { canvas, steps, text } = JSON.parse(await saved("#export-json"));
  assert.equal(text, ANSWER);
  const committed = new Set(steps.flatMap(({ commits }) => commits.map(({ position }) => position)));
  assert.ok(committed.size > 0 && Math.max(...committed) < canvas.length);
  assert.match(await saved("#export-svg"), /^<svg xmlns=[^]*class="label"[^]*<\/svg>\s*$/);
}));

test("nothing moves where less motion is preferred", onPage({ reducedMotion: "reduce" }, async (page) => {
  await sampler(page, SLOW);
  await ask(page, QUESTION);
  await page.waitForSelector("#canvas .cell");
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  assert.equal(await answer(page), ANSWER);
}));

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of Object.entries({ wide: { width: 1360, height: 860 }, narrow: { width: 360, height: 740 } })) {
    test(`the page is accessible: ${colorScheme}, ${size}`, onPage({ colorScheme, viewport }, async (page) => {
      await shoot(page, `${colorScheme}-${size}-welcome`, { fullPage: size === "narrow" });
      await sampler(page, SLOW);
      await page.click("#sampler summary");
      for (const tab of TABS) {
        await page.click(`#tab-${tab}`);
        if (tab === "chat") {
          await ask(page, QUESTION);
          await answer(page);
          await atEnd(page);
          await seek(page, 24);
        } else {
          const buttons = { template: "#fill", structured: "#structured-send", decide: "#decide-send", score: "#score-send" };
          await page.click(buttons[tab]);
          const shown = { template: "#filled", structured: "#structured-result", decide: "#questions .bar", score: "#scores li" };
          await page.waitForSelector(shown[tab]);
        }
        if (["template", "structured"].includes(tab)) await atEnd(page);
        assert.deepEqual(await browser.violations(page), [], tab);
        await shoot(page, `${colorScheme}-${size}-${tab}`, { fullPage: size === "narrow" });
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= viewport.width, `${tab} is ${width} pixels wide`);
      }
    }));
  }
}

test("the description of the interface is a page too", onPage({}, async (page) => {
  await page.goto(new URL("docs", browser.url).href);
  await page.locator("summary", { hasText: "/v1/diffusion/generate" }).first().click();
  assert.ok(await page.locator("details[open] pre").first().isVisible());
  assert.deepEqual(await browser.violations(page), []);
  await shoot(page, "docs");
}));

test("the theme is chosen, and kept", onPage({ colorScheme: "light" }, async (page) => {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.click("#theme");
  await page.click("#theme");
  const dark = await paper();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await paper(), dark);
}));

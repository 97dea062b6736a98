/** The browser, and what the checks do with the page. */

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { chromium } from "playwright-core";

const [address, folder] = process.argv.slice(2);
if (!address || !folder) {
  console.error("usage: node page.mjs URL FOLDER\nChecks the page at URL, and writes screenshots to FOLDER.");
  process.exit(2);
}
export const url = new URL("/", address).href;
mkdirSync(folder, { recursive: true });

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});

/** Closes the browser. */
export const close = () => browser.close();

/** Runs a check on a new page, which must have no error and no violation of its policy. */
export function onPage(options, check) {
  return async (context) => {
    const tab = await browser.newContext({ viewport: { width: 1360, height: 860 }, ...options });
    tab.setDefaultTimeout(60_000);
    const page = await tab.newPage();
    const problems = [];
    page.on("pageerror", (error) => problems.push(error.stack));
    page.on("console", (message) => {
      // Chromium logs refused requests too. Checks that cause one look for its effect.
      const isRefusal = message.text().startsWith("Failed to load resource");
      if (["error", "warning"].includes(message.type()) && !isRefusal) problems.push(message.text());
    });
    await page.addInitScript(() => {
      const tell = ({ violatedDirective, blockedURI }) => console.error(`${violatedDirective} blocks ${blockedURI}`);
      document.addEventListener("securitypolicyviolation", tell);
    });
    try {
      await page.goto(url);
      await page.waitForSelector('#model[data-state="ready"]');
      await check(page, context);
      if (problems.length > 0) throw new Error(problems.join("\n"));
    } catch (error) {
      await shoot(page, `failed-${context.name.replaceAll(/\W+/g, "-")}`).catch(() => {});
      throw error;
    } finally {
      await tab.close();
    }
  };
}

/** Writes a screenshot. */
export async function shoot(page, name, options) {
  await page.screenshot({ path: join(folder, `${name}.png`), animations: "disabled", ...options });
}

/** Sends a question in the chat. */
export async function ask(page, question) {
  await page.fill("#question", question);
  await page.press("#question", "Enter");
}

/** Waits for the end of an answer, and returns its text. */
export async function answer(page) {
  await page.waitForFunction(() => document.querySelector("#send").textContent === "Send");
  return page.textContent("#messages li:last-child p");
}

/** Waits until the stage shows the last step. */
export async function atEnd(page) {
  await page.waitForFunction(() => {
    const { value, max } = document.querySelector("#scrubber");
    return max > 0 && value === max && !document.querySelector("#play").classList.contains("moving");
  });
}

/** Sets options of the sampler. */
export async function sampler(page, options) {
  if (!(await page.isVisible("#max-tokens"))) await page.click("#sampler summary");
  for (const [name, value] of Object.entries(options)) {
    const field = page.locator(`#sampling [name="${name}"]`);
    if ((await field.evaluate((field) => field.tagName)) === "SELECT") await field.selectOption(value);
    else await field.fill(String(value));
  }
}

/** Presses Escape or reloads as soon as the canvas has a token: from within the page, because small models are fast. */
export async function atFirstToken(page, action) {
  await page.evaluate((action) => {
    const canvas = document.querySelector("#canvas");
    const observer = new MutationObserver(() => {
      if (!canvas.querySelector(".committed")) return;
      observer.disconnect();
      if (action === "reload") location.reload();
      else document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: action, bubbles: true }));
    });
    observer.observe(canvas, { attributes: true, childList: true, subtree: true });
  }, action);
}

/** Returns the number of masks on the canvas. */
export function masks(page) {
  return page.locator("#canvas .mask").count();
}

/** Moves the scrubber to a step. */
export async function seek(page, step) {
  await page.locator("#scrubber").evaluate((scrubber, step) => {
    scrubber.value = step;
    scrubber.dispatchEvent(new Event("input"));
  }, step);
}

/** Returns what each cell of the canvas is, as its label says. */
export function labels(page) {
  return page.locator("#canvas .cell").evaluateAll((cells) => cells.map((cell) => cell.getAttribute("aria-label")));
}

/** Returns the serious violations of accessibility rules on the page as it is. */
export async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
}

/** Returns the number of requests that were cancelled so far. */
export async function cancelled() {
  const lines = (await (await fetch(new URL("metrics", url))).text()).split("\n");
  const line = lines.find((line) => line.startsWith('llada_requests_unfinished_total{reason="cancelled"} '));
  return line ? Number(line.split(" ").at(-1)) : 0;
}

/** Returns the events of a generation, which the server keeps for a while. */
export async function eventsOf(id) {
  const text = await (await fetch(new URL(`v1/diffusion/generations/${id}/events`, url))).text();
  const events = [];
  for (const block of text.split("\n\n")) {
    const name = /^event: ?(.*)$/m.exec(block)?.[1];
    const data = /^data: ?(.*)$/m.exec(block)?.[1];
    if (name && data) events.push({ name, data: JSON.parse(data) });
  }
  return events;
}

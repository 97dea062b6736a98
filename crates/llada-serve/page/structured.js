/** Structured output: an answer that has a form, whatever the model prefers. */

import { announce, byId, keep, kept, showError } from "./dom.js";
import { linesOf } from "./marks.js";
import { Run } from "./run.js";
import { samplingKeys, samplingValues } from "./sampling.js";

/** What the form of each kind looks like. */
const EXAMPLES = {
  regex: "[0-9]{3}",
  choice: "423\n17\nI do not know",
  json_schema: JSON.stringify(
    {
      type: "object",
      properties: { sum: { type: "integer", minimum: 0, maximum: 999 }, sure: { type: "boolean" } },
      required: ["sum", "sure"],
      additionalProperties: false,
    },
    null,
    2,
  ),
  json_object: "",
};

/** Returns the constraint of a request. */
export function constraint(kind, form) {
  switch (kind) {
    case "regex":
      return { regex: form };
    case "choice":
      return { choice: linesOf(form) };
    case "json_schema":
      try {
        return { json_schema: JSON.parse(form) };
      } catch (error) {
        throw new Error(`The schema is not JSON: ${error.message}`);
      }
    default:
      return { json_object: true };
  }
}

/** Returns an answer as it is shown: JSON on several lines. */
export function pretty(kind, text) {
  if (!kind.startsWith("json")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export class Structured {
  run = new Run("structured");
  #forms = { ...EXAMPLES };
  #kind = "regex";

  constructor() {
    const saved = kept(sessionStorage, "structured");
    if (saved) {
      Object.assign(this.#forms, saved.forms);
      byId("structured-question").value = saved.question;
      byId("kind").value = this.#kind = saved.kind;
    }
    byId("form").value = this.#forms[this.#kind];
    byId("kind").addEventListener("change", () => this.#changeKind());
    byId("structured-form").addEventListener("input", () => this.#keep());
    byId("structured-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.run.isRunning) this.run.stop();
      else this.#start();
    });
    for (const id of ["structured-question", "form"]) {
      byId(id).addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("structured-form").requestSubmit();
      });
    }
    this.run.addEventListener("change", () => this.#update());
    this.run.addEventListener("end", () => this.#end());
    this.#changeKind();
  }

  restore() {
    return this.run.restore();
  }

  #changeKind() {
    this.#kind = byId("kind").value;
    byId("form").value = this.#forms[this.#kind];
    byId("form-field").hidden = this.#kind === "json_object";
    this.#keep();
  }

  #keep() {
    this.#forms[this.#kind] = byId("form").value;
    keep(sessionStorage, "structured", { forms: this.#forms, kind: this.#kind, question: byId("structured-question").value });
  }

  async #start() {
    const error = byId("structured-error");
    showError(error, null);
    try {
      const keys = samplingKeys(samplingValues());
      keys.diffusion.constraint = constraint(this.#kind, byId("form").value);
      announce("Generating");
      const messages = [{ role: "user", content: byId("structured-question").value }];
      await this.run.start({ messages, ...keys });
    } catch (problem) {
      showError(error, problem);
    }
  }

  #update() {
    const { isRunning, state, recording } = this.run;
    showError(byId("structured-error"), state === "failed" ? this.run.error : null);
    byId("structured-send").textContent = isRunning ? "Stop" : "Generate";
    byId("structured-send").classList.toggle("stop", isRunning);
    const hasText = recording.started !== null;
    byId("structured-result").hidden = !hasText;
    if (hasText) byId("structured-text").textContent = state === "done" ? pretty(this.#kind, recording.text) : recording.text;
  }

  #end() {
    if (this.run.state === "done") announce(`Answer: ${this.run.recording.text}`);
  }
}

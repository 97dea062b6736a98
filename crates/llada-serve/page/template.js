/** Templates: a text with holes, which the model fills from both sides. Parts of a text are masked and filled again. */

import { json } from "./api.js";
import { announce, byId, element, keep, kept, showError } from "./dom.js";
import { frameAt, holes } from "./replay.js";
import { holesOf, mask, parse, resize, toTemplate } from "./marks.js";
import { Run } from "./run.js";
import { fillingKeys, samplingValues } from "./sampling.js";

const EXAMPLE =
  "Tell me a story that contains dragon, lamp.\n" +
  "In the[MASK:1 place] lived a[MASK:1 hero] with a[MASK:1 thing]. It was never[MASK:1 mood].";

export class Template {
  run = new Run("template");
  #editor = byId("template");
  #patterns = {};
  #fields = new Map();

  constructor() {
    const saved = kept(sessionStorage, "template");
    this.#editor.value = saved?.text ?? EXAMPLE;
    this.#patterns = saved?.patterns ?? {};
    this.#editor.addEventListener("input", () => this.#edited());
    this.#editor.addEventListener("keydown", (event) => this.#onKey(event));
    for (const name of ["select", "keyup", "pointerup"]) this.#editor.addEventListener(name, () => this.#selected());
    byId("mask").addEventListener("click", () => this.#mask());
    byId("fill").addEventListener("click", () => (this.run.isRunning ? this.run.stop() : this.#fill()));
    byId("keep").addEventListener("click", () => this.#keepFilled());
    this.run.addEventListener("change", () => this.#update());
    this.run.addEventListener("end", () => this.#end());
    this.#edited();
  }

  restore() {
    return this.run.restore();
  }

  #onKey(event) {
    const isCommand = event.ctrlKey || event.metaKey;
    if (isCommand && event.key === "Enter" && !this.run.isRunning) this.#fill();
    else if (isCommand && event.key.toLowerCase() === "m") this.#mask();
    else return;
    event.preventDefault();
  }

  /** Masks the selected text with as many tokens as it has. */
  async #mask() {
    const { selectionStart: start, selectionEnd: end, value } = this.#editor;
    if (start === end) return;
    // Words are masked without the spaces around them, which selections by double click have on some systems.
    const selected = value.slice(start, end);
    const trimmed = selected.trim() || selected;
    const from = start + selected.indexOf(trimmed);
    let tokens = Math.max(1, Math.round(trimmed.length / 4));
    try {
      tokens = (await json("POST", "/tokenize", { prompt: trimmed, add_special_tokens: false })).count;
    } catch {
      // The estimate is good enough; the number can be changed.
    }
    const masked = mask(value, from, from + trimmed.length, Math.max(tokens, 1));
    this.#editor.value = masked.text;
    this.#editor.setSelectionRange(masked.end, masked.end);
    this.#editor.focus();
    this.#edited();
  }

  async #fill() {
    showError(byId("template-error"), null);
    try {
      const template = toTemplate(this.#editor.value, this.#patterns);
      const tokens = holesOf(this.#editor.value).reduce((sum, hole) => sum + hole.most, 0);
      const keys = fillingKeys(samplingValues(), tokens);
      announce("Filling");
      await this.run.start({ template, ...keys });
    } catch (error) {
      showError(byId("template-error"), error);
    }
  }

  /** Makes the filled text the one that is edited, so that other parts of it can be masked. */
  #keepFilled() {
    this.#editor.value = this.run.recording.text;
    this.#edited();
    this.#editor.focus();
  }

  #update() {
    const { isRunning, state, recording } = this.run;
    showError(byId("template-error"), state === "failed" ? this.run.error : null);
    const hasFilled = state === "done";
    byId("fill").textContent = isRunning ? "Stop" : hasFilled ? "Fill again" : "Fill";
    byId("fill").classList.toggle("stop", isRunning);
    byId("filled").hidden = !hasFilled;
    if (recording.started) this.#showFilled(holes(frameAt(recording, recording.steps.length), recording.pieces));
    if (hasFilled) byId("filled-text").textContent = recording.text;
  }

  #end() {
    if (this.run.state === "done") announce(`Filled: ${this.run.recording.text}`);
  }

  #showFilled(filled) {
    for (const [index, output] of [...this.#fields.values()].entries()) {
      const hole = filled[index];
      output.textContent = hole ? `${hole.text.trim()} · ${(100 * hole.confidence).toFixed(0)} %` : "";
    }
  }

  #selected() {
    byId("mask").disabled = this.#editor.selectionStart === this.#editor.selectionEnd;
  }

  #edited() {
    const text = this.#editor.value;
    keep(sessionStorage, "template", { text, patterns: this.#patterns });
    const drawn = parse(text).map((part) => (part.written ? element("mark", {}, part.written) : part.text));
    // The last line break would not be shown without something after it.
    byId("template-under").replaceChildren(...drawn, "\u200b");
    const found = holesOf(text);
    byId("fill").disabled = found.length === 0 && !this.run.isRunning;
    this.#selected();
    if (!this.#hasFields(found)) this.#drawHoles(found);
  }

  #hasFields(found) {
    const names = found.map((hole) => `${hole.name}:${hole.least}-${hole.most}`).join();
    const isSame = byId("holes").dataset.names === names;
    byId("holes").dataset.names = names;
    return isSame;
  }

  #drawHoles(found) {
    this.#fields.clear();
    byId("holes").replaceChildren(...found.map((hole, index) => this.#drawHole(hole, index)));
  }

  #drawHole(hole, index) {
    const number = (name, value) =>
      element("input", { type: "number", min: 1, max: 256, value, "aria-label": `${name} tokens of ${hole.name}`, change: () => resized() });
    const [least, most] = [number("Fewest", hole.least), number("Most", hole.most)];
    const resized = () => {
      // The template may have been edited since, so the hole is looked for again.
      const current = holesOf(this.#editor.value)[index];
      const from = Math.max(1, +least.value || 1);
      this.#editor.value = resize(this.#editor.value, current, from, Math.max(from, +most.value || from));
      this.#edited();
    };
    const pattern = (this.#patterns[hole.name] ??= { kind: "regex", value: "" });
    const changed = () => {
      Object.assign(pattern, { kind: kind.value, value: value.value });
      value.placeholder = kind.value === "regex" ? "[a-z]+" : "fox | owl | bear";
      keep(sessionStorage, "template", { text: this.#editor.value, patterns: this.#patterns });
    };
    const options = [element("option", { value: "regex" }, "matches"), element("option", { value: "choice" }, "is one of")];
    const kind = element("select", { "aria-label": `Pattern of ${hole.name}`, change: changed }, ...options);
    const value = element("input", { type: "text", spellcheck: "false", "aria-label": `Pattern text of ${hole.name}`, input: changed });
    [kind.value, value.value] = [pattern.kind, pattern.value];
    changed();
    const output = element("output", {});
    this.#fields.set(hole.name + index, output);
    const sizes = element("span", { class: "sizes" }, least, "to", most, "tokens");
    return element("li", {}, element("b", {}, hole.name), sizes, element("span", { class: "pattern" }, kind, value), output);
  }
}

/** The strip above the scrubber: a bar for each step, as high as it committed tokens, in the colour of their confidence. */

import { shade } from "./replay.js";

const SVG = "http://www.w3.org/2000/svg";

export class Strip {
  #root;
  #bars = [];

  constructor(root) {
    this.#root = root;
  }

  /** Draws the steps; those after `shown` are pale. */
  draw(steps, shown) {
    // By the square root, or what a form forces at once would dwarf the rest.
    const highest = Math.max(1, ...steps.map((step) => Math.sqrt(count(step))));
    this.#root.setAttribute("viewBox", `0 0 ${Math.max(steps.length, 1)} 1`);
    while (this.#bars.length > steps.length) this.#bars.pop().remove();
    for (const [index, step] of steps.entries()) {
      const bar = (this.#bars[index] ??= this.#root.appendChild(document.createElementNS(SVG, "rect")));
      const height = Math.max(Math.sqrt(count(step)) / highest, 0.06);
      // A few steps would be broad blocks otherwise.
      const width = 0.8 * Math.min(1, steps.length / 12);
      const box = { x: index + 0.5 - width / 2, y: 1 - height, width, height };
      for (const [name, value] of Object.entries(box)) bar.setAttribute(name, value);
      bar.setAttribute("class", `${colour(step)}${index < shown ? "" : " ahead"}`);
    }
  }
}

function count(step) {
  return step.commits.length + step.forced.length;
}

function colour(step) {
  if (step.revoked.length > step.commits.length) return "revoked";
  if (step.commits.length === 0) return step.forced.length > 0 ? "forced" : "none";
  const sum = step.commits.reduce((total, [, , confidence]) => total + confidence, 0);
  return shade(sum / step.commits.length);
}

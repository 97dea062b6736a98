/** The cells of a canvas on the page: a list box, whose options are tokens that tell their step and confidence. */

import { element } from "./dom.js";
import { isControl, oneLine, pieceOf, shade } from "./replay.js";

/** The signs of control tokens, whose names are too long for a canvas. */
const SIGNS = { "<|endoftext|>": "⊣", "<|eot_id|>": "⊣", "<|startoftext|>": "⊢" };

/** Draws frames into an element, which keeps its cells from one frame to the next. */
export class Canvas extends EventTarget {
  #root;
  #cells = [];
  #frame = null;
  #pieces = {};
  #active = -1;
  #order = "";

  constructor(root) {
    super();
    this.#root = root;
    root.addEventListener("keydown", (event) => this.#onKey(event));
    root.addEventListener("pointerover", (event) => this.#activate(this.#cells.indexOf(event.target.closest(".cell"))));
    root.addEventListener("focus", () => this.#activate(Math.max(this.#active, 0)));
  }

  /** The cell that is pointed at, or null. */
  get active() {
    return this.#frame?.cells[this.#active] ?? null;
  }

  get activePosition() {
    return this.#active;
  }

  /**
   * Draws a frame. `widths` are the pieces that masks will become, by the keys of cells, if they are known: a mask is as
   * wide as its token then. `order` is the number of steps that colours go over, if they are those of the order.
   */
  draw(frame, pieces, { widths, order }) {
    [this.#frame, this.#pieces] = [frame, pieces];
    while (this.#cells.length < frame.cells.length) this.#cells.push(element("span", { role: "option" }));
    this.#cells.length = frame.cells.length;
    const children = [];
    for (const [position, cell] of frame.cells.entries()) {
      const node = this.#cells[position];
      const text = this.#text(cell, widths);
      const isSpaced = /^ \S/.test(text);
      const sign = signOf(isSpaced ? text.slice(1) : text);
      const isHidden = cell.isMask && cell.change !== "revoked";
      update(node, "id", `cell-${position}`);
      update(node, "class", `${this.#className(cell, text, order)}${isSpaced ? " spaced" : ""}`);
      update(node, "aria-label", describe(cell, position, pieces));
      update(node, "aria-selected", String(position === this.#active));
      const written = isHidden ? "" : sign;
      if (node.textContent !== written) node.textContent = written;
      node.style.minWidth = isHidden && sign ? `${[...sign].length}ch` : "";
      node.style.setProperty("--place", order && cell.step !== null ? (cell.step / Math.max(order - 1, 1)).toFixed(3) : "0");
      children.push(node);
      const next = frame.cells[position + 1];
      const breaks = !cell.isMask && text.endsWith("\n") && !(next && !next.isMask && this.#text(next).startsWith("\n"));
      if (breaks) children.push(element("br"));
    }
    this.#place(children);
    this.dispatchEvent(new Event("active"));
  }

  /** Puts cells and line breaks into the element, if it has others or has them in another order. */
  #place(children) {
    const order = children.map((child) => (child.tagName === "BR" ? "/" : ".")).join("");
    if (order === this.#order && this.#root.childElementCount === children.length) return;
    this.#order = order;
    this.#root.replaceChildren(...children);
  }

  #text(cell, widths) {
    if (cell.change === "revoked") return pieceOf(this.#pieces, cell.was);
    if (!cell.isMask) return pieceOf(this.#pieces, cell.id);
    return widths?.has(cell.key) ? pieceOf(this.#pieces, widths.get(cell.key)) : "";
  }

  #className(cell, text, order) {
    const names = ["cell"];
    if (cell.isMask) names.push("mask");
    else if (cell.isGiven) names.push("given");
    else names.push("token", order ? "ordered" : shade(cell.confidence));
    if (cell.isForced) names.push("forced");
    if (cell.change) names.push(cell.change);
    if (isControl(text)) names.push("control");
    return names.join(" ");
  }

  #activate(position) {
    if (position < 0 || position >= this.#cells.length) return;
    this.#cells[this.#active]?.setAttribute("aria-selected", "false");
    this.#active = position;
    this.#cells[position].setAttribute("aria-selected", "true");
    this.#root.setAttribute("aria-activedescendant", `cell-${position}`);
    this.dispatchEvent(new Event("active"));
  }

  #onKey(event) {
    const moves = { ArrowRight: this.#active + 1, ArrowLeft: this.#active - 1, Home: 0, End: this.#cells.length - 1 };
    const target = event.key === "ArrowDown" || event.key === "ArrowUp" ? this.#beside(event.key) : moves[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.#activate(Math.min(Math.max(target, 0), this.#cells.length - 1));
    this.#cells[this.#active]?.scrollIntoView({ block: "nearest" });
  }

  /** Returns the position of the nearest cell in the line above or below. */
  #beside(key) {
    const from = this.#cells[this.#active].getBoundingClientRect();
    const isBeside = (box) => (key === "ArrowDown" ? box.top >= from.bottom - 4 : box.bottom <= from.top + 4);
    let [best, least] = [this.#active, Infinity];
    for (const [position, node] of this.#cells.entries()) {
      const box = node.getBoundingClientRect();
      const distance = 10 * Math.abs(box.top - from.top) + Math.abs(box.left - from.left);
      if (isBeside(box) && distance < least) [best, least] = [position, distance];
    }
    return best;
  }
}

function update(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

function signOf(piece) {
  return isControl(piece) ? (SIGNS[piece] ?? "◇") : oneLine(piece);
}

/** Returns what is known of a cell, in words. */
export function describe(cell, position, pieces) {
  const quote = (id) => `“${oneLine(pieceOf(pieces, id))}”`;
  const text = quote(cell.id);
  if (cell.change === "revoked") return `${quote(cell.was)}, revoked, position ${position}`;
  if (cell.isMask) return `mask, position ${position}`;
  if (cell.isGiven) return `${text}, given, position ${position}`;
  const confidence = cell.isForced ? "forced by the form" : `confidence ${(100 * cell.confidence).toFixed(1)} %`;
  const others = cell.others.map(([id, probability]) => `, or ${quote(id)} ${(100 * probability).toFixed(1)} %`);
  return `${text}, step ${cell.step + 1}, ${confidence}${others.join("")}, position ${position}`;
}

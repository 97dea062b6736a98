/** A recording as files: the trace that `llada generate --trace` writes, and its picture. */

import { advance, finalPositions, firstFrame, forwards, frameAt, isControl, oneLine, pieceOf, shade } from "./replay.js";

/**
 * Returns the trace of a recording. Masks that were inserted later are part of its canvas, so all positions are those of
 * the final text.
 */
export function trace(recording) {
  const { started, steps, pieces, text, completed } = recording;
  const final = finalPositions(recording);
  const frame = firstFrame(started);
  const canvas = new Array(final.size).fill(started.mask_id);
  for (const cell of frame.cells) canvas[final.get(cell.key)] = cell.id;
  const traced = steps.map((step) => {
    advance(frame, step);
    const place = (position) => final.get(frame.cells[position].key);
    const chosen = step.commits.map(([position, token, confidence]) => ({ position: place(position), token, confidence }));
    const forced = step.forced.map(([position, token]) => ({ position: place(position), token, confidence: 1 }));
    return {
      step: step.step,
      block: step.block,
      nfe: step.nfe,
      commits: [...chosen, ...forced].sort((a, b) => a.position - b.position),
      revoked: step.revoked.map(place).sort((a, b) => a - b),
      forced: forced.map((commit) => commit.position).sort((a, b) => a - b),
      ...(step.log_mass === undefined ? {} : { log_mass: step.log_mass }),
    };
  });
  const told = { text, usage: completed?.usage, diffusion: completed?.diffusion };
  return { prompt_length: started.prompt_length, canvas, steps: traced, mask_id: started.mask_id, pieces, ...told };
}

/** The largest number of bands. If there are more steps, evenly spaced ones are drawn. */
const BANDS = 12;
const CHARACTER = 8;
const LINE = 26;
const WIDTH = 1000;
const MARGIN = 80;

const STYLE =
  "text { font: 13px ui-monospace, monospace; fill: #1f2328 } .label { fill: #656d76 } .mask { fill: #d0d7de } " +
  ".old { fill: #f0f3f6 } .sure { fill: #9be9a8 } .fair { fill: #ffe08a } .guessed { fill: #ffb3ab } .forced { fill: #a5d6ff }";

/** Returns the picture of a recording, with one band per step. */
export function svg(recording) {
  const cells = layout(recording);
  const band = ((cells.at(-1)?.line ?? 0) + 1) * LINE + LINE / 2;
  const counts = drawnSteps(recording.steps);
  const parts = [];
  let before = 0;
  for (const [number, count] of counts.entries()) {
    const top = number * band + LINE / 4;
    const nfe = forwards(recording, count);
    parts.push(`<text class="label" x="4" y="${top + 16}">${nfe === 0 ? "forced" : `step ${nfe}`}</text>`);
    const frame = frameAt(recording, count);
    const byKey = new Map(frame.cells.map((cell) => [cell.key, cell]));
    for (const { key, text, line, x, width } of cells) {
      const name = className(byKey.get(key), before);
      const y = top + line * LINE;
      parts.push(`<rect class="${name}" x="${x}" y="${y}" width="${width - 2}" height="${LINE - 4}" rx="4"/>`);
      const middle = x + width / 2 - 1;
      if (name !== "mask") parts.push(`<text text-anchor="middle" x="${middle}" y="${y + 16}">${escape(text)}</text>`);
    }
    before = count;
  }
  const height = counts.length * band;
  const size = `viewBox="0 0 ${WIDTH + MARGIN} ${height}" width="${WIDTH + MARGIN}" height="${height}"`;
  const paper = '<rect width="100%" height="100%" fill="#ffffff"/>';
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n<style>${STYLE}</style>\n${paper}\n${parts.join("\n")}\n</svg>\n`;
}

/** Returns the numbers of steps after which a band is drawn. What was forced before the first forward has its own. */
function drawnSteps(steps) {
  const first = steps.findIndex((step) => step.nfe > 0);
  const before = first === -1 ? steps.length : first;
  const bands = Math.min(steps.length - before, BANDS);
  const forced = Array.from({ length: before }, (_, index) => index + 1);
  const spaced = Array.from({ length: bands }, (_, band) => before + Math.floor(((band + 1) * (steps.length - before)) / bands));
  return [...forced, ...spaced];
}

/** Returns the places of the answer's cells, and of the prompt's if it had masks. They are as wide as the final tokens. */
function layout(recording) {
  const { cells } = frameAt(recording, recording.steps.length);
  const start = recording.started.prompt_length;
  const hasHoles = cells.some((cell, position) => position < start && !cell.isGiven) || cells.slice(start).some((cell) => cell.isGiven);
  const placed = [];
  let [line, x] = [0, MARGIN];
  for (const cell of hasHoles ? cells : cells.slice(start)) {
    const text = oneLine(pieceOf(recording.pieces, cell.id));
    const width = ([...text].length + 1) * CHARACTER + 2;
    if (x + width > MARGIN + WIDTH) [line, x] = [line + 1, MARGIN];
    placed.push({ key: cell.key, text: isControl(text) ? text : text.trim() || text, line, x, width });
    x += width;
  }
  return placed;
}

function className(cell, before) {
  if (!cell || cell.isMask) return "mask";
  if (cell.isGiven || cell.step < before) return "old";
  return cell.isForced ? "forced" : shade(cell.confidence);
}

function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

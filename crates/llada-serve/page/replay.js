/**
 * A generation as its events tell it, and its canvas after any step. Nothing here touches the page.
 *
 * The law of replay: from the canvas of `diffusion.started`, applying what was grown, revoked and committed, in this order,
 * gives the canvas after each step.
 */

/** The text that stands for a mask. */
export const MASK = "░";

/** Returns the class of a confidence: that of `llada generate --watch`. */
export function shade(confidence) {
  if (confidence >= 0.7) return "sure";
  return confidence >= 0.3 ? "fair" : "guessed";
}

/** Returns a recording to which nothing has happened. */
export function newRecording() {
  return { started: null, steps: [], pieces: {}, text: "", completed: null, failed: null, growth: null };
}

/** Adds an event to a recording. */
export function record(recording, name, data) {
  Object.assign(recording.pieces, data.pieces);
  switch (name) {
    case "diffusion.started":
      recording.started = data;
      break;
    case "diffusion.grown":
      recording.growth = { at: data.at, count: data.count };
      break;
    case "diffusion.step":
      recording.steps.push({ ...data, grown: recording.growth });
      recording.growth = null;
      break;
    case "diffusion.text.delta":
      recording.text += data.delta;
      break;
    case "diffusion.completed":
      recording.completed = data;
      recording.text = data.choices[0].text;
      break;
    case "diffusion.failed":
      recording.failed = data.error;
      break;
  }
}

/** Returns true if no event will follow. */
export function hasEnded(recording) {
  return recording.completed !== null || recording.failed !== null;
}

/**
 * A canvas after some steps. A cell keeps its key when others are inserted before it. `change` is what the last step did
 * to it ("committed", "revoked", "edited", "grown", or nothing), `was` the id that it had before, and `others` the
 * most probable alternatives of its token, ids with probabilities.
 */
function newCell(key, id, isGiven) {
  return { key, id, isGiven, isMask: !isGiven, step: null, confidence: null, isForced: false, others: [], change: "", was: null };
}

/** Returns the canvas before the first step. */
export function firstFrame({ canvas, mask_id }) {
  const cells = canvas.map((id, position) => newCell(position, id, id !== mask_id));
  return { cells, keys: canvas.length, maskId: mask_id, steps: 0 };
}

/** Applies a step to a canvas. */
export function advance(frame, step) {
  for (const cell of frame.cells) {
    cell.change = "";
    cell.was = null;
  }
  if (step.grown) {
    const grown = Array.from({ length: step.grown.count }, () => newCell(frame.keys++, frame.maskId, false));
    for (const cell of grown) cell.change = "grown";
    frame.cells.splice(Math.min(step.grown.at, frame.cells.length), 0, ...grown);
  }
  for (const position of step.revoked) {
    const cell = frame.cells[position];
    const mask = { id: frame.maskId, isMask: true, step: null, confidence: null, isForced: false, others: [] };
    if (cell) Object.assign(cell, mask, { change: "revoked", was: cell.id });
  }
  for (const [position, id, confidence] of step.commits) commit(frame, position, id, confidence, false);
  for (const [position, id] of step.forced) commit(frame, position, id, 1, true);
  for (const [position, ids] of step.alternatives ?? []) {
    const cell = frame.cells[position];
    if (cell) cell.others = ids.filter(([id]) => id !== cell.id);
  }
  frame.steps += 1;
}

function commit(frame, position, id, confidence, isForced) {
  const cell = frame.cells[position];
  if (!cell) return;
  const edited = cell.isMask ? { change: "committed" } : { change: "edited", was: cell.id };
  Object.assign(cell, { id, isMask: false, step: frame.steps, confidence, isForced, others: [] }, edited);
}

/** Returns the canvas after this number of steps. */
export function frameAt(recording, count) {
  const frame = firstFrame(recording.started);
  for (const step of recording.steps.slice(0, count)) advance(frame, step);
  return frame;
}

/** Returns the final position of each cell, by its key. Cells that are inserted later count. */
export function finalPositions(recording) {
  const { cells } = frameAt(recording, recording.steps.length);
  return new Map(cells.map((cell, position) => [cell.key, position]));
}

/** Returns the number of forwards up to this number of steps. */
export function forwards(recording, count) {
  return recording.steps.slice(0, count).reduce((sum, step) => sum + step.nfe, 0);
}

/** Returns what the filled holes of a canvas say: the text and the mean confidence of each run that was not given. */
export function holes(frame, pieces) {
  const found = [];
  let hole = null;
  for (const cell of frame.cells) {
    if (cell.isGiven) {
      hole = null;
      continue;
    }
    if (!hole) found.push((hole = { text: "", confidence: 0, tokens: 0 }));
    hole.text += cell.isMask ? MASK : pieceOf(pieces, cell.id);
    hole.confidence += ((cell.confidence ?? 0) - hole.confidence) / (hole.tokens + 1);
    hole.tokens += 1;
  }
  return found;
}

/** Returns the text of a token. */
export function pieceOf(pieces, id) {
  return pieces[id] ?? `[${id}]`;
}

/** Returns true for the pieces of control tokens, such as the end of a turn. */
export function isControl(piece) {
  return /^<[|｜].*[|｜]>$/.test(piece);
}

/** Returns a piece on one line: with signs for line breaks, and dots for other control characters. */
export function oneLine(piece) {
  return piece.replaceAll("\n", "⏎").replace(/\p{Cc}/gu, "·");
}

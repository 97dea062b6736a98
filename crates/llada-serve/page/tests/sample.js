/** A recording for tests. */

import { newRecording, record } from "../replay.js";

export const MASK_ID = 9;

/** A recording in which a token is revoked, one is forced, and masks are inserted. */
export function sample() {
  const recording = newRecording();
  const pieces = { 1: "Hi", 2: " a", 3: " b", 4: "<|eot_id|>", 9: "<|mask|>" };
  record(recording, "diffusion.started", { prompt_length: 1, canvas: [1, 9, 9, 9], pieces, mask_id: MASK_ID, seed: 7 });
  const step = (values) =>
    record(recording, "diffusion.step", { block: 0, nfe: 1, commits: [], forced: [], revoked: [], masked: 0, settled: 1, pieces: {}, ...values });
  step({ step: 0, commits: [[3, 4, 0.9]], forced: [[1, 2]], alternatives: [[3, [[4, 0.9], [2, 0.06]]]] });
  record(recording, "diffusion.grown", { at: 2, count: 2 });
  step({ step: 1, commits: [[2, 3, 0.2]], alternatives: [[2, [[2, 0.3], [3, 0.2]]]] });
  step({ step: 2, revoked: [2], commits: [[4, 3, 0.5]] });
  step({ step: 3, commits: [[2, 2, 0.8], [3, 3, 0.7]] });
  record(recording, "diffusion.text.delta", { delta: " a" });
  return recording;
}

/** The numbers of a run at a step. */

import { element } from "./dom.js";
import { forwards } from "./replay.js";

/** Shows the numbers in a description list. */
export function numbers(list, run, frame, shown) {
  const values = describe(run, frame, shown);
  const items = Object.entries(values).filter(([, { text }]) => text !== null);
  list.replaceChildren(
    ...items.map(([name, { text, title }]) => element("div", { title }, element("dt", {}, name), element("dd", {}, text))),
  );
}

function describe(run, frame, shown) {
  const { recording, times } = run;
  const { steps, completed, started } = recording;
  const usage = completed?.usage.diffusion;
  const nfe = forwards(recording, shown);
  const applied = steps.slice(0, shown);
  const sum = (count) => applied.reduce((total, step) => total + count(step), 0);
  const committed = sum((step) => step.commits.length + step.forced.length);
  const [revoked, forced] = [sum((step) => step.revoked.length), sum((step) => step.forced.length)];
  const mass = applied.findLast((step) => step.log_mass !== undefined)?.log_mass;
  const masks = frame.cells.filter((cell) => cell.isMask).length;
  return {
    Forwards: { text: `${nfe}`, title: "Forward evaluations of the model so far (NFE)" },
    "Tokens/forward": { text: nfe > 0 ? (committed / nfe).toFixed(2) : "–", title: "Committed tokens by forward" },
    "ms/forward": { text: perForward(usage, times, recording), title: "Milliseconds that a forward takes" },
    Queue: { text: usage ? seconds(usage.queue_seconds) : "–", title: "Time before the first forward" },
    Masks: { text: `${masks}`, title: "Positions that are still masked" },
    Forced: { text: forced > 0 ? `${forced}` : null, title: "Tokens that the form left no choice in: they took no forward" },
    Revoked: { text: revoked > 0 ? `${revoked}` : null, title: "Tokens that became masks again" },
    "Log mass": {
      text: mass === undefined ? null : mass.toFixed(2).replace("-0.00", "0.00"),
      title: "Log-probability, in nats, that independent tokens would have kept the form",
    },
    Seed: { text: `${started.seed}`, title: "The seed, which repeats this answer" },
    "Ended by": { text: ending(run), title: "Why the answer has ended" },
  };
}

function perForward(usage, times, recording) {
  if (usage) return usage.nfe > 0 ? ((1000 * usage.run_seconds) / usage.nfe).toFixed(1) : "–";
  if (times.length < 2) return "–";
  return ((times.at(-1) - times[0]) / Math.max(forwards(recording, times.length) - recording.steps[0].nfe, 1)).toFixed(1);
}

function ending(run) {
  if (run.state === "stopped") return "you";
  const reason = run.recording.completed?.diffusion.stop_reason;
  return { eos: "end token", length: "length", stop: "stop", deadline: "deadline" }[reason] ?? reason ?? null;
}

function seconds(value) {
  return value < 1 ? `${(1000 * value).toFixed(0)} ms` : `${value.toFixed(1)} s`;
}

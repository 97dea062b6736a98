/** The stage: the canvas of a run, with what moves it through the steps, its numbers, and its export. */

import { Canvas, describe } from "./canvas.js";
import { byId, save } from "./dom.js";
import { svg, trace } from "./export.js";
import { numbers } from "./numbers.js";
import { frameAt, hasEnded, newRecording } from "./replay.js";
import { Strip } from "./strip.js";

/** The shortest time for which a step is visible while a run is followed, in milliseconds. */
const FRAME = 60;
/** The time of a step when a run is played again at speed 1, in milliseconds. */
const STEP = 300;

export class Stage {
  #run = null;
  /** The number of steps that are shown. */
  #shown = 0;
  /** What moves the steps: "follow" keeps up with the run, "play" replays it, "rest" leaves it to the reader. */
  #mode = "rest";
  #timer = null;
  #canvas = new Canvas(byId("canvas"));
  #strip = new Strip(byId("strip"));
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #onChange = () => this.#update();

  constructor() {
    const go = { first: () => 0, previous: () => this.#shown - 1, next: () => this.#shown + 1, last: () => Infinity };
    for (const [id, target] of Object.entries(go)) byId(id).addEventListener("click", () => this.seek(target()));
    byId("play").addEventListener("click", () => this.togglePlay());
    byId("scrubber").addEventListener("input", (event) => this.seek(+event.target.value));
    byId("colours").addEventListener("change", () => this.#draw());
    byId("export-json").addEventListener("click", () => this.#export("json", "application/json"));
    byId("export-svg").addEventListener("click", () => this.#export("svg", "image/svg+xml"));
    this.#canvas.addEventListener("active", () => this.#detail());
    this.#draw();
  }

  /** Shows a run from now on: as it goes on, or its last step. */
  show(run) {
    this.#run?.removeEventListener("change", this.#onChange);
    this.#run = run;
    run.addEventListener("change", this.#onChange);
    this.#shown = run.recording.steps.length;
    this.#setMode(run.isRunning ? "follow" : "rest");
    this.#update();
  }

  /** Shows the canvas after this number of steps. */
  seek(count) {
    this.#setMode("rest");
    this.#shown = Math.min(Math.max(count, 0), this.#recording.steps.length);
    this.#draw();
  }

  /** Plays the steps, from the beginning if the end is shown, or pauses. */
  togglePlay() {
    if (this.#mode !== "rest") {
      this.#setMode("rest");
    } else {
      if (this.#shown >= this.#recording.steps.length) this.#shown = 0;
      this.#setMode(hasEnded(this.#recording) ? "play" : "follow");
    }
    this.#draw();
  }

  get #recording() {
    return this.#run?.recording ?? newRecording();
  }

  #setMode(mode) {
    this.#mode = mode;
    clearTimeout(this.#timer);
    this.#timer = null;
    if (mode !== "rest") this.#schedule();
  }

  #update() {
    const { started, steps } = this.#recording;
    if (!started || this.#shown > steps.length) this.#shown = 0;
    if (!started && this.#run?.isRunning) this.#setMode("follow");
    if (this.#mode === "follow") this.#schedule();
    if (this.#mode === "follow" && this.#calm.matches) this.#shown = steps.length;
    this.#draw();
  }

  /** Waits for the time of the next step, unless it is being waited for. */
  #schedule() {
    const pause = this.#mode === "play" ? STEP / byId("speed").value : FRAME;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#tick();
    }, pause);
  }

  #tick() {
    const behind = this.#recording.steps.length - this.#shown;
    // A run that is far ahead is caught up with in some twenty frames.
    if (behind > 0) this.#shown += this.#mode === "follow" ? Math.ceil(behind / 20) : 1;
    if (this.#shown < this.#recording.steps.length) this.#schedule();
    else if (this.#mode === "play" || hasEnded(this.#recording)) this.#mode = "rest";
    this.#draw();
  }

  #draw() {
    const recording = this.#recording;
    const { started, steps, pieces } = recording;
    byId("empty").hidden = started !== null;
    byId("shown").hidden = started === null;
    if (!started) return;
    const frame = frameAt(recording, this.#shown);
    const widths = hasEnded(recording) ? this.#finalIds() : null;
    const order = byId("colours").value === "order" ? steps.length : 0;
    byId("canvas").classList.toggle("complete", widths !== null);
    this.#canvas.draw(frame, pieces, { widths, order });
    this.#strip.draw(steps, this.#shown);
    const scrubber = byId("scrubber");
    [scrubber.max, scrubber.value] = [steps.length, this.#shown];
    scrubber.setAttribute("aria-valuetext", `step ${this.#shown} of ${steps.length}`);
    byId("step").textContent = `${this.#shown} / ${steps.length}`;
    const isMoving = this.#mode !== "rest";
    byId("play").setAttribute("aria-label", isMoving ? "Pause" : "Play the steps");
    byId("play").classList.toggle("moving", isMoving);
    for (const id of ["export-json", "export-svg"]) byId(id).disabled = !hasEnded(recording);
    numbers(byId("numbers"), this.#run, frame, this.#shown);
  }

  /** Returns what each cell has become in the end, by its key. */
  #finalIds() {
    const { cells } = frameAt(this.#recording, this.#recording.steps.length);
    return new Map(cells.filter((cell) => !cell.isMask).map((cell) => [cell.key, cell.id]));
  }

  #detail() {
    const { active, activePosition } = this.#canvas;
    const hint = "Point at a token, or move to it with the arrow keys.";
    byId("detail").textContent = active ? describe(active, activePosition, this.#recording.pieces) : hint;
  }

  #export(extension, type) {
    const name = `generation-${this.#recording.completed?.diffusion.seed ?? "stopped"}.${extension}`;
    const text = extension === "svg" ? svg(this.#recording) : JSON.stringify(trace(this.#recording), null, 2);
    save(name, type, text);
  }
}

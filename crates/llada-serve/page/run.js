/** A generation: it is started, followed, stopped, and taken up again after the page was loaded anew. */

import { ApiError, newId, send } from "./api.js";
import { keep, kept } from "./dom.js";
import { hasEnded, newRecording, record } from "./replay.js";
import { follow } from "./stream.js";

const LAST = ["diffusion.completed", "diffusion.failed"];

/** The number of most probable tokens that are told of each commit. */
const ALTERNATIVES = 4;

/**
 * The generation of a panel. It dispatches "change" after each event, and "end" when `state` has become "done", "stopped" or
 * "failed"; before, it is "idle", "waiting" or "running".
 */
export class Run extends EventTarget {
  #id = null;
  #isStopping = false;

  constructor(panel) {
    super();
    this.panel = panel;
    this.#reset("idle");
  }

  get isRunning() {
    return this.state === "waiting" || this.state === "running";
  }

  /** Starts a generation with this body. */
  async start(body) {
    this.#reset("waiting");
    this.#id = newId();
    keep(sessionStorage, `run.${this.panel}`, { id: this.#id });
    const headers = { "x-request-id": this.#id };
    body = { logprobs: ALTERNATIVES, ...body };
    await this.#follow((last) =>
      last === null ? send("POST", "/v1/diffusion/generate", { body, headers }) : this.#events(last),
    );
  }

  /** Takes up the generation that was running when the page was left, or shows the one that had ended. */
  async restore() {
    const saved = kept(sessionStorage, `run.${this.panel}`);
    if (!saved) return;
    this.#reset("waiting");
    this.#id = saved.id;
    if (saved.recording) {
      this.recording = saved.recording;
      this.#end();
    } else {
      await this.#follow((last) => this.#events(last));
    }
  }

  /** Cancels the generation. */
  async stop() {
    if (!this.isRunning) return;
    this.#isStopping = true;
    try {
      await send("DELETE", `/v1/diffusion/generations/${this.#id}`);
    } catch (error) {
      // It is not accepted yet, and is cancelled when its first event comes; or it has just ended.
      if (error.status !== 404) this.#fail(error);
    }
  }

  /** Forgets the generation. */
  forget() {
    sessionStorage.removeItem(`llada.run.${this.panel}`);
    this.#id = null;
    this.#reset("idle");
    this.#tell("change");
  }

  #reset(state) {
    Object.assign(this, { recording: newRecording(), state, error: null, times: [] });
    this.#isStopping = false;
  }

  #events(last) {
    const headers = last === null ? {} : { "last-event-id": last };
    return send("GET", `/v1/diffusion/generations/${this.#id}/events`, { headers });
  }

  async #follow(open) {
    const id = this.#id;
    this.#tell("change");
    try {
      for await (const { name, data } of follow(open, LAST)) {
        if (this.#id !== id) return;
        this.#take(name, JSON.parse(data));
      }
    } catch (error) {
      if (this.#id === id) this.#fail(error);
    }
  }

  #take(name, data) {
    record(this.recording, name, data);
    if (name === "diffusion.started") {
      this.state = "running";
      if (this.#isStopping) this.stop();
    }
    if (name === "diffusion.step") this.times.push(performance.now());
    if (hasEnded(this.recording)) this.#end();
    else this.#tell("change");
  }

  #end() {
    const { failed } = this.recording;
    if (failed && failed.code !== "cancelled") {
      this.#fail(new ApiError(500, failed));
      return;
    }
    this.state = failed ? "stopped" : "done";
    keep(sessionStorage, `run.${this.panel}`, { id: this.#id, recording: this.recording });
    this.#tell("change");
    this.#tell("end");
  }

  #fail(error) {
    const isOffline = error instanceof TypeError;
    this.error = isOffline ? new Error("The server cannot be reached.") : error;
    this.state = this.#isStopping ? "stopped" : "failed";
    sessionStorage.removeItem(`llada.run.${this.panel}`);
    this.#tell("change");
    this.#tell("end");
  }

  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

/** The chat: a conversation whose answers are generated on the stage. */

import { announce, byId, element, keep, kept, showError } from "./dom.js";
import { Run } from "./run.js";
import { samplingKeys, samplingValues } from "./sampling.js";

/** Questions that are offered before the first message. */
const TINY = [
  "What is 345 + 78?",
  "Sort 42, 7, 88, 15 from smallest to largest.",
  "Tell me a story that contains dragon, lamp.",
  "Solve this 4x4 sudoku: 1204341021434321",
];
const OTHERS = [
  "Explain diffusion language models in two sentences.",
  "Write a haiku about a llama.",
  "Lily runs 12 km/h for 4 hours, then 6 km/h. How far does she run in 8 hours?",
];

export class Chat {
  run = new Run("chat");
  #messages = kept(sessionStorage, "chat") ?? [];
  #answer = null;

  constructor() {
    const question = byId("question");
    byId("chat-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.run.isRunning) this.run.stop();
      else this.#ask(question.value);
    });
    question.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.run.isRunning) this.#ask(question.value);
    });
    byId("chat-new").addEventListener("click", () => this.#clear());
    this.run.addEventListener("change", () => this.#update());
    this.run.addEventListener("end", () => this.#end());
    this.#drawAll();
  }

  /** Takes up the generation that the page was left with. */
  async restore() {
    await this.run.restore();
    // The server has forgotten a generation that nobody has followed for a while.
    if (this.run.error?.status === 404) this.#remove("The answer was lost: the server has not kept it.");
  }

  /** Offers questions that the model can answer. */
  offer(model) {
    const isTiny = /tiny/.test(model);
    const questions = isTiny ? TINY : OTHERS;
    // llada-tiny has learnt single questions.
    byId("remember").checked = !isTiny;
    const offers = questions.map((text) => element("button", { type: "button", class: "offer", click: () => this.#ask(text) }, text));
    byId("offers").replaceChildren(...offers);
  }

  #ask(text) {
    const content = text.trim();
    if (!content || this.run.isRunning) return;
    let keys;
    try {
      keys = samplingKeys(samplingValues());
    } catch (error) {
      showError(byId("chat-error"), error);
      return;
    }
    byId("question").value = "";
    this.#messages.push({ role: "user", content });
    const messages = byId("remember").checked ? [...this.#messages] : this.#messages.slice(-1);
    this.#messages.push({ role: "assistant", content: "" });
    this.#drawAll();
    announce("Generating");
    this.run.start({ messages, ...keys });
  }

  #update() {
    showError(byId("chat-error"), this.run.state === "failed" ? this.run.error : null);
    const isRunning = this.run.isRunning;
    byId("send").textContent = isRunning ? "Stop" : "Send";
    byId("send").classList.toggle("stop", isRunning);
    if (!this.#answer || this.run.state === "idle") return;
    this.#answer.textContent = this.run.recording.text;
    this.#answer.classList.toggle("writing", isRunning);
    byId("messages").scrollTop = byId("messages").scrollHeight;
  }

  #end() {
    const { text } = this.run.recording;
    if (this.run.state === "failed") {
      this.#remove(this.run.error.message);
      return;
    }
    this.#messages.at(-1).content = text;
    if (this.run.state === "stopped") this.#messages.at(-1).isStopped = true;
    this.#drawAll();
    announce(this.run.state === "stopped" ? "Stopped" : `Answer: ${text}`);
  }

  /** Takes back the last question, whose answer has failed. */
  #remove(message) {
    if (this.#messages.at(-1)?.role === "assistant" && !this.#messages.at(-1).content) {
      this.#messages.pop();
      byId("question").value ||= this.#messages.pop().content;
    }
    this.#drawAll();
    showError(byId("chat-error"), new Error(message));
  }

  async #clear() {
    await this.run.stop();
    this.run.forget();
    this.#messages = [];
    this.#drawAll();
    byId("question").focus();
  }

  #drawAll() {
    keep(sessionStorage, "chat", this.#messages);
    const drawn = this.#messages.map(({ role, content, isStopped }) => {
      const name = role === "user" ? "You" : "Answer";
      const text = element("p", {}, content);
      return element("li", { class: `${role}${isStopped ? " stopped" : ""}` }, element("span", { class: "who" }, name), text);
    });
    byId("messages").replaceChildren(...drawn);
    const last = drawn.at(-1);
    this.#answer = last?.classList.contains("assistant") ? last.querySelector("p") : null;
    byId("welcome").hidden = drawn.length > 0;
    byId("chat-new").hidden = drawn.length === 0;
    byId("messages").scrollTop = byId("messages").scrollHeight;
  }
}

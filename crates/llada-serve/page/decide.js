/** Decisions: typed questions about a text, which are answered by probabilities. */

import { json } from "./api.js";
import { announce, bar, byId, element, showError } from "./dom.js";
import { linesOf } from "./marks.js";

const KINDS = { predicate: "Yes or no", choice: "One of several", score: "A level" };

/** What is asked at first. llada-tiny knows sums, and nothing of texts. */
const TINY = {
  text: "",
  questions: [
    { type: "choice", name: "sum", instructions: "What is 345 + 78?", options: "423\n413\n324" },
    { type: "score", name: "size", instructions: "What is 2 + 3?", options: "4\n5\n6" },
  ],
};
const OTHERS = {
  text: "The parcel came two days late, and the lamp in it was broken. I would like my money back.",
  questions: [
    { type: "predicate", name: "complaint", instructions: "Is this a complaint?", options: "" },
    { type: "choice", name: "topic", instructions: "What is it mostly about?", options: "delivery\ndamage\nprice" },
    { type: "score", name: "urgency", instructions: "How urgent is it?", options: "low\nmedium\nhigh" },
  ],
};

/** Returns a question as the server takes it. An option is a line: its value, and its description after a colon. */
export function toQuestion({ type, name, instructions, options }) {
  const question = { type, name, instructions };
  if (type === "choice") question.choices = linesOf(options).map(toChoice);
  if (type === "score") question.levels = linesOf(options).map((label) => ({ label }));
  return question;
}

function toChoice(line) {
  const [value, ...description] = line.split(":");
  return description.length > 0 ? { value: value.trim(), description: description.join(":").trim() } : { value: line };
}

/** Returns the bars of an answer: labels, probabilities and standard errors. */
export function toBars(answer) {
  const { type, probability, standard_error, probabilities } = answer;
  if (type === "predicate") return [{ label: "yes", probability, standard_error }];
  return probabilities.map(({ label, value, ...option }) => ({ label: label ?? value, ...option }));
}

/** Returns the decision of an answer in words. */
export function verdict(answer) {
  if (answer.type === "predicate") return answer.probability >= 0.5 ? "yes" : "no";
  const error = answer.standard_error > 0 ? ` ± ${answer.standard_error.toFixed(2)}` : "";
  const value = answer.type === "choice" ? answer.choice : `level ${answer.score.toFixed(2)}${error}`;
  return `${value} (confidence ${answer.confidence.toFixed(2)})`;
}

export class Decide {
  #questions = [];

  constructor() {
    byId("question-add").addEventListener("click", () => {
      this.#add({ type: "choice", name: `question_${this.#questions.length + 1}`, instructions: "", options: "" });
      this.#questions.at(-1).instructions.focus();
    });
    byId("decide-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#decide();
    });
  }

  /** Fills the form with questions that the model can answer, if it is empty. */
  offer(model) {
    if (this.#questions.length > 0) return;
    const { text, questions } = /tiny/.test(model) ? TINY : OTHERS;
    byId("decide-input").value = text;
    for (const question of questions) this.#add(question);
  }

  #add(question) {
    const field = (tag, label, value, attributes = {}) => {
      const input = element(tag, { ...attributes, "aria-label": label, placeholder: label });
      input.value = value;
      return input;
    };
    const kinds = Object.entries(KINDS).map(([value, text]) => element("option", { value }, text));
    const type = element("select", { "aria-label": "Kind of question", change: () => (options.hidden = type.value === "predicate") }, ...kinds);
    type.value = question.type;
    const name = field("input", "Name", question.name, { type: "text", spellcheck: "false" });
    const instructions = field("input", "Question", question.instructions, { type: "text" });
    const options = field("textarea", "Options, one a line", question.options, { rows: 3 });
    options.hidden = question.type === "predicate";
    const answer = element("div", { class: "answer" });
    const row = { type, name, instructions, options, answer };
    const remove = element("button", { type: "button", class: "quiet", "aria-label": "Remove the question", click: () => this.#remove(row) }, "×");
    row.item = element("li", {}, element("div", { class: "head" }, type, name, remove), instructions, options, answer);
    this.#questions.push(row);
    byId("questions").append(row.item);
  }

  #remove(row) {
    this.#questions = this.#questions.filter((other) => other !== row);
    row.item.remove();
    byId("question-add").focus();
  }

  async #decide() {
    const button = byId("decide-send");
    button.disabled = true;
    showError(byId("decide-error"), null);
    const values = ({ type, name, instructions, options }) => ({
      type: type.value,
      name: name.value,
      instructions: instructions.value,
      options: options.value,
    });
    try {
      const questions = this.#questions.map((row) => toQuestion(values(row)));
      const { answers } = await json("POST", "/v1/decisions", { input: byId("decide-input").value, questions });
      for (const [index, row] of this.#questions.entries()) this.#show(row, answers[index]);
      announce(answers.map(({ name, ...answer }) => `${name}: ${verdict(answer)}`).join(", "));
    } catch (error) {
      const isMissing = error.status === 404;
      showError(byId("decide-error"), isMissing ? new Error("This server makes no decisions.") : error);
    } finally {
      button.disabled = false;
    }
  }

  #show(row, answer) {
    const bars = toBars(answer);
    const highest = Math.max(...bars.map(({ probability }) => probability));
    const drawn = bars.map(({ label, probability, standard_error }) => {
      const error = standard_error ?? 0;
      const text = `${(100 * probability).toFixed(1)} %${error > 0 ? ` ± ${(100 * error).toFixed(1)}` : ""}`;
      return bar({ label, value: probability, error, text, isBest: probability === highest });
    });
    row.answer.replaceChildren(element("p", { class: "verdict" }, verdict(answer)), ...drawn);
  }
}

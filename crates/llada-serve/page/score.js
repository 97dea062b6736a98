/** Scores: how probable answers to a question are, with the errors of the estimates. */

import { json } from "./api.js";
import { announce, bar, byId, element, showError } from "./dom.js";
import { linesOf } from "./marks.js";

/** Returns each answer's share of the probability of all, and its error by those of the log-likelihoods. */
export function shares(scores) {
  const highest = Math.max(...scores.map((score) => score.log_likelihood));
  const weights = scores.map((score) => Math.exp(score.log_likelihood - highest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const all = weights.map((weight) => weight / total);
  return all.map((share, index) => {
    // The derivative of a share by its own log-likelihood is s(1 − s), by another one −s sⱼ.
    const parts = scores.map((score, other) => ((other === index ? 1 : 0) - all[other]) * score.standard_error);
    return { share, error: share * Math.hypot(...parts) };
  });
}

export class Score {
  constructor() {
    byId("score-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#score();
    });
  }

  async #score() {
    const answers = linesOf(byId("answers").value);
    const question = byId("score-question").value;
    const asked = byId("score-as").value === "chat" ? { messages: [{ role: "user", content: question }] } : { prompt: question };
    const button = byId("score-send");
    button.disabled = true;
    showError(byId("score-error"), null);
    try {
      const body = { ...asked, answers, mc_num: +byId("mc-num").value, seed: +byId("score-seed").value };
      this.#show(answers, await json("POST", "/v1/score", body));
    } catch (error) {
      showError(byId("score-error"), error);
    } finally {
      button.disabled = false;
    }
  }

  #show(answers, { scores, usage }) {
    const all = shares(scores);
    const best = all.reduce((best, { share }, index) => (share > all[best].share ? index : best), 0);
    const bars = scores.map((score, index) => {
      const { share, error } = all[index];
      const text = `${(100 * share).toFixed(1)} %`;
      const isBest = index === best;
      return element("li", {}, bar({ label: answers[score.index], value: share, error, text, isBest }), facts(score));
    });
    byId("scores").replaceChildren(...bars);
    byId("scores-note").textContent =
      `${usage.diffusion.nfe} forwards, ${(1000 * usage.diffusion.run_seconds).toFixed(0)} ms. ` +
      "A bar is the answer's share of the probability of all answers; its whisker is one standard error.";
    byId("score-result").hidden = false;
    announce(`Most probable: ${answers[best]}`);
  }
}

function facts(score) {
  const { log_likelihood, standard_error, nats_per_token, tokens, n } = score;
  const told = [
    `log p = ${log_likelihood.toFixed(2)} ± ${standard_error.toFixed(2)}`,
    `${nats_per_token.toFixed(2)} nats a token`,
    `${tokens} ${tokens === 1 ? "token" : "tokens"}`,
    `n = ${n}`,
  ];
  return element("p", { class: "facts" }, told.join(" · "));
}

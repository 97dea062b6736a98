/** The page: its panels, the model that is served, the key, and the keys that work everywhere. */

import { KEY_NEEDED, hasKey, json, setKey } from "./api.js";
import { Chat } from "./chat.js";
import { Decide } from "./decide.js";
import { byId } from "./dom.js";
import { prepareSampling } from "./sampling.js";
import { Score } from "./score.js";
import { Stage } from "./stage.js";
import { Structured } from "./structured.js";
import { Template } from "./template.js";

prepareSampling();
const stage = new Stage();
const panels = { chat: new Chat(), template: new Template(), structured: new Structured(), decide: new Decide(), score: new Score() };
const tabs = Object.keys(panels).map((name) => byId(`tab-${name}`));
let shown = "chat";

/** Shows a panel, and its run on the stage if it has one. */
function show(name) {
  shown = name;
  for (const tab of tabs) {
    const isShown = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(isShown));
    tab.tabIndex = isShown ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !isShown;
  }
  const { run } = panels[name];
  byId("stage").hidden = !run;
  byId("sampler").hidden = !run;
  byId("main").classList.toggle("alone", !run);
  if (run) stage.show(run);
}

function showFromHash() {
  const name = location.hash.slice(1);
  show(name in panels ? name : "chat");
}

for (const [index, tab] of tabs.entries()) {
  tab.addEventListener("click", () => (location.hash = tab.id.slice("tab-".length)));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(index + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
}
window.addEventListener("hashchange", showFromHash);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !byId("key-dialog").open) panels[shown].run?.stop();
  const isFree = event.target === document.body || event.target.id === "canvas" || event.target.id === "scrubber";
  if (event.key === " " && isFree && panels[shown].run) {
    event.preventDefault();
    stage.togglePlay();
  }
});

/** Shows the model's name, and whether the server answers. */
async function showModel() {
  const place = byId("model");
  try {
    const { data } = await json("GET", "/v1/models");
    const [{ id, max_model_len }] = data;
    place.textContent = id;
    place.title = `At most ${max_model_len} tokens with the prompt`;
    byId("max-tokens").max = max_model_len;
    document.title = `${id} · LLaDA`;
    place.dataset.state = "ready";
    panels.chat.offer(id);
    panels.decide.offer(id);
  } catch (error) {
    place.textContent = error.status === 401 ? "a key is needed" : "no answer";
    place.dataset.state = "missing";
  }
}

const dialog = byId("key-dialog");
const openDialog = () => {
  if (!dialog.open) dialog.showModal();
};
byId("key").addEventListener("click", openDialog);
window.addEventListener(KEY_NEEDED, openDialog);
byId("key-cancel").addEventListener("click", () => dialog.close());
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(byId("key-field").value.trim());
  byId("key-field").value = "";
  byId("key").classList.toggle("set", hasKey());
  dialog.close();
  showModel();
});
byId("key").classList.toggle("set", hasKey());

for (const panel of Object.values(panels)) panel.restore?.();
showFromHash();
showModel();

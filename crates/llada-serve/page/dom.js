/** Elements of the page. */

/** Creates an element. Attributes whose value is a function are listeners; those that are null or false are left out. */
export function element(tag, attributes = {}, ...children) {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") created.addEventListener(name, value);
    else if (value !== null && value !== false) created.setAttribute(name, value === true ? "" : value);
  }
  created.append(...children);
  return created;
}

/** Returns the element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Tells a message to screen readers. */
export function announce(message) {
  byId("status").textContent = message;
}

/** Shows an error in its place, or removes it. */
export function showError(place, error) {
  place.textContent = error ? error.message : "";
  place.hidden = !error;
  if (error) announce(`Error: ${error.message}`);
}

/** A horizontal bar of a value from 0 to 1, with its standard error as a whisker. */
export function bar({ label, value, error, text, isBest }) {
  const track = element("div", { class: "track" }, element("div", { class: "fill" }));
  track.firstChild.style.width = `${100 * Math.min(Math.max(value, 0), 1)}%`;
  if (error > 0) {
    const whisker = element("div", { class: "whisker" });
    const [from, to] = [Math.max(value - error, 0), Math.min(value + error, 1)];
    whisker.style.left = `${100 * from}%`;
    whisker.style.width = `${100 * Math.max(to - from, 0)}%`;
    track.append(whisker);
  }
  return element(
    "div",
    { class: isBest ? "bar best" : "bar" },
    element("span", { class: "bar-label" }, label),
    track,
    element("span", { class: "bar-value" }, text),
  );
}

/** Saves a text as a file. */
export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** Reads a value that was kept, or null. */
export function kept(storage, name) {
  try {
    return JSON.parse(storage.getItem(`llada.${name}`));
  } catch {
    return null;
  }
}

/** Keeps a value, if there is room for it. */
export function keep(storage, name, value) {
  try {
    storage.setItem(`llada.${name}`, JSON.stringify(value));
  } catch {
    storage.removeItem(`llada.${name}`);
  }
}

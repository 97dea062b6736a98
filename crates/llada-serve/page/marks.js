/** Templates as text: a hole is written `[MASK:3]`, `[MASK:1-4]` or, with its name, `[MASK:1-4 hero]`. */

const HOLE = /\[MASK:(\d+)(?:-(\d+))?(?: (\w+))?\]/g;

/** Returns the parts of a template: texts, and holes with their place in the template. */
export function parse(text) {
  const parts = [];
  let end = 0;
  let index = 0;
  for (const match of text.matchAll(HOLE)) {
    if (match.index > end) parts.push({ text: text.slice(end, match.index) });
    const [written, least, most, name] = match;
    end = match.index + written.length;
    parts.push({ written, least: +least, most: +(most ?? least), name: name ?? `hole ${++index}`, start: match.index, end });
  }
  if (end < text.length) parts.push({ text: text.slice(end) });
  return parts;
}

/** Returns the holes of a template. */
export function holesOf(text) {
  return parse(text).filter((part) => part.written);
}

/** Returns a name that no hole of a template has. */
export function newName(text) {
  const names = new Set(holesOf(text).map((hole) => hole.name));
  for (const letter of "abcdefghijklmnopqrstuvwxyz") {
    if (!names.has(letter)) return letter;
  }
  return `h${names.size + 1}`;
}

/**
 * Returns a text with a hole of this number of tokens in place of a part of it, and of the space before: tokenizers begin
 * the tokens of words with it.
 */
export function mask(text, start, end, tokens) {
  if (text[start - 1] === " ") start -= 1;
  const hole = `[MASK:${tokens} ${newName(text)}]`;
  return { text: text.slice(0, start) + hole + text.slice(end), end: start + hole.length };
}

/** Returns a text in which a hole has another number of tokens. */
export function resize(text, hole, least, most) {
  const name = hole.name.startsWith("hole ") ? "" : ` ${hole.name}`;
  const length = most > least ? `${least}-${most}` : `${least}`;
  return `${text.slice(0, hole.start)}[MASK:${length}${name}]${text.slice(hole.end)}`;
}

/** Returns a template as the server takes it. Patterns are `{ kind: "regex" | "choice", value }`, by the names of holes. */
export function toTemplate(text, patterns = {}) {
  return parse(text).map((part) => {
    if (!part.written) return part.text;
    const hole = { mask: part.least === part.most ? part.least : [part.least, part.most], name: part.name };
    const pattern = patterns[part.name];
    if (pattern?.value && pattern.kind === "regex") hole.regex = pattern.value;
    if (pattern?.value && pattern.kind === "choice") hole.choice = linesOf(pattern.value, /[\n|]/);
    return hole;
  });
}

/** Returns the lines of a text that are not empty. */
export function linesOf(text, separator = "\n") {
  return text.split(separator).map((line) => line.trim()).filter(Boolean);
}

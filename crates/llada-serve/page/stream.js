/** Server-sent events over fetch, which are followed again after the connection was lost. */

import { ApiError } from "./api.js";

/** Returns a parser of a stream of events: it is fed with text, and returns the events that have become complete. */
export function newParser() {
  let rest = "";
  let event = { id: null, name: "message", data: [] };
  return function feed(text) {
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    const complete = [];
    for (const line of lines) {
      if (line === "") {
        if (event.data.length > 0) complete.push({ ...event, data: event.data.join("\n") });
        event = { id: event.id, name: "message", data: [] };
        continue;
      }
      const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
      if (field === "data") event.data.push(value ?? "");
      if (field === "event") event.name = value ?? "";
      if (field === "id") event.id = value ?? "";
    }
    return complete;
  };
}

/** Yields the events of a response. */
export async function* read(response) {
  const feed = newParser();
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* feed(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The pauses between attempts to connect again, in milliseconds. */
const PAUSES = [250, 500, 1000, 2000, 4000, 8000];

/**
 * Yields events until one of the names `last` has come. `open` is given the id of the last event, or null, and returns a
 * response. A connection that is lost is opened again; what `open` refuses is thrown.
 */
export async function* follow(open, last, pauses = PAUSES) {
  let id = null;
  let failures = 0;
  let response = await open(id);
  for (;;) {
    try {
      response ??= await open(id);
      for await (const event of read(response)) {
        [id, failures] = [event.id, 0];
        yield event;
        if (last.includes(event.name)) return;
      }
    } catch (error) {
      if (error instanceof ApiError) throw error;
    }
    if (failures === pauses.length) throw new Error("The connection to the server was lost.");
    await new Promise((resume) => setTimeout(resume, pauses[failures]));
    failures += 1;
    response = null;
  }
}

/** Requests to the server. */

import { keep, kept } from "./dom.js";

/** What the server refused, in OpenAI's form. */
export class ApiError extends Error {
  constructor(status, { message, code, param } = {}) {
    super(message ?? `The server answered with status ${status}.`);
    this.status = status;
    this.code = code;
    this.param = param;
  }
}

/** The event of the window that tells that the server asks for a key. */
export const KEY_NEEDED = "llada:key-needed";

/** Keeps the key until the tab is closed. */
export function setKey(key) {
  keep(sessionStorage, "key", key || null);
}

export function hasKey() {
  return Boolean(kept(sessionStorage, "key"));
}

/** Returns a new id of a request. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return `page-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Sends a request, and returns the response if it succeeded. */
export async function send(method, path, { body, headers = {} } = {}) {
  const key = kept(sessionStorage, "key");
  const all = { ...headers };
  if (key) all.authorization = `Bearer ${key}`;
  if (body !== undefined) all["content-type"] = "application/json";
  const response = await fetch(path, { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body) });
  if (response.ok) return response;
  const told = await response.json().catch(() => ({}));
  if (response.status === 401) window.dispatchEvent(new Event(KEY_NEEDED));
  throw new ApiError(response.status, told.error);
}

/** Sends a request, and returns the JSON of its response. */
export async function json(method, path, body) {
  try {
    return await (await send(method, path, { body })).json();
  } catch (error) {
    throw error instanceof TypeError ? new Error("The server cannot be reached.") : error;
  }
}

// The key of this tab, which is kept in memory only, and requests made with it.
import { computed, signal } from "@preact/signals";

const key = signal(null);
/** What the key is, as `GET /api/v1/key` says; null when signed out. */
export const principal = signal(null);
/** Why the last key stopped working; null otherwise. */
export const ended = signal(null);
export const signedIn = computed(() => principal.value !== null);

/** An error answer of the API, or no answer at all (status 0). */
export class RequestFailed extends Error {
  constructor(status, message, response) {
    super(message);
    this.status = status;
    this.response = response;
  }
}

export async function signIn(text) {
  const answer = await send("/api/v1/key", { key: text });
  const found = await answer.json();
  key.value = text;
  ended.value = null;
  principal.value = found;
}

export function signOut(reason = null) {
  key.value = null;
  principal.value = null;
  ended.value = reason;
}

/** The response to a request, by default a GET, with the key of this tab. Throws RequestFailed unless it is a success. */
export async function request(path, options = {}) {
  const used = key.value;
  try {
    return await send(path, { key: used, ...options });
  } catch (error) {
    if (error.status === 401 && used !== null && (await isRefused(used)) && used === key.value) signOut(error.message);
    throw error;
  }
}

/** Whether the key itself is refused: a good one of another role is 401 too where statistics want that of an account. */
async function isRefused(text) {
  try {
    await send("/api/v1/key", { key: text });
    return false;
  } catch ({ status }) {
    return status === 401;
  }
}

/** The decoded body of a GET. */
export async function requestJson(path, options) {
  return (await request(path, options)).json();
}

async function send(path, { key: used, ...options }) {
  const headers = new Headers(options.headers);
  if (used && isStatistics(path)) headers.set("Authorization", `APIKey ${used}`);
  else if (used) headers.set("X-Api-Key", used);
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestFailed(0, "The server cannot be reached.");
  }
  if (response.ok) return response;
  throw new RequestFailed(response.status, await messageOf(response), response);
}

const isStatistics = (path) => /^\/api\/(statistics|link|link-group)\//.test(path);

async function messageOf(response) {
  try {
    const body = await response.clone().json();
    return body.error?.message ?? body.message ?? response.statusText;
  } catch {
    return response.statusText || `HTTP ${response.status}`;
  }
}

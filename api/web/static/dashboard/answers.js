// Answers of the API, each asked for once and shared by all that show it. A failed request keeps the last answer.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { request, signedIn } from "../app/session.js";

const MOST_KEPT = 40; // answers that nobody shows, for the way back
const RETRY_MS = 5_000;
const READ = { json: (response) => response.json(), rows: readRows };
const MOST_ROWS = 50_000;
const MANY_ROWS = 2_000; // more are not asked for every second

/** The time up to which clicks are counted, as the newest answer says. */
export const asOf = signal(null);
/** Requests that the key has left, and when they are renewed, in seconds since 1970; null: no limit known. */
export const allowance = signal(null);
const entries = new Map();

signedIn.subscribe((now) => {
  if (now) return;
  entries.clear();
  asOf.value = null;
});

/**
 * The answer to a GET: `{data, error, loading, stale, again}`. While another one is waited for, `data` is what was
 * shown last and `stale` is true. `rarely`: live mode may take its time. No path, no answer.
 */
export function useAnswer(path, { as = "json", rarely = false } = {}) {
  const last = useRef(undefined);
  const entry = path && entryOf(path, as, rarely);
  useEffect(() => {
    if (!entry) return undefined;
    entry.users += 1;
    if (entry.state.value.data === undefined || Date.now() - entry.at > 1_000) load(entry);
    return () => {
      entry.users -= 1;
      forget();
    };
  }, [entry]);
  if (!entry) return { loading: false, stale: false };
  const state = entry.state.value;
  if (state.data !== undefined) last.current = state.data;
  const stale = state.data === undefined && last.current !== undefined;
  return { ...state, data: state.data ?? last.current, stale, again: () => load(entry) };
}

/** Asks again for what is shown; without `rare` ones, what live mode may leave for later. Resolves when all is there. */
export function refresh({ rare = true, since = null } = {}) {
  const shown = [...entries.values()].filter(({ users, rarely }) => users && (rare || !rarely));
  return Promise.all(shown.map((entry) => load(entry, since)));
}

export const shownAnswers = () => [...entries.values()].filter(({ users, rarely }) => users && !rarely).length;

function entryOf(path, as, rarely) {
  const name = `${as} ${path}`;
  const known = entries.get(name);
  if (known) {
    entries.delete(name); // and back, as the last
    entries.set(name, known);
    return known;
  }
  const entry = { path, as, rarely, users: 0, at: 0, etag: null, counted: null, asking: null, state: signal({ loading: true }) };
  entries.set(name, entry);
  return entry;
}

function forget() {
  const unused = [...entries].filter(([, { users }]) => !users);
  for (const [name] of unused.slice(0, Math.max(0, unused.length - MOST_KEPT))) entries.delete(name);
}

/** `since`: an answer of a process that has not counted that far yet, or that was under way, is asked for once more. */
async function load(entry, since = null) {
  await ask(entry);
  if (!since || !entry.counted || entry.counted >= since) return;
  await new Promise((done) => setTimeout(done, 300));
  await ask(entry);
}

/** Asks, unless a request is under way, whose answer is waited for. Never rejects. */
function ask(entry) {
  entry.asking ??= answerOrError(entry).finally(() => (entry.asking = null));
  return entry.asking;
}

async function answerOrError(entry) {
  clearTimeout(entry.retry);
  entry.state.value = { ...entry.state.peek(), loading: true };
  try {
    await answer(entry);
  } catch (error) {
    if (error.status === 304) {
      entry.at = Date.now();
      entry.state.value = { ...entry.state.peek(), error: null, loading: false };
      return;
    }
    entry.state.value = { ...entry.state.peek(), error, loading: false };
    const wait = Number(error.response?.headers.get("Retry-After")) * 1_000 || RETRY_MS;
    const lasting = error.status >= 400 && error.status < 500 && error.status !== 429;
    if (!lasting) entry.retry = setTimeout(() => entry.users && load(entry), Math.min(wait, 60_000));
  }
}

/** Asks once. Throws RequestFailed, also for a 304. */
async function answer(entry) {
  const headers = entry.as === "rows" ? { Accept: "application/x-ndjson" } : { Accept: "application/json" };
  if (entry.etag) headers["If-None-Match"] = entry.etag;
  let response;
  try {
    response = await request(entry.path, { headers });
  } catch (error) {
    if (error.response) note(entry, error.response);
    if (error.status === 429) allowance.value = { left: 0, reset: Date.now() / 1_000 + Number(error.response.headers.get("Retry-After")) };
    throw error;
  }
  note(entry, response);
  const data = await READ[entry.as](response);
  entry.etag = response.headers.get("ETag");
  entry.at = Date.now();
  if (data.rows?.length > MANY_ROWS) entry.rarely = true;
  entry.state.value = { data, error: null, loading: false };
}

function note(entry, { headers }) {
  const counted = headers.get("X-Data-As-Of");
  entry.counted = counted;
  if (counted && (!asOf.value || counted > asOf.value)) asOf.value = counted;
  const [left, seconds] = ["Remaining", "Reset"].map((name) => headers.get(`X-RateLimit-${name}`));
  allowance.value = left === null ? null : { left: Number(left), reset: Number(seconds) };
}

/** Rows of NDJSON, at most so many: a page is no place for more. */
async function readRows(response) {
  const rows = [];
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part; !(part = await reader.read()).done; ) {
    const lines = (text + part.value).split("\n");
    text = lines.pop();
    for (const line of lines) rows.push(JSON.parse(line));
    if (rows.length > MOST_ROWS) {
      await reader.cancel();
      return { rows: rows.slice(0, MOST_ROWS), cut: true };
    }
  }
  return { rows, cut: false };
}

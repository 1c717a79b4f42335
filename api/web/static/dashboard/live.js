// Live mode: the stream tells when clicks have changed, and what is shown is asked for again. Where the stream breaks,
// the page asks every few seconds instead, which costs little as answers that have not changed are empty.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { request, signOut } from "../app/session.js";
import { allowance, asOf, refresh, shownAnswers } from "./answers.js";
import { range } from "./view.js";

const PACE_MS = 1_250; // between two rounds of requests: few enough for the smallest plan
const RARE_MS = 10_000; // for answers that live mode may leave for later
const POLL_MS = 5_000;
const SILENCE_MS = 40_000; // a comment comes every 15 s, unless a proxy holds the stream back
const MOST_TEXT = 65_536;

/** What live mode does at present: off, connecting, streaming, polling. */
export const liveState = signal("off");

/** Follows changes while it is on; `query` names whose. */
export function useLive(on, query) {
  useEffect(() => {
    if (!on) return undefined;
    const stop = new AbortController();
    const rounds = new Rounds();
    follow(`/api/v1/live?${query}`, stop.signal, rounds);
    return () => {
      stop.abort();
      rounds.stop();
      liveState.value = "off";
    };
  }, [on, query]);
}

/** Rounds of requests: the first change at once, further ones together after a pause. */
class Rounds {
  #timer = null;
  #running = false;
  #wanted = null;
  #rareAt = Date.now();

  want(since) {
    this.#wanted = { since };
    if (this.#timer === null && !this.#running) this.#run();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = "stopped";
  }

  async #run() {
    const { since } = this.#wanted;
    this.#wanted = null;
    this.#running = true;
    const rare = Date.now() - this.#rareAt >= RARE_MS;
    if (rare) this.#rareAt = Date.now();
    const started = Date.now();
    await refresh({ rare, since });
    this.#running = false;
    if (this.#timer === "stopped") return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#wanted || Date.now() - this.#rareAt >= RARE_MS) this.want(this.#wanted?.since ?? null);
    }, Math.max(0, pace() - (Date.now() - started)));
  }
}

/** Milliseconds between rounds, so that the requests of a key last until they are renewed. */
function pace() {
  if (!allowance.value) return PACE_MS;
  const { left, reset } = allowance.value;
  const affordable = (Math.max(0, reset * 1_000 - Date.now()) * shownAnswers()) / Math.max(1, left);
  return Math.min(60_000, Math.max(PACE_MS, affordable));
}

async function follow(path, stopped, rounds) {
  for (let wait = 1_000; !stopped.aborted; wait = Math.min(wait * 2, 30_000)) {
    if (liveState.value !== "polling") liveState.value = "connecting";
    const began = Date.now();
    try {
      if ((await read(path, stopped, rounds)) === "key") signOut("This key has ended.");
    } catch (error) {
      if (stopped.aborted || error.status === 401) return;
    }
    if (Date.now() - began > SILENCE_MS) wait = 1_000;
    liveState.value = "polling";
    await poll(Date.now() + wait, stopped, rounds);
  }
}

async function poll(until, stopped, rounds) {
  while (!stopped.aborted && Date.now() < until) {
    rounds.want(null);
    await new Promise((done) => setTimeout(done, Math.min(POLL_MS, until - Date.now())));
  }
}

/** Reads the stream to its end and returns the reason for it, if there was one. */
async function read(path, stopped, rounds) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const signals = AbortSignal.any([stopped, silence.signal]);
    const response = await request(path, { headers: { Accept: "text/event-stream" }, signal: signals });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (let part; !(part = await reader.read()).done; ) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const events = (text + part.value).split("\n\n");
      text = events.pop();
      if (text.length > MOST_TEXT) throw new Error("this is no stream of events");
      for (const event of events) {
        const { name, data } = parse(event);
        if (name === "end") return data.reason;
        if (name !== "as_of") continue;
        liveState.value = "streaming";
        if (!asOf.value || data.as_of > asOf.value) asOf.value = data.as_of;
        if (!data.changed_from || data.changed_from <= range.value.to) rounds.want(data.as_of);
      }
    }
    return null;
  } finally {
    clearTimeout(timer);
  }
}

function parse(event) {
  const line = (start) => event.split("\n").find((text) => text.startsWith(start))?.slice(start.length);
  const data = line("data: ");
  return { name: line("event: "), data: data && JSON.parse(data) };
}

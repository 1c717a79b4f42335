// Sends a request with the key of this tab and reads the answer, whatever its status, as it arrives.
import { request } from "../app/session.js";

const MAX_BYTES = 32 * 1024 * 1024;
const REPORT_MS = 100;

/**
 * Calls `report` with the answer as far as it has come: `status`, `reason`, `type` (media type), `headers` (pairs),
 * `milliseconds`, `bytes`, `parts` (of the body), `done`, `cut` (more came than is kept), or `problem`: there is none.
 */
export async function send(wanted, signal, report) {
  const started = performance.now();
  const milliseconds = () => performance.now() - started;
  let response;
  try {
    const { method, headers, body } = wanted;
    response = await answerTo(wanted.path, { method, headers, body, signal });
  } catch (error) {
    report({ problem: signal.aborted ? "Stopped." : error.message, milliseconds: milliseconds(), done: true });
    return;
  }
  const answer = {
    status: response.status,
    reason: response.statusText,
    type: (response.headers.get("Content-Type") ?? "").split(";")[0],
    headers: [...response.headers],
  };
  await readBody(response, signal, (body) => report({ ...answer, ...body, milliseconds: milliseconds() }));
}

async function answerTo(path, options) {
  try {
    return await request(path, options);
  } catch (error) {
    if (error.response) return error.response;
    throw error;
  }
}

async function readBody(response, signal, report) {
  const parts = [];
  let [bytes, reported, cut] = [0, 0, false];
  const reader = response.body?.getReader();
  try {
    for (let next; reader && !cut && !(next = await reader.read()).done; ) {
      parts.push(next.value);
      bytes += next.value.length;
      cut = bytes > MAX_BYTES;
      if (performance.now() - reported < REPORT_MS) continue;
      reported = performance.now();
      report({ bytes, parts, done: false, cut });
    }
    if (cut) reader.cancel();
    report({ bytes, parts, done: true, cut });
  } catch (error) {
    const problem = signal.aborted ? null : `The answer broke off: ${error.message}`;
    report({ bytes, parts, done: true, cut, broken: problem });
  }
}

// What came back: status, time, size, what is left of the limit, headers and body.
import { useMemo, useState } from "preact/hooks";
import { CopyButton } from "../app/copy_button.js";
import { html } from "../app/html.js";
import { save } from "../charts/save.js";
import { JsonTree, parse } from "./json_tree.js";

const MAX_TREE_BYTES = 4 * 1024 * 1024;
const EVENTS = "text/event-stream"; // shown as they come
const TEXT_STEP = 50_000; // characters that one click shows
const NAMES = { "application/json": "json", "text/csv": "csv", "application/x-ndjson": "ndjson", "text/plain": "txt" };

export function Answer({ answer, call }) {
  if (!answer) return html`<p class="hint">Nothing has been sent yet. Send with the button, or with Ctrl and Enter.</p>`;
  if (answer.problem) return html`<p class="notice bad" role="alert">${answer.problem}</p>`;
  return html`
    <div role="status"><${Status} answer=${answer} /></div>
    <${Headers} headers=${answer.headers} />
    ${answer.broken && html`<p class="notice bad" role="alert">${answer.broken}</p>`}
    ${answer.cut && html`<p class="notice" role="status">The answer is longer; the rest was not read.</p>`}
    <${Body} answer=${answer} call=${call} />
  `;
}

function Status({ answer }) {
  const { status, reason, milliseconds, bytes, headers, done } = answer;
  const header = Object.fromEntries(headers);
  const left = header["x-ratelimit-remaining"];
  return html`
    <dl class="facts">
      <div><dt>Status</dt><dd class=${status < 400 ? "good" : "bad"}>${status} ${reason}</dd></div>
      <div><dt>Time</dt><dd>${Math.round(milliseconds).toLocaleString()} ms${!done && " …"}</dd></div>
      <div><dt>Size</dt><dd>${sizeOf(bytes)}</dd></div>
      ${left !== undefined &&
      html`<div>
        <dt>Requests left</dt>
        <dd>${Number(left).toLocaleString()} of ${Number(header["x-ratelimit-limit"]).toLocaleString()}</dd>
      </div>`}
      ${header["x-data-as-of"] &&
      html`<div><dt>Counted up to</dt><dd>${timeOf(header["x-data-as-of"])}</dd></div>`}
    </dl>
  `;
}

const Headers = ({ headers }) => html`
  <details class="headers">
    <summary>${headers.length} headers</summary>
    <table>
      <tbody>
        ${headers.map(([name, text]) => html`<tr><th scope="row">${name}</th><td>${text}</td></tr>`)}
      </tbody>
    </table>
  </details>
`;

function Body({ answer, call }) {
  const { parts, bytes, type, done } = answer;
  const readable = isText(type) && (done || type === EVENTS);
  const text = useMemo(() => (readable ? textOf(parts) : null), [bytes, readable]);
  const tree = useMemo(() => (done && bytes <= MAX_TREE_BYTES ? parsed(text, type) : undefined), [text, done]);
  if (done && !bytes) return html`<p class="hint">The answer has no body.</p>`;
  const outcome = tree === undefined ? null : refusalOf(tree);
  return html`
    ${outcome && html`<p class="notice bad" role="alert">${outcome}</p>`}
    <div class="row tools">
      ${text !== null && html`<${CopyButton} text=${text} label="Copy body" />`}
      <button class="quiet" onClick=${() => download(answer, call)}>Download</button>
    </div>
    ${done && text === null && html`<p class="hint">${type || "Data"} is not text: download it.</p>`}
    <div class="body" tabindex="0" role="region" aria-label="Body">
      ${tree !== undefined ? html`<${JsonTree} value=${tree} />` : html`<${LongText} text=${text ?? ""} />`}
    </div>
  `;
}

function LongText({ text }) {
  const [shown, setShown] = useState(TEXT_STEP);
  const left = text.length - shown;
  return html`
    <pre>${text.slice(0, shown)}</pre>
    ${left > 0 &&
    html`<button class="more" onClick=${() => setShown(shown + TEXT_STEP)}>
      More: ${left.toLocaleString()} characters are left
    </button>`}
  `;
}

/** Statistics and tools refuse with status 200. */
function refusalOf(body) {
  if (body?.result?.isError) return `The tool failed: ${body.result.structuredContent?.message ?? "see below"}`;
  if (body?.error?.message && body.jsonrpc) return `MCP refused: ${body.error.message}`;
  return typeof body?.code === "number" && body.code ? `Code ${body.code}: ${body.message}` : null;
}

const timeOf = (text) => new Date(text).toLocaleTimeString(undefined, { timeStyle: "long" });
const isText = (type) => /^text\/|json|xml/.test(type);

function textOf(parts) {
  const decoder = new TextDecoder();
  return parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode();
}

function parsed(text, type) {
  try {
    return text !== null && type.endsWith("/json") ? parse(text) : undefined;
  } catch {
    return undefined;
  }
}

function sizeOf(bytes) {
  const [size, unit, unitDisplay] =
    bytes < 1000 ? [bytes, "byte", "long"] : bytes < 1e6 ? [bytes / 1000, "kilobyte"] : [bytes / 1e6, "megabyte"];
  return size.toLocaleString(undefined, { style: "unit", unit, unitDisplay, maximumFractionDigits: 1 });
}

function download({ parts, type }, { path }) {
  save(`${path.split("/").pop()}.${NAMES[type] ?? type.split(/[.-]/).pop()}`, new Blob(parts, { type }));
}

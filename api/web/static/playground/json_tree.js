// JSON as a tree that folds. Only what is open is drawn, a part of long lists at a time, so that no body is too large.
import { useMemo, useState } from "preact/hooks";
import { html } from "../app/html.js";

const STEP = 100; // entries that one click shows
const OPEN_NODES = 300; // drawn at first, about
const MAX_PREVIEW = 10;
const MAX_TEXT = 300;

/** A value that `parse` has read. */
export function JsonTree({ value }) {
  const opened = useMemo(() => openedAtFirst(value), [value]);
  return html`<div class="json"><${Node} value=${value} opened=${opened} /></div>`;
}

/** Objects and lists from the outside in, as long as they are few; of a list the first entry. */
function openedAtFirst(value) {
  const [opened, waiting] = [new Set(), [value].filter(isNode)];
  for (let left = OPEN_NODES; left > 0 && waiting.length; ) {
    const node = waiting.shift();
    const entries = Object.values(node);
    opened.add(node);
    left -= Math.min(entries.length, STEP);
    waiting.push(...entries.slice(0, Array.isArray(node) ? 1 : STEP).filter(isNode));
  }
  return opened;
}

const isNode = (value) => value !== null && typeof value === "object";

/** Integers with more digits than JavaScript's numbers hold become BigInts, where the browser tells their text. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) => {
    const exact = typeof value !== "number" || Number.isSafeInteger(value) || !/^-?\d+$/.test(context?.source ?? "");
    return exact ? value : BigInt(context.source);
  });
}

function Node({ name, value, opened }) {
  const [open, setOpen] = useState(opened.has(value));
  if (!isNode(value)) {
    return html`<div><${Name} name=${name} /><${Leaf} value=${value} /></div>`;
  }
  const [start, end] = Array.isArray(value) ? "[]" : "{}";
  const entries = Object.entries(value);
  if (!entries.length) return html`<div><${Name} name=${name} />${start}${end}</div>`;
  return html`
    <div>
      <button class="fold" aria-expanded=${open} onClick=${() => setOpen(!open)}>
        <${Name} name=${name} />${start}${!open && html`<${Preview} entries=${entries} list=${start === "["} />`}
        ${!open && end}
      </button>
      ${open && html`<${Entries} entries=${entries} opened=${opened} list=${start === "["} />${end}`}
    </div>
  `;
}

function Entries({ entries, opened, list }) {
  const [shown, setShown] = useState(STEP);
  const left = entries.length - shown;
  return html`
    <div class="inside">
      ${entries.slice(0, shown).map(
        ([name, value]) => html`<${Node} name=${list ? null : name} value=${value} opened=${opened} />`,
      )}
      ${left > 0 &&
      html`<button class="more" onClick=${() => setShown(shown + STEP)}>
        ${Math.min(left, STEP)} more of ${left.toLocaleString()}
      </button>`}
    </div>
  `;
}

/** What a folded part holds, in a line. */
function Preview({ entries, list }) {
  if (list) return html`<span class="preview">${entries.length.toLocaleString()} entries</span>`;
  const leaves = entries.filter(([, value]) => !isNode(value)).slice(0, MAX_PREVIEW);
  return html`<span class="preview">
    ${leaves.map(([name, value], index) => html`${index > 0 && ", "}${name}: <${Leaf} value=${value} max=${40} />`)}
    ${leaves.length < entries.length && " …"}
  </span>`;
}

const Name = ({ name }) => (name === null || name === undefined ? null : html`<bdi class="name">${quoted(name)}</bdi>: `);

function Leaf({ value, max = MAX_TEXT }) {
  const [all, setAll] = useState(false);
  if (typeof value !== "string") return html`<span class=${typeof value}>${String(value)}</span>`;
  const cut = !all && value.length > max;
  return html`<bdi class="string">${quoted(cut ? `${value.slice(0, max)}…` : value)}</bdi>${cut &&
  max === MAX_TEXT &&
  html`<button class="more" onClick=${() => setAll(true)}>all ${value.length.toLocaleString()} characters</button>`}`;
}

/** As in JSON, with characters that turn the direction of text, or are not seen, as escapes. */
const quoted = (text) =>
  JSON.stringify(text).replace(/[\p{Cf}\u2028\u2029]/gu, (found) => `\\u{${found.codePointAt(0).toString(16)}}`);

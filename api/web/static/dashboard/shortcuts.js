// Keys of the dashboard, and the help that lists them.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { html } from "../app/html.js";
import { chooseLast, nextComparison, shift } from "./view.js";

const KEYS = {
  d: ["D", "today", () => chooseLast(1)],
  w: ["W", "the last 7 days", () => chooseLast(7)],
  m: ["M", "the last 30 days and today", () => chooseLast(31)],
  ArrowLeft: ["←", "the same length of time, earlier", () => shift(-1)],
  ArrowRight: ["→", "the same length of time, later", () => shift(1)],
  x: ["X", "what to compare with: the next choice", nextComparison],
};
const enabled = signal(true); // keys without a modifier disturb who dictates

/** Listens for keys while the dashboard is shown. */
export function useShortcuts(onHelp) {
  useEffect(() => {
    const press = (event) => {
      if (!enabled.value || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input, select, textarea, dialog, .table")) return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (key === "?") onHelp();
      else if (KEYS[key]) KEYS[key][2]();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

export function Help({ open, onClose }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (open) dialog.current.showModal();
    else dialog.current.close();
  }, [open]);
  return html`
    <dialog ref=${dialog} aria-label="Help" onClose=${onClose}>
      <h2>Keys</h2>
      <dl class="keys-list">
        ${Object.values(KEYS).map(([key, meaning]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${meaning}</dd></div>`)}
        <div><dt><kbd>?</kbd></dt><dd>this help</dd></div>
        <div><dt><kbd>Tab</kbd></dt><dd>to a chart; arrows, Home and End go from mark to mark there</dd></div>
      </dl>
      <label class="inline"><input type="checkbox" checked=${enabled.value} onChange=${(event) => (enabled.value = event.target.checked)} /> Single keys work</label>
      <h2>Numbers</h2>
      <p>A click counts once; bots are counted apart. Users are counted once in each bar, so they do not add up.</p>
      <p>Bars with a broken line are days or hours that are still open. A comparison ends at the same time in both periods: a part of a day is never held against a whole one.</p>
      <p>The address of this page holds all that you have chosen, and never your key: you can send it.</p>
      <button class="primary" onClick=${() => dialog.current.close()}>Close</button>
    </dialog>
  `;
}

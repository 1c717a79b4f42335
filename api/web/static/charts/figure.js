// The frame of a chart: its title, its legend, the table behind it, its files, and what state its numbers are in.
import { useRef, useState } from "preact/hooks";
import { html } from "../app/html.js";
import { saveCsv } from "./csv.js";
import { DataTable } from "./data_table.js";
import { plain } from "./format.js";
import { savePng } from "./png.js";

/**
 * `answers` are what the chart is drawn from: `{error, loading, stale}` each. `columns` and `rows` are its table;
 * `name` is that of its files; `period` stands beside the title in pictures.
 */
export function Figure({ title, period, note, name, answers, columns, rows, series = [], tools, children }) {
  const [open, setOpen] = useState(false);
  const inside = useRef(null);
  const ready = rows !== null;
  const png = () => savePng(name, inside.current.querySelector("svg"), [title, period].filter(Boolean).join(", "), series);
  return html`
    <figure class=${`panel chart-panel ${answers.some(({ stale }) => stale) ? "stale" : ""}`} ref=${inside} aria-label=${title} aria-busy=${answers.some(({ loading }) => loading)}>
      <figcaption>
        <h2>${title}</h2>
        ${tools}
        <span class="grow"></span>
        <span class="files">
          <button class="quiet" aria-label=${`${title}: Table`} aria-pressed=${open} disabled=${!ready} onClick=${() => setOpen(!open)}>Table</button>
          <button class="quiet" aria-label=${`${title}: CSV`} disabled=${!ready} onClick=${() => saveCsv(name, columns, rows)}>CSV</button>
          <button class="quiet" aria-label=${`${title}: PNG`} disabled=${!ready} onClick=${png}>PNG</button>
        </span>
      </figcaption>
      <${States} answers=${answers} />
      ${ready ? children : html`<div class="waiting" aria-hidden="true"></div>`}
      ${series.length > 1 && html`<ul class="legend">${series.map(({ name: text, mark }) => html`<li class=${mark}><bdi>${plain(text)}</bdi></li>`)}</ul>`}
      ${note && html`<p class="hint">${note}</p>`}
      ${ready && html`<${DataTable} label=${`${title}, as a table`} columns=${columns} rows=${rows} hidden=${!open} />`}
    </figure>
  `;
}

/** What went wrong with answers, and whether numbers of before are shown. */
export function States({ answers }) {
  const failed = answers.find(({ error }) => error);
  if (!failed) return null;
  const kept = failed.data === undefined ? "" : " What was there before is still shown.";
  return html`<p class="notice bad" role="alert">${failed.error.message}${kept} <button onClick=${failed.again}>Try again</button></p>`;
}

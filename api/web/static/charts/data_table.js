// A table of columns `{name, of, show, number}`: `of` gives a row's value, `show` what is seen in its place, if not that.
import { html } from "../app/html.js";
import { count, plain } from "./format.js";

const cell = ({ of, show, number }, row) => (show ? show(row) : number ? count(of(row)) : html`<bdi>${plain(of(row) ?? "–", 200)}</bdi>`);

/** `sort`: `{by, down}`, and `onSort(name)`, where the columns can be sorted. */
export function DataTable({ label, columns, rows, sort, onSort, hidden = false }) {
  return html`
    <div class=${hidden ? "table hidden" : "table"} role="region" aria-label=${label} tabindex=${hidden ? null : 0}>
      <table>
        <thead>
          <tr>
            ${columns.map(
              (column) => html`<th scope="col" class=${column.number ? "number" : null} aria-sort=${sorted(column, sort)}>
                ${onSort ? html`<button class="quiet" onClick=${() => onSort(column.name)}>${column.name}<span aria-hidden="true">${arrow(column, sort)}</span></button>` : column.name}
              </th>`,
            )}
          </tr>
        </thead>
        <tbody>
          ${rows.map((row) => html`<tr>${columns.map((column) => html`<td class=${column.number ? "number" : null}>${cell(column, row)}</td>`)}</tr>`)}
        </tbody>
      </table>
      ${!rows.length && html`<p class="hint">No rows.</p>`}
    </div>
  `;
}

const sorted = ({ name }, sort) => (sort?.by === name ? (sort.down ? "descending" : "ascending") : null);
const arrow = ({ name }, sort) => (sort?.by === name ? (sort.down ? " ↓" : " ↑") : "");

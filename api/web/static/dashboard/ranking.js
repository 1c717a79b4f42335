// Lists of the most: names, counts, a bar for the share, and the change where one is known.
import { html } from "../app/html.js";
import { saveCsv } from "../charts/csv.js";
import { States } from "../charts/figure.js";
import { change, count, plain, share } from "../charts/format.js";

const REST = "(other)";
const nameOf = ({ value, label }) => label ?? String(value);
const shown = (row, none) => (row.value === REST ? none : plain(nameOf(row).replace(/^https?:\/\//, ""), 120));

/**
 * `rows` are `{value, label, clicks, users, previous}`; null while they are awaited. `go(row)` leads on, where it does.
 * `against`: the clicks of before are shown; `total` gives shares.
 */
export function Ranking({ title, name, answers, rows, go, total, against = false, users = false, note, none = "Others", empty }) {
  const most = Math.max(1, ...(rows ?? []).map(({ clicks }) => clicks));
  const columns = [
    { name: "Id", of: (row) => row.value },
    { name: "Name", of: nameOf },
    { name: "Clicks", of: (row) => row.clicks },
    ...(users ? [{ name: "Users", of: (row) => row.users }] : []),
    ...(against ? [{ name: "Before", of: (row) => row.previous }] : []),
  ];
  return html`
    <section class=${`panel ranking ${answers.some(({ stale }) => stale) ? "stale" : ""}`} aria-label=${title}>
      <div class="row"><h2>${title}</h2><span class="grow"></span>
        <span class="files"><button class="quiet" aria-label=${`${title}: CSV`} disabled=${!rows} onClick=${() => saveCsv(name, columns, rows)}>CSV</button></span>
      </div>
      <${States} answers=${answers} />
      ${rows === null && html`<div class="waiting" aria-hidden="true"></div>`}
      ${rows?.length === 0 && html`<p class="hint">${empty ?? "No clicks in this range."}</p>`}
      ${rows?.length > 0 &&
      html`<ol>
        ${rows.map(
          (row) => html`<li>
            <span class="label">${go && row.value !== REST ? html`<button class="link" title=${plain(nameOf(row), 400)} onClick=${() => go(row)}><bdi>${shown(row, none)}</bdi></button>` : html`<bdi>${shown(row, none)}</bdi>`}</span>
            <span class="number">${count(row.clicks)}</span>
            <span class="number hint">${against ? html`<${Change} row=${row} />` : users ? (row.users === null ? "" : `${count(row.users)} users`) : share(row.clicks, total)}</span>
            <svg class="share" aria-hidden="true" width="100%" height="4"><rect width=${`${(100 * row.clicks) / most}%`} height="4" rx="2" /></svg>
          </li>`,
        )}
      </ol>`}
      ${note && html`<p class="hint">${note}</p>`}
    </section>
  `;
}

const Change = ({ row: { clicks, previous } }) => html`<span class=${clicks < previous ? "fallen" : "risen"} title=${`${count(previous)} before`}>${change(clicks, previous)}</span>`;

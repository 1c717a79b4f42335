// Records that could not be counted: how many by reason and error, and the beginning of the newest ones.
import { html } from "../app/html.js";
import { DataTable } from "../charts/data_table.js";
import { States } from "../charts/figure.js";
import { clock, count } from "../charts/format.js";
import { useAnswer } from "../dashboard/answers.js";

const COLUMNS = [
  { name: "When", of: (row) => row.published_at, show: (row) => clock(row.published_at, "UTC") },
  { name: "Origin", of: (row) => row.origin },
  { name: "Reason", of: (row) => `${row.reason}: ${row.error}` },
  { name: "Message", of: (row) => row.message },
  { name: "Bytes", of: (row) => row.size, number: true },
  { name: "Begins with", of: (row) => row.raw, show: (row) => html`<code><bdi>${row.raw ?? "–"}</bdi></code>` },
];

export function DeadLetters() {
  const list = useAnswer("/admin/dead-letters?limit=50");
  const found = list.data;
  const reasons = Object.entries(found?.by_error ?? {}).flatMap(([reason, errors]) => Object.entries(errors).map(([error, number]) => `${count(number)} × ${reason}: ${error}`));
  return html`
    <section class="panel" aria-label="Dead letters">
      <div class="row"><h2>Dead letters</h2><span class="hint">${reasons.join(", ")}${found && !found.complete && " in the newest records; there are older ones"}</span></div>
      <${States} answers=${[list]} />
      ${found && html`<${DataTable} label="Dead letters, newest first" columns=${COLUMNS} rows=${found.data} />`}
      <p class="hint">Times are in UTC. <code>clickmill dlq replay</code> publishes those again that are valid by now or were corrected.</p>
    </section>
  `;
}

// Every row of the Clicks API in the range, page by page, sorted by any column, as CSV of what is shown or as Parquet.
import { useState } from "preact/hooks";
import { html } from "../app/html.js";
import { parameters, setParameters } from "../app/router.js";
import { request } from "../app/session.js";
import { saveCsv } from "../charts/csv.js";
import { DataTable } from "../charts/data_table.js";
import { States } from "../charts/figure.js";
import { count } from "../charts/format.js";
import { save } from "../charts/save.js";

const PAGE = 25;
const compareTexts = new Intl.Collator().compare;
const named = (name, id) => ({ name, of: (row) => row[`${id}_name`] ?? row[`${id}_id`] });
const COLUMNS = [
  { name: "Day", of: (row) => row.click_date },
  named("Advertiser", "advertiser"),
  named("Network", "network"),
  { name: "Clicks", of: (row) => row.click_count, number: true },
  named("Publisher", "publisher"),
  { name: "Advertiser id", of: (row) => row.advertiser_id },
];

function sorting() {
  const given = parameters.value.get("sort") ?? "";
  const column = COLUMNS.find(({ name }) => name === given.replace(/^-/, ""));
  return column ? { by: column.name, down: given.startsWith("-"), of: column.of } : { by: "Day", down: true, of: COLUMNS[0].of };
}

const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : compareTexts(String(a), String(b)));

/** `rows` are those of the range, null while they are awaited; `path` is their call, for Parquet. */
export function RowsTable({ answer, rows, path, name }) {
  const [failure, setFailure] = useState(null);
  const { by, down, of } = sorting();
  const sorted = (rows ?? []).toSorted((a, b) => (down ? -1 : 1) * order(of(a), of(b)));
  const pages = Math.max(1, Math.ceil(sorted.length / PAGE));
  const page = Math.min(pages, Math.max(1, Number(parameters.value.get("page")) || 1));
  const go = (to) => setParameters({ page: to === 1 ? null : to }, { replace: true });
  const sort = (column) => setParameters({ sort: `${column === by && !down ? "-" : ""}${column}`, page: null }, { replace: true });
  const parquet = async () => {
    try {
      const response = await request(path, { headers: { Accept: "application/vnd.apache.parquet" } });
      save(`${name}.parquet`, await response.blob());
      setFailure(null);
    } catch (error) {
      setFailure(error.message);
    }
  };
  return html`
    <section class=${`panel ${answer.stale ? "stale" : ""}`} aria-label="All rows">
      <div class="row">
        <h2>All rows</h2>
        <span class="hint">${rows && `${count(sorted.length)} rows`}${answer.data?.cut && ": the first 50,000 only; narrow the range, or take the Parquet file"}</span>
        <span class="grow"></span>
        <span class="files">
          <button class="quiet" aria-label="All rows: CSV" disabled=${!rows} onClick=${() => saveCsv(name, COLUMNS, sorted)}>CSV</button>
          <button class="quiet" aria-label="All rows: Parquet" title="Every row of the range" onClick=${parquet}>Parquet</button>
        </span>
      </div>
      ${failure && html`<p class="notice bad" role="alert">${failure}</p>`}
      <${States} answers=${[answer]} />
      <${DataTable} label="All rows, sorted" columns=${COLUMNS} rows=${sorted.slice((page - 1) * PAGE, page * PAGE)} sort=${{ by, down }} onSort=${sort} />
      <div class="row pages">
        <button disabled=${page === 1} onClick=${() => go(page - 1)}>Page before</button>
        <span>Page ${count(page)} of ${count(pages)}</span>
        <button disabled=${page === pages} onClick=${() => go(page + 1)}>Next page</button>
      </div>
    </section>
  `;
}

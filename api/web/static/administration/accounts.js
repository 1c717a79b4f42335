// The owners of clicks in the catalogue: accounts with plan and time zone, and publishers. A row leads to its clicks.
import { useState } from "preact/hooks";
import { html } from "../app/html.js";
import { DataTable } from "../charts/data_table.js";
import { States } from "../charts/figure.js";
import { count, plain } from "../charts/format.js";
import { useAnswer } from "../dashboard/answers.js";

const PAGE = 100;
const clicksOf = (id) => ({ name: "Id", of: (row) => row[id], show: (row) => html`<a href=${`/dashboard?${id}=${row[id]}`} data-page>${row[id]}</a>` });
const NAME = { name: "Name", of: (row) => row.name, show: (row) => html`<bdi>${plain(row.name || "–", 200)}</bdi>` };
const ZONE = { name: "Time zone", of: (row) => row.time_zone };

export const Accounts = () => html`
  <${Owners} title="Accounts" path="/admin/accounts" columns=${[clicksOf("account_id"), NAME, { name: "Plan", of: (row) => row.plan }, ZONE]} />
  <${Owners} title="Publishers" path="/admin/publishers" columns=${[clicksOf("publisher_id"), NAME, ZONE]} />
`;

function Owners({ title, path, columns }) {
  const [search, setSearch] = useState("");
  const [page, setPage] = useState(1);
  const list = useAnswer(`${path}?${new URLSearchParams({ search, page })}`);
  const find = (event) => {
    event.preventDefault();
    setSearch(new FormData(event.target).get("search").trim());
    setPage(1);
  };
  const pages = Math.max(1, Math.ceil((list.data?.total ?? 0) / PAGE));
  return html`
    <section class=${`panel ${list.stale ? "stale" : ""}`} aria-label=${title}>
      <form class="row" onSubmit=${find}>
        <h2>${title}</h2><span class="hint">${list.data && count(list.data.total)}</span><span class="grow"></span>
        <input name="search" type="search" maxlength="100" aria-label=${`Search ${title.toLowerCase()}`} placeholder="name or id" /><button>Search</button>
      </form>
      <${States} answers=${[list]} />
      ${list.data && html`<${DataTable} label=${`${title}, as a table`} columns=${columns} rows=${list.data.data} />`}
      ${pages > 1 && html`
        <div class="row pages">
          <button disabled=${page === 1} onClick=${() => setPage(page - 1)}>Page before</button>
          <span>Page ${count(page)} of ${count(pages)}</span>
          <button disabled=${page >= pages} onClick=${() => setPage(page + 1)}>Next page</button>
        </div>
      `}
    </section>
  `;
}

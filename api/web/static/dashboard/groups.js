// The groups of an account with their `grpIdx`, members and counts. Admins see those with clicks, without members.
import { useState } from "preact/hooks";
import { html } from "../app/html.js";
import { setParameters } from "../app/router.js";
import { principal } from "../app/session.js";
import { saveCsv } from "../charts/csv.js";
import { DataTable } from "../charts/data_table.js";
import { States } from "../charts/figure.js";
import { count } from "../charts/format.js";
import { useAnswer } from "./answers.js";
import { range } from "./view.js";

const MOST_TOP = 200;

/** `top` has clicks and users by group; the list of groups has names and members, 30 a page. */
export function Groups({ top }) {
  const [page, setPage] = useState(1);
  const own = principal.value.role === "account";
  const list = useAnswer(own && `/api/link-group/v2/list?pages=${page}`, { rarely: true });
  const counts = new Map(top.data?.data.map((row) => [row.value, row]));
  const complete = counts.size < MOST_TOP;
  const listed = list.data?.result;
  const rows = own ? listed?.list.map((group) => ({ idx: group.idx, name: group.nm, members: group.linkCnt, ...counted(group.idx) })) : top.data && [...counts.values()].map(({ value, label, clicks, users }) => ({ idx: value, name: label, clicks, users })).filter(({ idx }) => idx !== "(other)");
  function counted(idx) {
    const found = counts.get(idx);
    if (found) return { clicks: found.clicks, users: found.users };
    return complete && top.data ? { clicks: 0, users: 0 } : { clicks: null, users: null };
  }
  const columns = [
    { name: "grpIdx", of: (row) => row.idx, show: (row) => html`<button class="link" onClick=${() => setParameters({ grpIdx: row.idx, day: null })}>${row.idx}</button>` },
    { name: "Name", of: (row) => row.name },
    ...(own ? [{ name: "Links", of: (row) => row.members, number: true }] : []),
    { name: "Clicks", of: (row) => row.clicks, number: true },
    { name: "Users", of: (row) => row.users, number: true },
  ];
  const answers = own ? [list, top] : [top];
  return html`
    <section class=${`panel ${answers.some(({ stale }) => stale) ? "stale" : ""}`} aria-label="Groups">
      <div class="row"><h2>Groups</h2><span class="hint">${listed && `${count(listed.extra.totalCount)} in all`}</span><span class="grow"></span>
        <span class="files"><button class="quiet" aria-label="Groups: CSV" disabled=${!rows} onClick=${() => saveCsv(`groups-${range.value.from}-${range.value.to}`, columns, rows)}>CSV</button></span>
      </div>
      <${States} answers=${answers} />
      ${rows ? html`<${DataTable} label="Groups of the account" columns=${columns} rows=${rows} />` : html`<div class="waiting" aria-hidden="true"></div>`}
      ${listed && (page > 1 || listed.extra.nextYn === "Y") && html`<div class="row pages">
        <button disabled=${page === 1} onClick=${() => setPage(page - 1)}>Page before</button>
        <span>Page ${page}</span>
        <button disabled=${listed.extra.nextYn !== "Y"} onClick=${() => setPage(page + 1)}>Next page</button>
      </div>`}
    </section>
  `;
}

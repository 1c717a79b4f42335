// The API keys: who has which, when it was last used, a new one, another text for one, and its end.
import { useState } from "preact/hooks";
import { html } from "../app/html.js";
import { request } from "../app/session.js";
import { DataTable } from "../charts/data_table.js";
import { States } from "../charts/figure.js";
import { clock, count } from "../charts/format.js";
import { useAnswer } from "../dashboard/answers.js";

const ROLES = { publisher: "publisher_id", account: "account_id", admin: null, ingest: null };
const OVERLAPS = [
  [0, "ends at once"],
  [3_600, "lives on for an hour"],
  [86_400, "lives on for a day"],
  [604_800, "lives on for a week"],
];
const time = (instant) => (instant ? html`<time datetime=${instant}>${clock(instant, "UTC")}</time>` : "–");
const hasEnded = ({ revoked_at: revoked, expires_at: expires }) => Boolean(revoked) || (expires && Date.parse(expires) <= Date.now());

export function Keys() {
  const list = useAnswer("/admin/keys");
  const [made, setMade] = useState(null);
  const [failure, setFailure] = useState(null);
  const [all, setAll] = useState(false);
  const change = async (path, method, body) => {
    try {
      const headers = { "Content-Type": "application/json" };
      const response = await request(path, { method, headers, body: body && JSON.stringify(body) });
      setFailure(null);
      if (response.status === 201) setMade(await response.json());
    } catch (error) {
      setFailure(error.message);
    }
    list.again?.();
  };
  const rows = list.data?.data.filter((key) => all || !hasEnded(key)).toSorted((a, b) => (a.created_at < b.created_at ? 1 : -1));
  return html`
    <section class="panel" aria-label="New key"><h2>New key</h2><${NewKey} onMake=${(body) => change("/admin/keys", "POST", body)} /></section>
    ${made && html`<${ShownOnce} made=${made} onDone=${() => setMade(null)} />`}
    ${failure && html`<p class="notice bad" role="alert">${failure}</p>`}
    <section class="panel" aria-label="Keys">
      <div class="row">
        <h2>Keys</h2><span class="hint">${rows && `${count(rows.length)}; times are in UTC`}</span><span class="grow"></span>
        <label class="inline"><input type="checkbox" checked=${all} onChange=${(event) => setAll(event.target.checked)} /> Ended ones too</label>
      </div>
      <${States} answers=${[list]} />
      ${rows ? html`<${DataTable} label="Keys, newest first" columns=${columns(change)} rows=${rows} />` : html`<div class="waiting" aria-hidden="true"></div>`}
    </section>
  `;
}

const columns = (change) => [
  { name: "Name", of: (key) => key.name || "–" },
  { name: "Role", of: (key) => [key.role, key.publisher_id ?? key.account_id].filter((part) => part !== null).join(" ") },
  { name: "Id", of: (key) => key.id },
  { name: "Last used", of: (key) => key.last_used_at, show: (key) => time(key.last_used_at) },
  { name: "Made", of: (key) => key.created_at, show: (key) => time(key.created_at) },
  { name: "Ends", of: (key) => key.expires_at, show: (key) => (key.revoked_at ? html`revoked ${time(key.revoked_at)}` : time(key.expires_at)) },
  { name: "Requests an hour", of: (key) => key.requests_per_hour, number: true },
  { name: "Change", of: () => null, show: (key) => !hasEnded(key) && html`<${Change} key=${key.id} id=${key.id} name=${key.name || key.id} change=${change} />` },
];

function NewKey({ onMake }) {
  const [role, setRole] = useState("publisher");
  const owner = ROLES[role];
  const make = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    const body = { role, name: given.name };
    if (owner) body[owner] = Number(given.owner);
    if (given.expires) body.expires_at = `${given.expires}T00:00:00Z`;
    onMake(body);
    event.target.reset();
    setRole("publisher");
  };
  return html`
    <form class="toolbar" onSubmit=${make}>
      <label class="inline">Role
        <select value=${role} onChange=${(event) => setRole(event.target.value)}>${Object.keys(ROLES).map((name) => html`<option value=${name} selected=${name === role}>${name}</option>`)}</select>
      </label>
      ${owner && html`<label class="inline">Id of the ${role} <input name="owner" required inputmode="numeric" pattern="[1-9][0-9]*" maxlength="15" size="8" /></label>`}
      <label class="inline">Name <input name="name" maxlength="200" size="18" /></label>
      <label class="inline">Ends <input name="expires" type="date" /></label>
      <button class="primary">Make key</button>
    </form>
  `;
}

function ShownOnce({ made, onDone }) {
  const [copied, setCopied] = useState(false);
  const copy = () => navigator.clipboard.writeText(made.key).then(() => setCopied(true), () => {});
  return html`
    <section class="panel once" role="status" aria-label="The new key">
      <h2>The new key of ${made.name || made.id}</h2>
      <p>It is shown this once: nobody can read it later.</p>
      <div class="row"><code>${made.key}</code><button onClick=${copy}>${copied ? "Copied" : "Copy"}</button><button class="primary" onClick=${onDone}>I have kept it</button></div>
    </section>
  `;
}

function Change({ id, name, change }) {
  const [asked, ask] = useState(null);
  const path = `/admin/keys/${encodeURIComponent(id)}`;
  if (asked === "revoke")
    return html`<span class="row">End ${name} at once? <button class="primary" onClick=${() => (ask(null), change(path, "DELETE"))}>Revoke it</button><button onClick=${() => ask(null)}>Keep it</button></span>`;
  if (asked === "rotate")
    return html`<span class="row">The old text ${OVERLAPS.map(([seconds, meaning]) => html`<button onClick=${() => (ask(null), change(`${path}/rotate`, "POST", { overlap_seconds: seconds }))}>${meaning}</button>`)}<button onClick=${() => ask(null)}>Keep it</button></span>`;
  return html`<span class="row"><button aria-label=${`Rotate ${name}`} onClick=${() => ask("rotate")}>Rotate</button><button aria-label=${`Revoke ${name}`} onClick=${() => ask("revoke")}>Revoke</button></span>`;
}

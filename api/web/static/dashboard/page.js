// The dashboard: the view of the key's role, once signed in.
import { useState } from "preact/hooks";
import { html } from "../app/html.js";
import { parameters, setParameters } from "../app/router.js";
import { principal, signedIn } from "../app/session.js";
import { SignIn } from "../app/sign_in.js";
import { Accounts } from "../administration/accounts.js";
import { Health } from "../administration/health.js";
import { Keys } from "../administration/keys.js";
import { Affiliate } from "./affiliate.js";
import { Links } from "./links.js";
import { useLive } from "./live.js";
import { Help, useShortcuts } from "./shortcuts.js";
import { Toolbar } from "./toolbar.js";
import { live, owner } from "./view.js";

export const title = "Dashboard";
const ADMINISTRATION = { keys: Keys, accounts: Accounts, health: Health };

export function Page() {
  if (!signedIn.value)
    return html`<${SignIn}>
      <h1>Dashboard</h1>
      <p>Clicks of the key that you sign in with: those of a publisher, of an account, or all for an admin.</p>
    <//>`;
  if (principal.value.role === "ingest") return html`<h1>Dashboard</h1><p>This key may send clicks, not read them. Sign in with another one.</p>`;
  return html`<${Dashboard} key=${principal.value.id} />`;
}

function Dashboard() {
  const [help, setHelp] = useState(false);
  const view = tab();
  useShortcuts(() => setHelp(true));
  useLive(live.value && view === "clicks", new URLSearchParams(owner.value.query).toString());
  return html`
    <div class="dashboard">
      <h1 class="unseen">Dashboard</h1>
      ${principal.value.role === "admin" && html`<${Tabs} chosen=${view} />`}
      ${view === "clicks" ? html`<${Clicks} onHelp=${() => setHelp(true)} />` : html`<${ADMINISTRATION[view]} />`}
      <${Help} open=${help} onClose=${() => setHelp(false)} />
    </div>
  `;
}

function Clicks({ onHelp }) {
  return html`
    ${principal.value.role === "admin" && html`<${WhoseClicks} />`}
    <${Toolbar} onHelp=${onHelp} />
    ${owner.value.kind === "links" ? html`<${Links} />` : html`<${Affiliate} />`}
  `;
}

const tab = () => (principal.value.role === "admin" && parameters.value.get("view") in ADMINISTRATION ? parameters.value.get("view") : "clicks");

function Tabs({ chosen }) {
  const go = (view) => (event) => {
    event.preventDefault();
    setParameters({ view: view === "clicks" ? null : view });
  };
  return html`<nav class="tabs" aria-label="Views">
    ${["clicks", ...Object.keys(ADMINISTRATION)].map((view) => html`<a href="" aria-current=${view === chosen ? "page" : null} onClick=${go(view)}>${view[0].toUpperCase() + view.slice(1)}</a>`)}
  </nav>`;
}

const NOBODY = { publisher_id: null, account_id: null, advertiser_id: null, network_id: null, grpIdx: null, linkId: null, domain: null, page: null, by: null };

/** An admin looks at all affiliate clicks, or at those of a publisher or an account. */
function WhoseClicks() {
  const query = owner.value.query;
  const [kind, id] = Object.entries(query)[0] ?? ["publisher_id", ""];
  const choose = (event) => {
    event.preventDefault();
    const { whose, id: chosen } = Object.fromEntries(new FormData(event.target));
    setParameters({ ...NOBODY, [whose]: chosen.trim() });
  };
  return html`
    <form class="toolbar" aria-label="Whose clicks" onSubmit=${choose} key=${parameters.value.toString()}>
      <label class="inline">Clicks of
        <select name="whose"><option value="publisher_id" selected=${kind === "publisher_id"}>publisher</option><option value="account_id" selected=${kind === "account_id"}>account</option></select>
      </label>
      <input name="id" aria-label="Id" inputmode="numeric" pattern="[1-9][0-9]*" maxlength="19" size="10" value=${id} placeholder="all" />
      <button>Show</button>
      ${id && html`<button type="button" class="quiet" onClick=${() => setParameters(NOBODY)}>All publishers</button>`}
    </form>
  `;
}

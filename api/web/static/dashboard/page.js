// The dashboard: the view of the key's role, once signed in.
import { useState } from "preact/hooks";
import { html } from "../app/html.js";
import { parameters, setParameters } from "../app/router.js";
import { principal, signedIn } from "../app/session.js";
import { SignIn } from "../app/sign_in.js";
import { Affiliate } from "./affiliate.js";
import { Links } from "./links.js";
import { useLive } from "./live.js";
import { Help, useShortcuts } from "./shortcuts.js";
import { Toolbar } from "./toolbar.js";
import { live, owner } from "./view.js";

export const title = "Dashboard";

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
  useShortcuts(() => setHelp(true));
  useLive(live.value, new URLSearchParams(owner.value.query).toString());
  const admin = principal.value.role === "admin";
  return html`
    <div class="dashboard">
      <h1 class="unseen">Dashboard</h1>
      ${admin && html`<${WhoseClicks} />`}
      <${Toolbar} onHelp=${() => setHelp(true)} />
      ${owner.value.kind === "links" ? html`<${Links} />` : html`<${Affiliate} />`}
      <${Help} open=${help} onClose=${() => setHelp(false)} />
    </div>
  `;
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

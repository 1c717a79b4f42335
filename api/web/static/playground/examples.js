// The examples of the original documentation. Ids are looked up among what the key sees, where there is something.
import { useState } from "preact/hooks";
import { html } from "../app/html.js";
import { principal, requestJson } from "../app/session.js";
import { choose } from "./address.js";
import { anyOf, withArticle } from "./call_form.js";
import { day } from "./dates.js";

const lastDays = (count) => ({ start_date: day(1 - count), end_date: day() });
const BELOW_GROUPS = ["Free", "Personal"]; // plans

const GROUPS = { "Examples: clicks by day": "listClicks", "Examples: clicks by hour": "clicksByHour" };

/** `values` may ask the API; `refusal` says why a key of the right role does not do. */
const EXAMPLES = [
  { title: "The last 31 days", call: "listClicks", values: () => lastDays(31) },
  {
    title: "One publisher",
    call: "listClicks",
    values: async (who) => ({ ...lastDays(31), publisher_id: who.publisher_id ?? (await largest("publisher")) ?? 45 }),
  },
  { title: "Page by page", call: "listClicks", values: () => ({ ...lastDays(31), per_page: 10, page: 2 }) },
  { title: "A day of one link", call: "clicksByHour", values: async () => ({ ymd: day(), ...(await aLink()) }) },
  {
    title: "A day of a group",
    call: "clicksByHour",
    values: async () => ({ ymd: day(), grpIdx: (await largest("group")) ?? 151 }),
    refusal: ({ plan }) => BELOW_GROUPS.includes(plan) && `The plan ${plan} has no statistics of groups.`,
  },
  {
    title: "A day of the account",
    call: "clicksByHour",
    values: () => ({ ymd: day() }),
    refusal: ({ plan }) => BELOW_GROUPS.includes(plan) && `The plan ${plan} has no statistics of the account.`,
  },
];

export function Examples({ calls }) {
  const [failure, setFailure] = useState(null);
  const open = async (call, values) => {
    try {
      setFailure(null);
      choose(call, await values(principal.value));
    } catch (error) {
      setFailure(error.message);
    }
  };
  return html`
    <section class="examples">
      ${Object.entries(GROUPS).map(([name, id]) => {
        const call = calls.find((each) => each.id === id);
        return call && html`<${Group} name=${name} call=${call} onOpen=${open} />`;
      })}
      ${failure && html`<p class="notice bad" role="alert">${failure}</p>`}
    </section>
  `;
}

function Group({ name, call, onOpen }) {
  const who = principal.value;
  const misfit = misfitOf(call, who);
  return html`
    <div>
      <h2>${name}</h2>
      ${misfit && html`<p class="hint">${misfit}</p>`}
      <ul>
        ${EXAMPLES.filter((each) => each.call === call.id).map(({ title, values, refusal }) => {
          const reason = !misfit && refusal?.(who);
          return html`
            <li>
              <button disabled=${Boolean(misfit || reason)} onClick=${() => onOpen(call, values)}>${title}</button>
              ${reason && html`<small>${reason}</small>`}
            </li>
          `;
        })}
      </ul>
    </div>
  `;
}

/** Why the key does not do for the call; null if it does. */
function misfitOf({ roles }, who) {
  if (!who) return `Sign in with a key of ${anyOf(roles)}.`;
  return roles.includes(who.role) ? null : `For a key of ${anyOf(roles)}; yours is of ${withArticle(who.role)}.`;
}

/** The id with the most clicks of late; undefined if there are none. */
async function largest(dimension) {
  const query = new URLSearchParams({ by: dimension, from: day(-30), to: day(), limit: 1 });
  const { data } = await requestJson(`/api/insights/v1/top?${query}`);
  return data.map(({ value }) => value).find((value) => value !== "(other)");
}

async function aLink() {
  const found = /^(https?:\/\/[^/]+)\/(.+)$/s.exec((await largest("link")) ?? "");
  return found ? { linkId: found[2], domain: found[1] } : { linkId: "hello", domain: "https://vvd.bz" };
}

// What can be chosen on every view: days, what to compare with, bots, live mode; and how current the numbers are.
import { html } from "../app/html.js";
import { setParameters } from "../app/router.js";
import { principal } from "../app/session.js";
import { clock } from "../charts/format.js";
import { asOf, refresh } from "./answers.js";
import { addDays, length } from "./days.js";
import { liveState } from "./live.js";
import { COMPARISONS, choose, chooseLast, comparison, currentDay, live, mostDays, owner, range, scope, shift, withBots, zone } from "./view.js";

const PRESETS = [
  [1, "Day", "D"],
  [7, "Week", "W"],
  [31, "Month", "M"],
  [90, "90 days", null],
];

export function Toolbar({ onHelp }) {
  const { from, to } = range.value;
  const isLast = (days) => to === currentDay.value && length(from, to) === days;
  const change = (name) => (event) => {
    const day = event.target.value;
    if (!day) return;
    const most = mostDays.value - 1;
    if (name === "from") choose(day, to < day ? day : to > addDays(day, most) ? addDays(day, most) : to);
    else choose(from > day ? day : from < addDays(day, -most) ? addDays(day, -most) : from, day);
  };
  const flag = (name) => (event) => setParameters({ [name]: event.target.checked ? "1" : null }, { replace: true });
  return html`
    <div class="toolbar" role="group" aria-label="What is shown">
      <span class="group">
        <button aria-label="Earlier" title="Earlier (←)" onClick=${() => shift(-1)}>←</button>
        ${PRESETS.map(([days, name, key]) => html`<button aria-pressed=${isLast(days)} title=${key && `${name} (${key})`} onClick=${() => chooseLast(days)}>${name}</button>`)}
        <button aria-label="Later" title="Later (→)" disabled=${to >= currentDay.value} onClick=${() => shift(1)}>→</button>
      </span>
      <span class="group dates">
        <input type="date" aria-label="From" value=${from} max=${currentDay.value} onChange=${change("from")} />
        <span aria-hidden="true">–</span>
        <input type="date" aria-label="To" value=${to} max=${currentDay.value} onChange=${change("to")} />
      </span>
      <label class="inline">Compare with
        <select value=${comparison.value ?? ""} onChange=${(event) => setParameters({ compare: event.target.value })}>
          ${COMPARISONS.map(([value, name]) => html`<option value=${value} selected=${value === (comparison.value ?? "")}>${name}</option>`)}
        </select>
      </label>
      <label class="inline"><input type="checkbox" checked=${withBots.value} onChange=${flag("bots")} /> Bots</label>
      <label class="inline"><input type="checkbox" checked=${live.value} onChange=${flag("live")} /> Live</label>
      <button class="quiet" onClick=${() => refresh()}>Refresh</button>
      <button class="quiet" aria-label="Help and keys" title="Help (?)" onClick=${onHelp}>?</button>
    </div>
    <${Narrowed} />
    <p class="status">
      <span class=${`dot ${liveState.value}`} aria-hidden="true"></span>
      <span>${LIVE_STATES[liveState.value]}</span>
      <span>Data as of ${asOf.value ? html`<time datetime=${asOf.value}>${clock(asOf.value, zone.value)}</time>` : "…"}</span>
      <span>Time zone ${zone.value}${isOfAll() && "; days are those of each publisher"}</span>
    </p>
  `;
}

const isOfAll = () => principal.value.role === "admin" && !Object.keys(owner.value.query).length;

const LIVE_STATES = {
  off: "Not live",
  connecting: "Connecting …",
  streaming: "Live",
  polling: "Live, asking every 5 s: the stream is interrupted",
};

function Narrowed() {
  const { advertiser_id: advertiser, network_id: network } = scope.value;
  if (!advertiser && !network) return null;
  const all = () => setParameters({ advertiser_id: null, network_id: null, page: null });
  return html`<nav class="path" aria-label="Where you are">
    <a href="" onClick=${(event) => (event.preventDefault(), all())}>${principal.value.role === "admin" ? "All clicks" : `Publisher ${principal.value.publisher_id}`}</a>
    <span aria-hidden="true">›</span><span aria-current="page">${advertiser ? `Advertiser ${advertiser}` : `Network ${network}`}</span>
  </nav>`;
}

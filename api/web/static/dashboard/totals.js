// The numbers of the whole range, and how they compare.
import { html } from "../app/html.js";
import { change, count, days, longDay } from "../charts/format.js";
import { States } from "../charts/figure.js";
import { addDays, length } from "./days.js";
import { range, withBots } from "./view.js";

export const sumOf = (rows, name) => rows.reduce((all, row) => all + row[name], 0);

/** `series` is the plain one, up to now; `compared` the one with an earlier period, if one is asked for. */
export function Totals({ series, compared }) {
  const rows = series.data?.data;
  const { from, to } = range.value;
  const busiest = rows?.length ? rows.reduce((most, row) => (row.clicks > most.clicks ? row : most)) : null;
  return html`
    <section class=${`totals panel ${series.stale ? "stale" : ""}`} aria-label="Totals">
      <dl>
        <${Figure} name="Clicks" main number=${rows && sumOf(rows, "clicks")} />
        ${withBots.value && html`<${Figure} name="Bots" number=${rows && sumOf(rows, "bots")} />`}
        <${Figure} name="A day, on average" number=${rows && Math.round(sumOf(rows, "clicks") / length(from, to))} />
        <${Figure} name="Busiest day" number=${busiest && busiest.clicks} note=${busiest?.clicks ? longDay(busiest.start.slice(0, 10)) : null} />
        ${rows?.length === 1 && rows[0].users !== null && html`<${Figure} name="Users" number=${rows[0].users} />`}
      </dl>
      <p class="hint">${days(from, to)}</p>
      <${States} answers=${[series]} />
      ${compared && html`<${Comparison} answer=${compared} />`}
    </section>
  `;
}

function Figure({ name, number, note, main = false }) {
  const known = number !== null && number !== undefined;
  return html`
    <div class=${main ? "main" : null}>
      <dt>${name}</dt>
      <dd>${known ? html`<data value=${number}>${count(number)}</data>` : "…"}${note && html` <small>${note}</small>`}</dd>
    </div>
  `;
}

function Comparison({ answer }) {
  if (!answer.data) return html`<${States} answers=${[answer]} />`;
  const { data, compare, meta } = answer.data;
  if (!compare?.length) return html`<p class="comparison">Nothing to compare yet: no whole day or hour of this range is over.</p>`;
  const [now, before] = [sumOf(data, "clicks"), sumOf(compare, "clicks")];
  const last = compare.at(-1).end;
  return html`
    <p class="comparison">
      <strong class=${now < before ? "fallen" : "risen"}>${change(now, before)}</strong>${" "}
      ${count(now)} clicks against <data value=${before}>${count(before)}</data> from ${longDay(compare[0].start.slice(0, 10))} to ${until(last)}.
      ${meta.cut_at && ` Both are counted up to the same time: now up to ${until(meta.cut_at)}, so that no part of a day is held against a whole one.`}
    </p>
    <${States} answers=${[answer]} />
  `;
}

/** The end of a period: midnight is said as the day that it ends. */
function until(end) {
  if (end.slice(11, 16) !== "00:00") return `${longDay(end.slice(0, 10))}, ${end.slice(11, 16)}`;
  return `the end of ${longDay(addDays(end.slice(0, 10), -1))}`;
}

// Clicks of a publisher, or of all: by day and advertiser or network, the top, what rises and falls, and every row.
import { html } from "../app/html.js";
import { parameters, setParameters } from "../app/router.js";
import { principal } from "../app/session.js";
import { count, plain } from "../charts/format.js";
import { useAnswer } from "./answers.js";
import { ByDay } from "./by_day.js";
import { Ranking } from "./ranking.js";
import { RowsTable } from "./rows_table.js";
import { Totals } from "./totals.js";
import { comparison, insight, learnZone, owner, range, scope, withBots } from "./view.js";

const SHOWN = 6; // series with a colour of their own

export function Affiliate() {
  const dimension = dimensions().find((name) => name === parameters.value.get("by")) ?? "advertiser";
  const { from, to } = range.value;
  const listing = `/api/v1/clicks?${new URLSearchParams({ start_date: from, end_date: to, ...owner.value.query })}`;
  const series = useAnswer(insight("series", {}));
  const compared = useAnswer(comparison.value && insight("series", { compare: comparison.value }));
  const all = useAnswer(listing, { as: "rows" });
  const gain = useAnswer(insight("top", { by: dimension, order: "gain", limit: 5 }), { rarely: true });
  const loss = useAnswer(insight("top", { by: dimension, order: "loss", limit: 5 }), { rarely: true });
  if (series.data && !series.stale) learnZone(series.data.meta.time_zone);
  const rows = all.data ? all.data.rows.filter(inScope) : null;
  const ranked = rows && rank(rows, dimension);
  const chart = comparison.value && compared.data ? withCounterparts(series, compared) : series;
  const divided = rows && !all.data.cut && divide(rows, ranked, dimension);
  const narrow = (row) => dimension !== "publisher" && setParameters({ [`${dimension}_id`]: row.value, page: null });
  const one = `${dimension}s`;
  return html`
    <${Totals} series=${series} compared=${comparison.value ? compared : null} />
    <${ByDay}
      answer=${chart}
      others=${[all, ...(comparison.value ? [compared] : [])]}
      bots=${withBots.value}
      pieces=${divided}
      tools=${html`<${By} chosen=${dimension} />`}
      note=${comparison.value && `Hollow bars: the earlier period.${compared.data?.meta.cut_at ? " Today has none until it is over." : ""}`}
    />
    <div class="columns">
      <${Ranking} title=${`Top ${one}`} name=${`top-${one}-${from}-${to}`} answers=${[all]} rows=${ranked && top(ranked)} total=${ranked?.reduce((sum, row) => sum + row.clicks, 0)} go=${narrow} />
      <${Ranking} title="Risers" name=${`risers-${from}-${to}`} answers=${[gain]} rows=${moved(gain)} go=${narrow} against note="Against the period of equal length before; days that are over." empty="Nothing has grown." />
      <${Ranking} title="Fallers" name=${`fallers-${from}-${to}`} answers=${[loss]} rows=${moved(loss)} go=${narrow} against note="Against the period of equal length before; days that are over." empty="Nothing has shrunk." />
    </div>
    <${RowsTable} answer=${all} rows=${rows} path=${listing} name=${`clicks-${from}-${to}`} />
  `;
}

const dimensions = () => ["advertiser", "network", ...(principal.value?.role === "admin" ? ["publisher"] : [])];

function By({ chosen }) {
  return html`<label class="inline">by
    <select value=${chosen} onChange=${(event) => setParameters({ by: event.target.value === "advertiser" ? null : event.target.value }, { replace: true })}>
      ${dimensions().map((name) => html`<option value=${name} selected=${name === chosen}>${name}</option>`)}
    </select>
  </label>`;
}

const inScope = (row) => Object.entries(scope.value).every(([name, id]) => String(row[name]) === id);
const moved = (answer) => answer.data?.data.filter(({ value }) => value !== "(other)") ?? null;

/** The plain series, whose open days have no counterpart, with the earlier period beside. */
const withCounterparts = (series, compared) =>
  series.data ? { ...series, data: { ...series.data, compare: compared.data.compare } } : series;

/** Sums by id, the largest first. */
function rank(rows, dimension) {
  const sums = new Map();
  for (const row of rows) {
    const value = row[`${dimension}_id`];
    const known = sums.get(value);
    if (known) known.clicks += row.click_count;
    else sums.set(value, { value, label: row[`${dimension}_name`], clicks: row.click_count });
  }
  return [...sums.values()].sort((a, b) => b.clicks - a.clicks);
}

function top(ranked) {
  const rest = ranked.slice(10).reduce((sum, { clicks }) => sum + clicks, 0);
  return rest ? [...ranked.slice(0, 10), { value: "(other)", clicks: rest }] : ranked;
}

/** Days divided by the largest of a dimension, and all others together. */
function divide(rows, ranked, dimension) {
  const shown = ranked.slice(0, SHOWN);
  const series = shown.map(({ value, label }, at) => ({ name: label ?? String(value), mark: `series-${at}` }));
  if (ranked.length > SHOWN) series.push({ name: "Others", mark: "series-rest" });
  const places = new Map(shown.map(({ value }, at) => [value, at]));
  const days = new Map();
  for (const row of rows) {
    const parts = days.get(row.click_date) ?? series.map(() => 0);
    parts[places.get(row[`${dimension}_id`]) ?? SHOWN] += row.click_count;
    days.set(row.click_date, parts);
  }
  const of = (day) => days.get(day) ?? series.map(() => 0);
  const words = (day) => of(day).map((part, at) => part && `; ${plain(series[at].name, 40)} ${count(part)}`).filter(Boolean).join("");
  const columns = series.map(({ name }, at) => ({ name, of: (row) => of(row.start.slice(0, 10))[at], number: true }));
  return { series, of, words, columns };
}

// Clicks by day: bars of a series, alone, with bots, or divided by advertiser or network.
import { html } from "../app/html.js";
import { Bars } from "../charts/bars.js";
import { Figure } from "../charts/figure.js";
import { count, days, longDay, shortDay } from "../charts/format.js";
import { range } from "./view.js";

export const PLAIN = [{ name: "Clicks", mark: "series-0" }];
export const WITH_BOTS = [...PLAIN, { name: "Bots", mark: "series-1" }];

/** Rows of a series, each with its counterpart of the earlier period, and whether it is an hour that the clock repeats. */
export const besides = ({ data, compare }) =>
  data.map((row, at) => ({ ...row, before: compare?.[at] ?? null, again: wall(row) === wall(data[at - 1]) }));
const wall = (row) => row?.start.slice(0, 16);

const of = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;

/** What a bar says in words. */
export function inWords(when, { clicks, users, bots, status, before }, bots_shown) {
  const parts = [`${when}: ${of(clicks, "click")}`];
  if (users !== null) parts.push(of(users, "user"));
  if (bots_shown) parts.push(of(bots, "bot"));
  if (before) parts.push(`${of(before.clicks, "click")} before, on ${longDay(before.start.slice(0, 10))}`);
  if (status === "open") parts.push("still open");
  return parts.join(", ");
}

export function columnsOf(first, rows, bots_shown) {
  return [
    first,
    { name: "Clicks", of: (row) => row.clicks, number: true },
    ...(rows[0]?.users === null || !rows.length ? [] : [{ name: "Users", of: (row) => row.users, number: true }]),
    ...(bots_shown ? [{ name: "Bots", of: (row) => row.bots, number: true }] : []),
    ...(rows.some(({ before }) => before) ? [{ name: "Clicks before", of: (row) => row.before?.clicks ?? null, number: true }] : []),
    { name: "State", of: (row) => row.status },
  ];
}

/** `pieces` divides days: `{series, of(day)}`, where `of` gives a number for each of `series`. */
export function ByDay({ answer, others = [], bots, pieces, tools, note, chosen, onDay }) {
  const rows = answer.data && besides(answer.data);
  const series = pieces?.series ?? (bots ? WITH_BOTS : PLAIN);
  const day = (row) => row.start.slice(0, 10);
  const bars = rows?.map((row, at) => ({
    label: shortDay(day(row)),
    text: inWords(longDay(day(row)), row, bots) + (pieces ? pieces.words(day(row)) : ""),
    parts: pieces ? pieces.of(day(row)) : bots ? [row.clicks, row.bots] : [row.clicks],
    open: row.status === "open" || (at === rows.length - 1 && answer.data.meta.cut_at !== null),
    before: row.before && row.before.clicks,
    go: onDay && (() => onDay(day(row))),
  }));
  const columns = rows && [...columnsOf({ name: "Day", of: day, show: (row) => longDay(day(row)) }, rows, bots), ...(pieces?.columns ?? [])];
  return html`
    <${Figure}
      title="Clicks by day"
      period=${days(range.value.from, range.value.to)}
      name=${`clicks-by-day-${range.value.from}-${range.value.to}`}
      answers=${[answer, ...others]}
      columns=${columns}
      rows=${rows ?? null}
      series=${series}
      tools=${tools}
      note=${note}
    >
      <${Bars} title="Clicks by day" bars=${bars ?? []} series=${series} chosen=${rows ? rows.findIndex((row) => day(row) === chosen) : null} />
    <//>
  `;
}

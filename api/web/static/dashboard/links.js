// Clicks of an account, a group or a link: by day, by hour, over a week, the top links, and the groups.
import { html } from "../app/html.js";
import { parameters, setParameters } from "../app/router.js";
import { principal } from "../app/session.js";
import { Bars } from "../charts/bars.js";
import { Figure } from "../charts/figure.js";
import { days, hours, longDay, plain, shortDay, weekdayOf } from "../charts/format.js";
import { HeatMap } from "../charts/heat_map.js";
import { useAnswer } from "./answers.js";
import { ByDay, PLAIN, WITH_BOTS, besides, columnsOf, inWords } from "./by_day.js";
import { addDays, isDay } from "./days.js";
import { Groups } from "./groups.js";
import { Ranking } from "./ranking.js";
import { Totals } from "./totals.js";
import { comparison, insight, learnZone, range, scope, withBots } from "./view.js";

const CLOSED = { grpIdx: null, linkId: null, domain: null, page: null };

export function Links() {
  const { from, to } = range.value;
  const asked = parameters.value.get("day");
  const day = asked && isDay(asked) && asked >= from && asked <= to ? asked : to;
  const end = day >= addDays(to, -6) ? to : day; // the week that ends with the range, if the day is in it
  const inLink = Boolean(scope.value.linkId);
  const inAccount = !Object.keys(scope.value).length;
  const series = useAnswer(insight("series", {}));
  const compared = useAnswer(comparison.value && insight("series", { compare: comparison.value }));
  const week = useAnswer(insight("series", { interval: "hour" }, { from: addDays(end, -6), to: end }));
  const links = useAnswer(!inLink && insight("top", { by: "link" }), { rarely: true });
  const groups = useAnswer(inAccount && insight("top", { by: "group", limit: 200 }), { rarely: true });
  if (series.data && !series.stale) learnZone(series.data.meta.time_zone);
  const open = ({ value }) => setParameters({ ...CLOSED, ...parts(value), grpIdx: scope.value.grpIdx ?? null });
  return html`
    <${Path} groups=${groups} />
    <${Totals} series=${series} compared=${comparison.value ? compared : null} />
    <${ByDay}
      answer=${comparison.value && compared.data ? compared : series}
      others=${comparison.value ? [compared, series] : []}
      bots=${withBots.value}
      chosen=${day}
      onDay=${(chosen) => setParameters({ day: chosen }, { replace: true })}
      note=${comparison.value ? `Hollow bars: the earlier period.${compared.data?.meta.cut_at ? " Both end where the hour that is still open begins." : ""}` : "Choose a day to see its hours."}
    />
    <div class="pair">
      <${ByHour} answer=${week} day=${day} />
      <${Week} answer=${week} />
    </div>
    <div class="columns">
      ${!inLink && html`<${Ranking} title="Top links" name=${`top-links-${from}-${to}`} answers=${[links]} rows=${links.data?.data ?? null} go=${open} users none="All other links" />`}
      ${inAccount && html`<${Groups} top=${groups} />`}
    </div>
  `;
}

/** A link as `top` names it: its domain, a slash and its linkId; the domain has no further slash. */
export function parts(value) {
  const [, domain, linkId] = /^((?:[a-z][a-z0-9+.-]*:\/\/)?[^/]*)\/(.*)$/is.exec(value) ?? [null, value, ""];
  return { domain, linkId };
}

function Path({ groups }) {
  const { grpIdx, linkId, domain } = scope.value;
  const group = parameters.value.get("grpIdx");
  const name = groups.data?.data.find(({ value }) => String(value) === group)?.label;
  const to = (changes) => (event) => {
    event.preventDefault();
    setParameters({ ...CLOSED, ...changes });
  };
  if (!grpIdx && !linkId) return null;
  return html`
    <nav class="path" aria-label="Where you are">
      <a href="" onClick=${to({})}>Account ${principal.value.account_id ?? parameters.value.get("account_id")}</a>
      ${group && html`<span aria-hidden="true">›</span>${linkId ? html`<a href="" onClick=${to({ grpIdx: group })}>Group ${group}</a>` : html`<span aria-current="page">Group ${group}${name && html` · <bdi>${plain(name)}</bdi>`}</span>`}`}
      ${linkId && html`<span aria-hidden="true">›</span><span aria-current="page" class="name"><bdi>${plain(`${domain}/${linkId}`)}</bdi></span>`}
    </nav>
  `;
}

function ByHour({ answer, day }) {
  const bots = withBots.value;
  const rows = answer.data ? besides(answer.data).filter(({ start }) => start.startsWith(day)) : null;
  const series = bots ? WITH_BOTS : PLAIN;
  const title = `Clicks by hour, ${shortDay(day)}`;
  const bars = rows?.map((row) => ({
    label: row.start.slice(11, 13),
    text: inWords(`${longDay(day)}, ${hours(row)}`, row, bots),
    parts: bots ? [row.clicks, row.bots] : [row.clicks],
    open: row.status === "open" && row.clicks > 0,
  }));
  const changed = rows?.length && Math.round((Date.parse(rows.at(-1).end) - Date.parse(rows[0].start)) / 3_600_000) - 24;
  return html`
    <${Figure} title=${title} name=${`clicks-by-hour-${day}`} answers=${[answer]} columns=${rows && columnsOf({ name: "Hour", of: hours }, rows, bots)} rows=${rows} series=${series} note=${oddDay(changed)}>
      <${Bars} title=${title} bars=${bars ?? []} series=${series} height=${220} />
    <//>
  `;
}

const oddDay = (hoursMore) => {
  if (!hoursMore) return "Hours of the local day.";
  if (hoursMore < 0) return "The clock is set forward on this day: it has 23 hours.";
  return "The clock is set back on this day: it has 25 hours, one of them twice.";
};

function Week({ answer }) {
  const rows = answer.data && besides(answer.data);
  const week = [...new Set(rows?.map(({ start }) => start.slice(0, 10)) ?? [])];
  const title = "A week by hour";
  const lines = week.map((day) => {
    const cells = Array.from({ length: 24 }, () => null);
    for (const row of rows.filter(({ start }) => start.startsWith(day))) {
      const hour = Number(row.start.slice(11, 13));
      const text = inWords(`${longDay(day)}, ${hours(row)}`, row, withBots.value);
      const first = cells[hour]; // there is one where the clock repeats the hour
      cells[hour] = { number: row.clicks + (first?.number ?? 0), open: row.status === "open" && row.clicks > 0, text: first ? `${first.text}; ${text}` : text };
    }
    return { label: `${weekdayOf(day)} ${shortDay(day)}`, cells };
  });
  const first = { name: "Hour", of: ({ start, end }) => `${start} / ${end}`, show: (row) => `${longDay(row.start.slice(0, 10))}, ${hours(row)}` };
  return html`
    <${Figure} title=${title} period=${week[0] && days(week[0], week.at(-1))} name=${`clicks-by-hour-week-${week[0]}`} answers=${[answer]} columns=${rows && columnsOf(first, rows, withBots.value)} rows=${rows ?? null} note="The stronger the colour, the more clicks. With a broken line: still open.">
      <${HeatMap} title=${title} rows=${lines} />
    <//>
  `;
}

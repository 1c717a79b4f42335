// Whether the numbers add up: the audit's verdict, what was read of each partition by reason, and how far behind it is.
import { html } from "../app/html.js";
import { DataTable } from "../charts/data_table.js";
import { States } from "../charts/figure.js";
import { clock, count } from "../charts/format.js";
import { useAnswer } from "../dashboard/answers.js";
import { DeadLetters } from "./dead_letters.js";

const time = (ms) => (ms ? clock(ms, "UTC") : "–");
const behind = (ms) => (ms ? `${count(Math.max(0, Math.round((Date.now() - ms) / 1000)))} s` : "–");
const PARTITIONS = [
  { name: "Partition", of: (row) => row.partition, show: (row) => row.partition },
  { name: "Counted up to", of: (row) => row.as_of_ms, show: (row) => time(row.as_of_ms) },
  { name: "Behind", of: (row) => row.as_of_ms, show: (row) => behind(row.as_of_ms) },
  { name: "Waiting", of: (row) => row.lag, number: true },
  { name: "Records read", of: (row) => row.watermark, number: true },
  { name: "Unverified", of: (row) => row.unverified, number: true },
];
const REASONS = [
  { name: "Reason", of: (row) => row.reason },
  { name: "Meaning", of: (row) => MEANINGS[row.reason] ?? null },
  { name: "Records", of: (row) => row.records, number: true },
  { name: "Clicks", of: (row) => row.events, number: true },
];
const MEANINGS = {
  counted: "counted once",
  duplicate: "the same event again",
  repeat: "the same visitor on the same link within seconds",
  bot: "a bot; counted apart",
  prefetch: "fetched ahead or by HEAD, not clicked",
  invalid: "no click: a dead letter",
  future: "from the future: a dead letter",
  gap: "offsets without a record",
};
const TROUBLES = [
  { name: "Source", of: (row) => row.source, show: (row) => row.source },
  { name: "Partition", of: (row) => row.partition, show: (row) => row.partition },
  { name: "State", of: (row) => row.state },
  { name: "Since", of: (row) => row.since_ms, show: (row) => time(row.since_ms) },
  { name: "Why", of: (row) => row.why },
];

export function Health() {
  const audit = useAnswer("/admin/audit");
  const found = audit.data;
  const lag = useAnswer("/admin/lag");
  return html`
    <section class="panel" aria-label="Verdict">
      <div class="row"><h2>Do the numbers add up?</h2><span class="grow"></span><button disabled=${audit.loading} onClick=${audit.again}>Audit again</button></div>
      <${States} answers=${[audit]} />
      ${found ? html`<${Verdict} found=${found} />` : html`<p class="hint">Reading the rollups …</p>`}
    </section>
    ${found && html`
      <div class="columns">
        <${Part} title="Ledger by reason" columns=${REASONS} rows=${byReason(found.partitions)} note="Every click of the log has one reason." />
        <${Part} title="Partitions" columns=${PARTITIONS} rows=${withLag(newest(found.partitions), lag.data)} note=${`Of source ${newest(found.partitions)[0]?.source ?? "–"}, the topic that is read now; times are in UTC.`} />
      </div>
      ${found.troubles.length > 0 && html`<${Part} title="Partitions in trouble" columns=${TROUBLES} rows=${found.troubles} />`}
    `}
    <${DeadLetters} />
  `;
}

function Verdict({ found: { problems, troubles } }) {
  if (problems.length) return html`<div class="notice bad" role="alert"><strong>No.</strong><ul>${problems.map((problem) => html`<li>${problem}</li>`)}</ul></div>`;
  return html`<p class="verdict"><strong class="risen">Yes.</strong> All records that were read are accounted for, and the rollups hold as many clicks as the ledger.${troubles.length > 0 && " Some partitions are in trouble, though."} <code>clickmill audit</code> also holds them against Kafka.</p>`;
}

const Part = ({ title, columns, rows, note }) => html`
  <section class="panel" aria-label=${title}><h2>${title}</h2><${DataTable} label=${`${title}, as a table`} columns=${columns} rows=${rows} />${note && html`<p class="hint">${note}</p>`}</section>
`;

/** Partitions of the source that is read now: the others count no more. */
function newest(partitions) {
  const last = partitions.reduce((latest, part) => (part.as_of_ms > (latest?.as_of_ms ?? -1) ? part : latest), null);
  return partitions.filter(({ source }) => source === last?.source);
}

const withLag = (partitions, lag) => partitions.map((row) => ({ ...row, lag: lag?.partitions.find(({ partition }) => partition === row.partition)?.lag ?? null }));

function byReason(partitions) {
  const sums = new Map();
  for (const { records, events } of partitions)
    for (const [reason, number] of Object.entries(records)) {
      const sum = sums.get(reason) ?? { reason, records: 0, events: 0 };
      sum.records += number;
      sum.events += events[reason] ?? 0;
      sums.set(reason, sum);
    }
  return [...sums.values()].sort((a, b) => b.records - a.records);
}

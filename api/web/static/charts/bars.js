// Bars, stacked or not. Open buckets are pale with a broken line; an earlier period is a hollow bar behind.
import { html } from "../app/html.js";
import { compact } from "./format.js";
import { leadsOn, ticks, useMarks, useWidth } from "./marks.js";

const LEFT = 46;
const TOP = 10;
const BOTTOM = 22;
const LABEL = 60; // pixels that a label of the axis needs

/**
 * `bars`: `{label, text, parts, open, before, go}`: a label for the axis, the whole in words, a number for each of
 * `series`, whether it is still open, the number of the earlier period or null, and what a click does, if anything.
 */
export function Bars({ title, bars, series, height = 230, chosen = null }) {
  const [around, width] = useWidth();
  const [looked, mark] = useMarks(bars.length);
  const sums = bars.map(({ parts }) => parts.reduce((all, part) => all + part, 0));
  const levels = ticks(Math.max(1, ...sums, ...bars.map(({ before }) => before ?? 0)));
  const inner = height - TOP - BOTTOM;
  const y = (number) => TOP + inner * (1 - number / levels.at(-1));
  const slot = Math.max(0, width - LEFT) / Math.max(1, bars.length);
  const every = Math.max(1, Math.ceil(LABEL / slot));
  return html`
    <div class="chart-area" ref=${around}>
      <p class="readout" aria-hidden="true">${looked !== null ? bars[looked]?.text : sums.some(Boolean) ? " " : "No clicks here."}</p>
      <svg class="chart" role="group" aria-label=${title} width=${width} height=${height}>
        ${levels.map(
          (level) => html`
            <g class="level" aria-hidden="true">
              <line x1=${LEFT} x2=${width} y1=${y(level)} y2=${y(level)} />
              <text x=${LEFT - 8} y=${y(level) + 4}>${compact(level)}</text>
            </g>
          `,
        )}
        ${bars.map((bar, at) => {
          const x = LEFT + at * slot;
          return html`
            <g
              key=${at}
              class=${`bar ${bar.open ? "open" : ""} ${at === chosen ? "chosen" : ""}`}
              role="img"
              aria-label=${bar.text}
              ...${mark(at)}
              ...${bar.go && leadsOn(bar.go)}
            >
              <rect class="hit" x=${x} y=${TOP} width=${slot} height=${inner} />
              ${bar.before > 0 && html`<rect class="before" ...${box(x, slot, 0.94, y(bar.before), y(0))} />`}
              <${Stack} x=${x} slot=${slot} y=${y} parts=${bar.parts} series=${series} open=${bar.open} />
            </g>
            ${(bars.length - 1 - at) % every === 0 && html`<text class="axis" aria-hidden="true" x=${Math.min(x + slot / 2, width - LABEL / 2 + 6)} y=${height - 6}>${bar.label}</text>`}
          `;
        })}
      </svg>
    </div>
  `;
}

function Stack({ x, slot, y, parts, series, open }) {
  let below = 0;
  const pieces = parts.map((part, at) => {
    const from = y(below);
    below += part;
    return part > 0 && html`<rect class=${`piece ${series[at].mark}`} ...${box(x, slot, 0.72, y(below), from)} />`;
  });
  return html`${pieces}${open && below > 0 && html`<rect class="outline" ...${box(x, slot, 0.72, y(below), y(0))} />`}`;
}

/** A box in the middle of a slot; what is there at all can be seen. */
function box(x, slot, filled, top, bottom) {
  const width = Math.max(1, slot * filled);
  return { x: x + (slot - width) / 2, y: Math.min(top, bottom - 1.5), width, height: Math.max(1.5, bottom - top) };
}

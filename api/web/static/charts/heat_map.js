// Days by hours: the darker, the more clicks, by the root, so that one hour does not pale all others. Each cell is a mark; an hour that a day does not have has none.
import { html } from "../app/html.js";
import { leadsOn, useMarks, useWidth } from "./marks.js";

const LEFT = 84;
const TOP = 20;
const ROW = 26;
const SHADES = 6;

/** `rows`: `{label, go, cells}`; 24 `cells`, `{text, number, open}` or null. */
export function HeatMap({ title, rows }) {
  const [around, width] = useWidth();
  const [looked, mark] = useMarks(rows.length * 24, 24);
  const most = Math.max(1, ...rows.flatMap(({ cells }) => cells.map((cell) => cell?.number ?? 0)));
  const slot = Math.max(0, width - LEFT) / 24;
  const every = slot < 24 ? 6 : slot < 34 ? 3 : 1;
  const height = TOP + rows.length * ROW;
  return html`
    <div class="chart-area" ref=${around}>
      <p class="readout" aria-hidden="true">${(looked !== null && rows[Math.floor(looked / 24)]?.cells[looked % 24]?.text) || " "}</p>
      <svg class="chart" role="group" aria-label=${title} width=${width} height=${height}>
        ${Array.from({ length: 24 }, (_, hour) => hour)
          .filter((hour) => hour % every === 0)
          .map((hour) => html`<text class="axis" aria-hidden="true" x=${LEFT + (hour + 0.5) * slot} y="13">${hour}</text>`)}
        ${rows.map(
          ({ label, go, cells }, row) => html`
            <text class="day" aria-hidden="true" x="0" y=${TOP + row * ROW + 17}>${label}</text>
            ${cells.map(
              (cell, hour) =>
                html`<rect
                  key=${hour}
                  class=${cell ? `cell shade-${shade(cell.number, most)} ${cell.open ? "open" : ""}` : "cell none"}
                  x=${LEFT + hour * slot + 1}
                  y=${TOP + row * ROW + 1}
                  width=${Math.max(0, slot - 2)}
                  height=${ROW - 2}
                  rx="2"
                  role="img"
                  aria-label=${cell?.text ?? `${label}, ${hour}:00: this day has no such hour`}
                  ...${mark(row * 24 + hour)}
                  ...${go && leadsOn(go)}
                />`,
            )}
          `,
        )}
      </svg>
    </div>
  `;
}

const shade = (number, most) => (number === 0 ? 0 : Math.max(1, Math.ceil(Math.sqrt(number / most) * (SHADES - 1))));

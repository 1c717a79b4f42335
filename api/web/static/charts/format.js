// Numbers and times as the reader's locale writes them. Days are texts such as 2026-03-29, so no time zone moves them.
const whole = new Intl.NumberFormat();
const rounded = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" });
const part = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const dayFormat = (options) => new Intl.DateTimeFormat(undefined, { timeZone: "UTC", ...options });
const short = dayFormat({ day: "numeric", month: "short" });
const long = dayFormat({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const weekday = dayFormat({ weekday: "short" });

const NOTHING = "–";
const date = (day) => new Date(`${day}T00:00:00Z`);

export const count = (number) => (number === null || number === undefined ? NOTHING : whole.format(number));
export const compact = (number) => rounded.format(number);
export const share = (number, all) => (all ? part.format(number / all) : NOTHING);
export const shortDay = (day) => short.format(date(day));
export const longDay = (day) => long.format(date(day));
export const weekdayOf = (day) => weekday.format(date(day));

/** The change of a count in per cent; from nothing there is none. */
export const change = (now, before) => (before ? percent.format((now - before) / before) : now ? "new" : percent.format(0));

export const days = (first, last) => (first === last ? longDay(first) : `${longDay(first)} – ${longDay(last)}`);

/** A time of day in a zone, with seconds. */
export function clock(instant, zone) {
  const format = { timeZone: zone, day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(undefined, format).format(new Date(instant));
}

/** The local hour of a bucket; `again`: it is the second one of this name, as the clock was set back. */
export function hours({ start, end, again }) {
  const minutes = Number(start.slice(11, 13)) * 60 + Number(start.slice(14, 16)) + (Date.parse(end) - Date.parse(start)) / 60_000;
  const two = (number) => String(number).padStart(2, "0");
  return `${start.slice(11, 16)}–${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}${again ? " (again: the clock was set back)" : ""}`;
}

/** Text from outside on one line of bounded length, without marks that turn the direction of what is beside it. */
export function plain(text, most = 80) {
  const line = String(text).slice(0, most * 4).replace(/[\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g, " ");
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}

// Days as texts such as 2026-03-29: which is today in a zone, and counting on from one.
export function today(zone, now = Date.now()) {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" });
  return parts.format(now);
}

export const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text) && addDays(text, 0) === text;

export function addDays(day, number) {
  const date = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(date.valueOf())) return null;
  date.setUTCDate(date.getUTCDate() + number);
  return date.toISOString().slice(0, 10);
}

/** The days of a range, both ends included. */
export const length = (from, to) => Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000) + 1;

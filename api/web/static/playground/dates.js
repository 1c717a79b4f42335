// Days as the API names them, in the time zone of the key that is signed in, else of this device.
import { principal } from "../app/session.js";
import { addDays, today } from "../dashboard/days.js";

/** Today as `YYYY-MM-DD`, moved by a number of days. */
export const day = (move = 0) => addDays(today(principal.value?.time_zone ?? undefined), move);

const monthStart = (text) => `${text.slice(0, 7)}-01`;

const RANGES = {
  Today: () => [day(), day()],
  Yesterday: () => [day(-1), day(-1)],
  "Last 7 days": () => [day(-6), day()],
  "Last 31 days": () => [day(-30), day()],
  "This month": () => [monthStart(day()), day()],
  "Last month": () => {
    const last = addDays(monthStart(day()), -1);
    return [monthStart(last), last];
  },
};
const DAYS = { Today: () => [day()], Yesterday: () => [day(-1)], "A week ago": () => [day(-7)] };

const datesOf = (call) => call.parameters.filter(({ schema }) => schema.format === "date");

/** Buttons for the days of a call: [label, values by name]. Two dates are a range, whatever they are called. */
export function presets(call) {
  const names = datesOf(call).map(({ name }) => name);
  const kinds = { 1: DAYS, 2: RANGES }[names.length] ?? {};
  return Object.entries(kinds).map(([label, values]) => [label, byName(names, values())]);
}

/** The days that a call needs, to begin with. */
export function startingDates(call) {
  const needed = datesOf(call).filter(({ required }) => required);
  const values = needed.length === 1 ? DAYS.Today() : RANGES["Last 7 days"]();
  return byName(needed.map(({ name }) => name), values);
}

const byName = (names, values) => Object.fromEntries(names.map((name, index) => [name, values[index]]));

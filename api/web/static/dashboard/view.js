// What is looked at: whose clicks, which days, against what. All of it is in the address, so a view is a link.
import { computed, signal } from "@preact/signals";
import { parameters, setParameters } from "../app/router.js";
import { principal } from "../app/session.js";
import { addDays, isDay, length, today } from "./days.js";

const MOST_DAYS = { affiliate: 90, links: 400 };
export const COMPARISONS = [
  ["", "nothing"],
  ["previous", "the period before"],
  ["weekday", "the same weekdays before"],
  ["year", "the year before"],
];

const learnt = signal({}); // the zone of whom an admin looks at, which answers name
const minute = signal(Date.now());
setInterval(() => (minute.value = Date.now()), 20_000); // a page that is open at midnight goes on to the next day

const id = (name) => (/^[1-9]\d{0,18}$/.test(parameters.value.get(name) ?? "") ? parameters.value.get(name) : null);
const given = (name) => parameters.value.get(name) || null;

/** Whose clicks: `kind` is affiliate or links; `query` names them to the calls, for admins only. */
export const owner = computed(() => {
  const who = principal.value;
  if (who?.role === "account") return { kind: "links", query: {} };
  if (who?.role !== "admin") return { kind: "affiliate", query: {} };
  if (id("account_id")) return { kind: "links", query: { account_id: id("account_id") } };
  return { kind: "affiliate", query: id("publisher_id") ? { publisher_id: id("publisher_id") } : {} };
});

const ownerKey = computed(() => JSON.stringify([principal.value?.id, owner.value.query]));
export const zone = computed(() => (learnt.value.of === ownerKey.value ? learnt.value.zone : (principal.value?.time_zone ?? "UTC")));
export const currentDay = computed(() => today(zone.value, minute.value));

/** An answer has named the zone of the present owner. */
export function learnZone(name) {
  if (name !== zone.value) learnt.value = { of: ownerKey.value, zone: name };
}

/** The chosen days; without a valid choice the last 30 and today. */
export const range = computed(() => {
  const [from, to] = [given("from"), given("to")];
  const most = MOST_DAYS[owner.value.kind];
  if (from && to && isDay(from) && isDay(to) && from <= to && length(from, to) <= most) return { from, to };
  return { from: addDays(currentDay.value, -30), to: currentDay.value };
});
export const mostDays = computed(() => MOST_DAYS[owner.value.kind]);
export const comparison = computed(() => COMPARISONS.map(([name]) => name).find((name) => name && name === given("compare")) ?? null);
export const withBots = computed(() => given("bots") === "1");
export const live = computed(() => given("live") === "1");

/** The part of an account or publisher that is looked at, as parameters of the calls. */
export const scope = computed(() => {
  if (owner.value.kind === "affiliate") {
    const name = ["advertiser_id", "network_id"].find(id);
    return name ? { [name]: id(name) } : {};
  }
  if (given("linkId") && given("domain")) return { linkId: given("linkId"), domain: given("domain") };
  return id("grpIdx") ? { grpIdx: id("grpIdx") } : {};
});

/** The address of a call, with whose clicks and which days. */
export function insight(call, more, { from, to } = range.value) {
  return `/api/insights/v1/${call}?${new URLSearchParams({ ...owner.value.query, ...scope.value, from, to, ...more })}`;
}

export const choose = (from, to) => setParameters({ from, to, page: null, day: null });

/** The last so many days; 31 is the range that a view without a choice has. */
export function chooseLast(number) {
  if (number === 31) choose(null, null);
  else choose(addDays(currentDay.value, 1 - number), currentDay.value);
}

/** The range of equal length before (-1) or after (1), not beyond today. */
export function shift(direction) {
  const { from, to } = range.value;
  const days = length(from, to);
  const last = addDays(to, direction * days);
  const end = last > currentDay.value && direction > 0 ? currentDay.value : last;
  if (end !== to) choose(addDays(end, 1 - days), end);
}

export function nextComparison() {
  const names = COMPARISONS.map(([name]) => name);
  setParameters({ compare: names[(names.indexOf(comparison.value ?? "") + 1) % names.length] });
}

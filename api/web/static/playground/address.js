// What the address of the page says: the call, its parameters under their own names, and under names that begin with
// `call` what no API has as a parameter. All that the form holds is there, so a view can be sent, and never a key.
import { computed, signal } from "@preact/signals";
import { navigate, parameters, setParameters } from "../app/router.js";
import { startingDates } from "./dates.js";

export const PATH = "/playground";
const CALL = "call";
const FORMAT = "call.format";
const BODY = "call.body";
const MAX_BODY = 4000; // of what an address is sure to carry

export const chosen = computed(() => parameters.value.get(CALL));
export const value = (name) => parameters.value.get(name) ?? "";
export const setValue = (name, text) => setParameters({ [name]: text }, { replace: true });
export const setValues = (values) => setParameters(values, { replace: true });

export const format = (call) => (call.formats.includes(value(FORMAT)) ? value(FORMAT) : (call.formats[0] ?? ""));
export const setFormat = (text) => setValue(FORMAT, text);

const tooLong = signal(null); // a body that no address carries: { call, text }

export function body(call) {
  if (tooLong.value?.call === call.id) return tooLong.value.text;
  return parameters.value.has(BODY) ? value(BODY) : call.body;
}

export function setBody(call, text) {
  const long = text.length > MAX_BODY;
  tooLong.value = long ? { call: call.id, text } : null;
  setValue(BODY, long || text === call.body ? null : text || " "); // an empty parameter would be none
}

/** The address of a call with these values. */
export function addressOf(call, values = {}, mediaType = null) {
  const query = new URLSearchParams({ [CALL]: call.id });
  for (const [name, text] of Object.entries(values)) query.set(name, text);
  if (mediaType && mediaType !== call.formats[0]) query.set(FORMAT, mediaType);
  return `${PATH}?${query}`;
}

/** The address of a call with what the form holds and the call also takes, and days to begin with. */
export function addressFromHere(call) {
  const kept = call.parameters.map(({ name }) => [name, value(name)]).filter(([, text]) => text);
  return addressOf(call, { ...startingDates(call), ...Object.fromEntries(kept) });
}

export const choose = (...call) => navigate(addressOf(...call));
export const chooseFirst = (call) => navigate(addressFromHere(call), { replace: true });

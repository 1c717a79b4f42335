// The request that the form describes: what is sent, and what the samples show.
import { body, format, value } from "./address.js";

const JSON_TYPE = "application/json";

/** `method`, `path` with its query, `headers` (pairs, without the key), `body` (text or null), `scheme` of the key. */
export function requestOf(call) {
  return call.kind === "tool" ? toolRequest(call) : httpRequest(call);
}

function httpRequest(call) {
  const given = (place) => call.parameters.filter((each) => each.in === place && value(each.name) !== "");
  const path = call.path.replace(/\{([^}]+)\}/g, (blank, name) => encodeURIComponent(value(name)) || blank);
  const query = new URLSearchParams(given("query").map(({ name }) => [name, value(name)])).toString();
  const text = call.body === null ? null : visible(compact(body(call)));
  const headers = given("header").map(({ name }) => [name, value(name).replace(/[^ -~]/g, "").trim()]);
  if (format(call) && format(call) !== JSON_TYPE) headers.push(["Accept", format(call)]);
  if (text !== null) headers.push(["Content-Type", JSON_TYPE]);
  return { method: call.method, path: query ? `${path}?${query}` : path, headers, body: text, scheme: call.scheme };
}

function toolRequest(call) {
  const given = call.parameters.filter(({ name }) => value(name) !== "");
  const values = Object.fromEntries(given.map(({ name, schema }) => [name, typed(schema, value(name))]));
  const message = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: call.path, arguments: values } };
  return {
    method: "POST",
    path: "/mcp",
    headers: [["Accept", JSON_TYPE], ["Content-Type", JSON_TYPE]],
    body: visible(JSON.stringify(message)),
    scheme: call.scheme,
  };
}

/** The value as its type wants it; as text where it is not of this type, for the server to say so. */
function typed({ type }, text) {
  if (type === undefined || type === "string") return text;
  try {
    const parsed = JSON.parse(text);
    return typeof parsed === "number" && String(parsed) !== text ? text : parsed; // more digits than numbers have
  } catch {
    return text;
  }
}

/** JSON without the white space between its parts; numbers keep their digits. */
const compact = (json) => json.replace(/("(?:[^"\\]|\\[^])*")|\s+/g, "$1");

/** JSON with invisible characters and those that turn the direction of text as escapes, which mean the same in it. */
const visible = (json) =>
  json.replace(/[\p{Cf}\u2028\u2029]/gu, (found) => found.split("").map(escaped).join(""));
const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

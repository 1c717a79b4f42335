// The calls that there are: those of the OpenAPI document and the tools of MCP, as one list in one form.
import { requestJson } from "../app/session.js";

const TOOLS = "MCP tools";
const JSON_TYPE = "application/json";
const UNSAID = "Successful Response"; // of FastAPI, where a call says nothing
const MAX_DEPTH = 6;

/**
 * All calls: `id`, `group`, `kind` ("http" or "tool"), `method`, `path`, `title`, `description`, `parameters`
 * (name, in, required, schema, description), `body` (an example of it as text, or null), `formats`, `answers`
 * (status, description), `scheme` of the key (null: none is needed), `roles` that fit (null: any), `changes`.
 */
export async function loadCalls() {
  const [document, { tools }] = await Promise.all([requestJson("/api/v1/schema"), requestJson("/api/v1/tools")]);
  return callsOf(document, tools);
}

export function callsOf(document, tools) {
  const calls = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => httpCall(document, path, method, operation)),
  );
  return [...calls, ...tools.map(toolCall)];
}

function httpCall(document, path, method, operation) {
  const success = Object.entries(operation.responses).find(([status]) => status.startsWith("2"))?.[1];
  const body = operation.requestBody?.content[JSON_TYPE];
  return {
    id: operation.operationId ?? `${method} ${path}`,
    group: operation.tags?.[0] ?? "other",
    kind: "http",
    method: method.toUpperCase(),
    path,
    title: operation.summary ?? path,
    description: operation.description ?? (success?.description === UNSAID ? "" : success?.description) ?? "",
    parameters: (operation.parameters ?? []).map((each) => parameterOf(resolve(document, each))),
    body: body ? JSON.stringify(body.example ?? exampleOf(document, body.schema), null, 2) : null,
    formats: Object.keys(success?.content ?? {}),
    answers: Object.entries(operation.responses).map(([status, { description }]) => ({ status, description })),
    changes: method !== "get",
    ...credentials(path, operation.security ?? []),
  };
}

function toolCall({ name, title, description, inputSchema, annotations }) {
  const required = new Set(inputSchema.required);
  return {
    id: `mcp:${name}`,
    group: TOOLS,
    kind: "tool",
    method: "TOOL",
    path: name,
    title: title ?? name,
    description,
    parameters: Object.entries(inputSchema.properties ?? {}).map(([argument, schema]) =>
      parameterOf({ name: argument, in: "argument", required: required.has(argument), schema }),
    ),
    body: null,
    formats: [JSON_TYPE],
    answers: [],
    changes: !annotations?.readOnlyHint,
    scheme: "X-Api-Key",
    roles: ["account", "publisher", "admin"],
  };
}

function parameterOf({ name, in: place, required = false, schema = {}, description }) {
  const kinds = schema.anyOf?.filter(({ type }) => type !== "null") ?? [];
  const plain = kinds.length === 1 ? { ...schema, ...kinds[0] } : schema; // one that may be null is one left out
  return { name, in: place, required, schema: plain, description: description ?? plain.description ?? "" };
}

/** The header that the key goes into, and the roles that fit, as far as schemes and paths tell; null: any, or none. */
function credentials(path, security) {
  const schemes = new Set(security.flatMap((each) => Object.keys(each)));
  if (!schemes.size) return { scheme: null, roles: null };
  if (!schemes.has("X-Api-Key")) return { scheme: "APIKey", roles: ["account"] };
  if (path.startsWith("/admin/")) return { scheme: "X-Api-Key", roles: ["admin"] };
  if (!schemes.has("APIKey")) return { scheme: "X-Api-Key", roles: ["publisher", "admin"] };
  return { scheme: "X-Api-Key", roles: schemes.has("api_key") ? null : ["account", "publisher", "admin"] };
}

function resolve(document, node) {
  if (!node.$ref) return node;
  return node.$ref.split("/").slice(1).reduce((part, name) => part[name], document);
}

/** A value that the schema allows, from its examples where it has any. */
function exampleOf(document, node, depth = 0) {
  const schema = resolve(document, node);
  const given = schema.examples?.[0] ?? schema.example ?? schema.default ?? schema.enum?.[0];
  if (given !== undefined || depth > MAX_DEPTH) return given ?? null;
  const inner = (part) => exampleOf(document, part, depth + 1);
  if (schema.anyOf) return inner(schema.anyOf[0]);
  if (schema.type === "array") return [inner(schema.items ?? {})];
  if (schema.type === "object" || schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, part]) => [name, inner(part)]));
  }
  return { integer: schema.minimum ?? 1, number: 1, boolean: true, string: "" }[schema.type] ?? null;
}

// A request as a program in five languages. Values of the form go into literals of their language, since who made
// the address may not be who runs the sample, and the key comes from a variable of the environment.
const KEY = "CLICKMILL_KEY";
const quoted = JSON.stringify; // also a literal of Python, JavaScript and Go: JSON of the form has no lone surrogates
const forShell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const single = (text) => `'${text.replace(/[\\']/g, "\\$&")}'`; // of PHP; for one line also of Python and JavaScript
const raw = (text) => (text.includes("`") ? quoted(text) : `\`${text}\``); // of Go
const isJson = ({ headers }) => !headers.some(([name, text]) => name === "Accept" && !text.endsWith("/json"));

/** The header of the key: its name, and what stands before the key. */
const credential = ({ scheme }) => (scheme === "APIKey" ? ["Authorization", "APIKey "] : ["X-Api-Key", ""]);

/** Lines of headers; `withKey(name, prefix)` and `plain(name, text)` make one each. */
function headerLines(request, withKey, plain) {
  return [
    ...(request.scheme ? [withKey(...credential(request))] : []),
    ...request.headers.map(([name, text]) => plain(name, text)),
  ];
}

function curl(url, request) {
  const live = request.headers.some(([, text]) => text === "text/event-stream");
  return [
    `curl ${live ? "--no-buffer " : ""}${request.method === "GET" ? "" : `-X ${request.method} `}${forShell(url)}`,
    ...headerLines(
      request,
      (name, prefix) => `-H "${name}: ${prefix}$${KEY}"`,
      (name, text) => `-H ${forShell(`${name}: ${text}`)}`,
    ),
    ...(request.body === null ? [] : [`--data-raw ${forShell(request.body)}`]),
  ].join(" \\\n  ");
}

function python(url, request) {
  const json = isJson(request);
  const headers = headerLines(
    request,
    (name, prefix) => `${quoted(name)}: ${prefix ? `${quoted(prefix)} + ` : ""}os.environ["${KEY}"],`,
    (name, text) => `${quoted(name)}: ${quoted(text)},`,
  );
  return [
    ...(json ? ["import json"] : []),
    ...(request.scheme ? ["import os"] : []),
    ...(json ? [] : ["import shutil", "import sys"]),
    "import urllib.request",
    "",
    "request = urllib.request.Request(",
    `    ${quoted(url)},`,
    `    method=${quoted(request.method)},`,
    ...(headers.length ? ["    headers={", ...headers.map((line) => `        ${line}`), "    },"] : []),
    ...(request.body === null ? [] : [`    data=${single(request.body)}.encode(),`]),
    ")",
    "with urllib.request.urlopen(request) as response:",
    json ? "    print(json.loads(response.read() or b\"null\"))" : "    shutil.copyfileobj(response, sys.stdout.buffer)",
  ].join("\n");
}

function javascript(url, request) {
  const headers = headerLines(
    request,
    (name, prefix) => `${quoted(name)}: ${prefix ? `\`${prefix}\${process.env.${KEY}}\`` : `process.env.${KEY}`},`,
    (name, text) => `${quoted(name)}: ${quoted(text)},`,
  );
  return [
    `const response = await fetch(${quoted(url)}, {`,
    `  method: ${quoted(request.method)},`,
    ...(headers.length ? ["  headers: {", ...headers.map((line) => `    ${line}`), "  },"] : []),
    ...(request.body === null ? [] : [`  body: ${single(request.body)},`]),
    "});",
    "if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);",
    ...(isJson(request)
      ? ["console.log(response.status === 204 ? null : await response.json());"]
      : ["for await (const part of response.body) process.stdout.write(part);"]),
  ].join("\n");
}

function go(url, request) {
  const headers = headerLines(
    request,
    (name, prefix) => `request.Header.Set(${quoted(name)}, ${prefix ? `${quoted(prefix)}+` : ""}os.Getenv("${KEY}"))`,
    (name, text) => `request.Header.Set(${quoted(name)}, ${quoted(text)})`,
  );
  const body = request.body === null ? "nil" : `strings.NewReader(${raw(request.body)})`;
  const packages = ["io", "log", "net/http", "os", ...(request.body === null ? [] : ["strings"])];
  return [
    "package main",
    "",
    "import (",
    ...packages.map((name) => `\t"${name}"`),
    ")",
    "",
    "func main() {",
    `\trequest, err := http.NewRequest(${quoted(request.method)}, ${quoted(url)}, ${body})`,
    "\tif err != nil {",
    "\t\tlog.Fatal(err)",
    "\t}",
    ...headers.map((line) => `\t${line}`),
    "\tresponse, err := http.DefaultClient.Do(request)",
    "\tif err != nil {",
    "\t\tlog.Fatal(err)",
    "\t}",
    "\tdefer response.Body.Close()",
    "\tif _, err := io.Copy(os.Stdout, response.Body); err != nil {",
    "\t\tlog.Fatal(err)",
    "\t}",
    "\tif response.StatusCode >= 400 {",
    "\t\tlog.Fatal(response.Status)",
    "\t}",
    "}",
  ].join("\n");
}

function php(url, request) {
  const headers = headerLines(
    request,
    (name, prefix) => `${single(`${name}: ${prefix}`)} . getenv('${KEY}'),`,
    (name, text) => `${single(`${name}: ${text}`)},`,
  );
  return [
    "<?php",
    "$context = stream_context_create(['http' => [",
    `    'method' => ${single(request.method)},`,
    "    'header' => [",
    ...[...headers, "'User-Agent: php',"].map((line) => `        ${line}`),
    "    ],",
    ...(request.body === null ? [] : [`    'content' => ${single(request.body)},`]),
    "]]);",
    `$response = fopen(${single(url)}, 'r', false, $context);`,
    "if ($response === false) {",
    "    exit(1);",
    "}",
    isJson(request) ? "print_r(json_decode(stream_get_contents($response), true));" : "fpassthru($response);",
  ].join("\n");
}

const LANGUAGES = { curl, Python: python, JavaScript: javascript, Go: go, PHP: php };
export const languages = Object.keys(LANGUAGES);

/** The program that sends the request to the server of this origin and prints the answer. */
export const sampleOf = (language, origin, request) => LANGUAGES[language](origin + request.path, request);

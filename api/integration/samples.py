"""Code that makes a request, in each language. Every text is quoted by the rules of the language.

The key comes from the environment variable CLICKMILL_KEY. The body goes to standard output as it arrives, so that one
program fits tables, files and streams.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Literal

Language = Literal["curl", "python", "javascript", "go", "php"]

KEY = "$CLICKMILL_KEY"
_VARIABLE = {  # the key, in each language
    "python": 'os.environ["CLICKMILL_KEY"]',
    "javascript": "process.env.CLICKMILL_KEY",
    "go": 'os.Getenv("CLICKMILL_KEY")',
    "php": "getenv('CLICKMILL_KEY')",
}


def sample(language: Language, url: str, query: Mapping[str, str | int], headers: Mapping[str, str]) -> str:
    """A program. `url` is without a query; a header may end with `KEY`, which stands for the key."""
    return _WRITERS[language](url, query, headers)


def _curl(url: str, query: Mapping[str, str | int], headers: Mapping[str, str]) -> str:
    lines = [f"curl -sSN --fail-with-body -G {shlex.quote(url)}"]
    for name, value in headers.items():
        plain = value.removesuffix(KEY)
        keyed = f'"{KEY}"' if plain != value else ""
        lines.append(f"-H {shlex.quote(f'{name}: {plain}')}{keyed}")
    lines += [f"--data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in query.items()]
    return " \\\n  ".join(lines) + "\n"


def _python(url: str, query: Mapping[str, str | int], headers: Mapping[str, str]) -> str:
    given = _mapping(headers, lambda value: _with_key(value, repr, _VARIABLE["python"]))
    return f"""\
import os, sys
from urllib.parse import urlencode
from urllib.request import Request, urlopen

query = {_mapping(query, repr)}
headers = {given}
with urlopen(Request({url!r} + "?" + urlencode(query), headers=headers)) as response:
    for line in response:
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
"""


def _javascript(url: str, query: Mapping[str, str | int], headers: Mapping[str, str]) -> str:
    given = _mapping(headers, lambda value: _with_key(value, _js, _VARIABLE["javascript"]))
    return f"""\
async function main() {{
  const query = new URLSearchParams({_mapping(query, _js)});
  const headers = {given};
  const response = await fetch({_js(url)} + "?" + query, {{ headers }});
  if (!response.ok) throw new Error(response.status + " " + (await response.text()));
  for await (const part of response.body) process.stdout.write(part);
}}

main().catch((error) => {{
  console.error(error);
  process.exitCode = 1;
}});
"""


def _go(url: str, query: Mapping[str, str | int], headers: Mapping[str, str]) -> str:
    set_headers = "".join(
        f"\trequest.Header.Set({_go_text(name)}, {_with_key(value, _go_text, _VARIABLE['go'])})\n"
        for name, value in headers.items()
    )
    set_query = "".join(f"\tquery.Set({_go_text(name)}, {_go_text(str(value))})\n" for name, value in query.items())
    return f"""\
package main

import (
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
)

func main() {{
	query := url.Values{{}}
{set_query}	request, err := http.NewRequest("GET", {_go_text(url)}+"?"+query.Encode(), nil)
	if err != nil {{
		log.Fatal(err)
	}}
{set_headers}	response, err := http.DefaultClient.Do(request)
	if err != nil {{
		log.Fatal(err)
	}}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {{
		log.Fatal(err)
	}}
	if response.StatusCode != 200 {{
		log.Fatal(response.Status)
	}}
}}
"""


def _php(url: str, query: Mapping[str, str | int], headers: Mapping[str, str]) -> str:
    pairs = "".join(f"    {_php_text(name)} => {_php_text(str(value))},\n" for name, value in query.items())
    lines = "".join(
        f"        {_with_key(f'{name}: {value}', _php_text, _VARIABLE['php'], ' . ')},\n"
        for name, value in headers.items()
    )
    return f"""\
<?php
$query = [
{pairs}];
$context = stream_context_create(['http' => [
    'header' => [
{lines}    ],
]]);
$response = fopen({_php_text(url)} . '?' . http_build_query($query), 'r', false, $context) or exit(1);
fpassthru($response);
"""


def _mapping(values: Mapping[str, str | int], quote: Callable[[str], str]) -> str:
    return "{" + ", ".join(f"{quote(name)}: {quote(str(value))}" for name, value in values.items()) + "}"


def _with_key(value: str, quote: Callable[[str], str], key: str, plus: str = " + ") -> str:
    """A header's value as an expression."""
    plain = value.removesuffix(KEY)
    if plain == value:
        return quote(value)
    return f"{quote(plain)}{plus}{key}" if plain else key


def _js(text: str) -> str:
    return json.dumps(text).replace("<", "\\u003c")  # a page may show the code: no tag ends its script


def _go_text(text: str) -> str:
    quoted = (f"\\{char}" if char in '"\\' else char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
    return f'"{"".join(quoted)}"'


def _php_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_WRITERS: dict[Language, Callable[[str, Mapping[str, str | int], Mapping[str, str]], str]] = {
    "curl": _curl,
    "python": _python,
    "javascript": _javascript,
    "go": _go,
    "php": _php,
}

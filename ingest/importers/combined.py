"""The `combined` access log of Apache and nginx: a request a line. docs/importers.md has the mapping."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import unquote_to_bytes

from ingest.event import Click, Fault, Rejected
from ingest.importers.lines import Outcome, Parse, click_or_rejected

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_LINE = re.compile(rf"(\S+) \S+ .{{1,256}}? \[([^\]]{{20,32}})\] {_QUOTED} \d{{3}} (?:\d+|-) {_QUOTED} {_QUOTED}")
_REQUEST = re.compile(r"([A-Za-z]+) (\S+) HTTP/[\d.]+")
_ESCAPES = re.compile(r"((?:\\x[0-9A-Fa-f]{2})+)|\\(.)")


def parser(account_id: int, domain: str) -> Parse:
    """A parser that reads lines as requests for links of the account under the domain."""

    def parse(raw: bytes) -> Outcome:
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            return Rejected(Fault.NOT_UTF8, f"the line is not UTF-8: {error.reason} at byte {error.start}", raw)
        found = _LINE.fullmatch(text)
        if not found:
            return Rejected(Fault.NOT_AN_EVENT, "the line is not in the combined log format", raw)
        address, at, request, referrer, user_agent = found.groups()
        parsed = _REQUEST.fullmatch(_unescaped(request))
        if not parsed:
            return Rejected(Fault.NOT_AN_EVENT, f"{request!r} is not an HTTP request", raw)
        try:
            clicked_at = datetime.strptime(at, "%d/%b/%Y:%H:%M:%S %z")
        except ValueError:
            return Rejected(Fault.TIME_INVALID, f"{at!r} is not a time of the combined log format", raw)
        click = Click(
            clicked_at=clicked_at,
            account_id=account_id,
            domain=domain,
            link_id=_link(parsed[2]),
            ip=address,
            method=parsed[1],
            referrer=_given(referrer),
            user_agent=_given(user_agent),
        )
        return click_or_rejected(click, raw)

    return parse


def _link(target: str) -> str:
    """The path without leading slash and query; `/` for the root."""
    path = target.partition("#")[0].partition("?")[0] if target.startswith("/") else target
    return _text(unquote_to_bytes(path.removeprefix("/"))) or "/"


def _given(text: str) -> str | None:
    return None if text in ("", "-") else _unescaped(text)


def _unescaped(text: str) -> str:
    r"""The text as sent: without the server's escapes `\"`, `\\` and `\xhh`."""
    if "\\" not in text:
        return text
    return _ESCAPES.sub(_character, text)


def _character(escape: re.Match[str]) -> str:
    return _text(bytes.fromhex(escape[1].replace("\\x", ""))) if escape[1] else escape[2]


def _text(sent: bytes) -> str:
    """UTF-8, else Latin-1, which keeps different bytes distinct."""
    try:
        return sent.decode()
    except UnicodeDecodeError:
        return sent.decode("latin-1")

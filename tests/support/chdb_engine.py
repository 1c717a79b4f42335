"""The engine behind the HTTP server of `chdb_server`: one chDB engine, a fresh handle for each statement.

A handle costs under a millisecond and starts with default settings, so no request (settings,
`USE`, `SET`, `readonly`) affects the next. chDB has no standard input: the data of an insert goes through a file.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb

_TOKEN = re.compile(
    rb"""(?P<skip>'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|--[^\n]*|/\*.*?\*/)
    |(?P<open>\()|(?P<close>\))|(?P<end>;)|(?P<word>(?<![\w.])[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)
_ERROR = re.compile(r"Code: (\d+)\. .*", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")
_AFTER_FORMAT = re.compile(rb"[ \t]*;?[ \t]*(?:\r?\n)?")
_ROW_SOURCES = {b"VALUES", b"SELECT", b"WITH", b"FROM"}
_WITH_RESULT = frozenset(b"SELECT WITH FROM SHOW DESCRIBE DESC EXISTS EXPLAIN CHECK KILL".split())
_AS_A_SERVER = {
    "implicit_select": "0",
    "allow_introspection_functions": "0",
}  # chDB defaults to those of a shell
_NAMES = {36: "BAD_ARGUMENTS", 62: "SYNTAX_ERROR", 1002: "UNKNOWN_EXCEPTION"}

# Parameters of the HTTP interface; every other parameter of a request is a setting.
NOT_SETTING = re.compile(
    r"query(_id)?|user|password|database|default_format|quota_key|role|session_(id|timeout|check)|buffer_size"
    r"|wait_end_of_query|(de)?compress|client_protocol_version|enable_http_compression"
    r"|send_progress_in_http_headers|http_headers_progress_interval_ms|param_\w+"
)


class EngineError(Exception):
    """An exception of ClickHouse with its code; the text is that of a server's response."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, code: int, reason: str) -> EngineError:
        """An error found here, not in the engine."""
        return cls(code, f"Code: {code}. DB::Exception: {reason}. ({_NAMES[code]})")


@dataclass(frozen=True)
class Statement:
    """One SQL statement; an insert with data has `data` and the position for `FROM INFILE`."""

    sql: bytes
    verb: bytes
    output: str | None = None
    data: bytes | None = None
    infile_at: int = 0


@dataclass(frozen=True)
class Result:
    """The body of a response, its format (None if the statement has no result) and the counters."""

    body: bytes
    output: str | None
    summary: dict[str, str]


@dataclass(frozen=True)
class Call:
    """One request: the text with its data, and the settings for it alone."""

    text: bytes
    database: str = ""
    default_format: str = "TabSeparated"
    settings: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


def parse(text: bytes) -> Statement:
    """Tells an insert with data from other statements, by the words outside quotes and brackets."""
    depth, words, settings_at, ended = 0, [], None, False
    for token in _TOKEN.finditer(text):
        if token["skip"]:
            continue
        if ended:
            raise EngineError.of(62, "Syntax error: Multi-statements are not allowed")
        depth += bool(token["open"]) - bool(token["close"])
        ended = bool(token["end"])
        if depth or not token["word"]:
            continue
        word = token["word"].upper()
        words.append(word)
        if words[0] != b"INSERT":
            continue
        if word in _ROW_SOURCES:
            return Statement(text, b"INSERT")
        if word == b"SETTINGS" and settings_at is None:
            settings_at = token.start()
        if words[-2:-1] == [b"FORMAT"]:
            after = _AFTER_FORMAT.match(text, token.end())
            rows_at = after.end() if after else token.end()
            at = settings_at if settings_at is not None else text.upper().rindex(b"FORMAT", 0, token.start())
            return Statement(text[: token.end()], b"INSERT", data=text[rows_at:], infile_at=at)
    return Statement(text, words[0] if words else b"", output=_output_format(text, words))


def _output_format(text: bytes, words: list[bytes]) -> str | None:
    """The name after the closing FORMAT clause, spelled as in the statement."""
    for at in range(len(words) - 2, 0, -1):
        if words[at] == b"FORMAT" and (at + 2 == len(words) or words[at + 2] == b"SETTINGS"):
            found = re.findall(rb"(?i)\bFORMAT\s+(" + words[at + 1] + rb")\b", text)
            return str(found[-1].decode()) if found else None
    return None


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Engine:
    """The engine of this process over one directory."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = str(path)
        self._keep_open = chdb.connect(self._path)
        self._bodies = path.parent / f"{path.name}.bodies"
        shutil.rmtree(self._bodies, ignore_errors=True)
        self._bodies.mkdir()
        row = self._keep_open.query("SELECT timezone(), version()", "TabSeparatedRaw").bytes().decode()
        self.time_zone, self.version = row.split()

    def close(self) -> None:
        self._keep_open.close()
        shutil.rmtree(self._bodies, ignore_errors=True)

    def run(self, call: Call) -> Result:
        """Executes one statement on a handle of its own."""
        statement = parse(call.text)
        if statement.data is None:
            return self._execute(call, statement, statement.sql)
        descriptor, name = tempfile.mkstemp(dir=self._bodies, suffix=".rows")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(statement.data)
            at, sql = statement.infile_at, statement.sql
            infile = f"FROM INFILE {_quote(name)} ".encode()
            return self._execute(call, statement, sql[:at] + infile + sql[at:])
        finally:
            Path(name).unlink(missing_ok=True)

    def _execute(self, call: Call, statement: Statement, sql: bytes) -> Result:
        try:
            handle = chdb.connect(self._path)
            try:
                if call.database:
                    escaped = call.database.replace("\\", "\\\\").replace("`", "\\`")
                    handle.query(f"USE `{escaped}`")
                handle.query(f"SET {_assignments({**_AS_A_SERVER, **call.settings})}")
                result = handle.query(sql, call.default_format, params=dict(call.params))
                body, summary = result.bytes() or b"", _summary(result, statement.verb == b"INSERT")
            finally:
                handle.close()
        except (RuntimeError, chdb.ChdbError) as error:
            raise self._error(str(error)) from error
        output = statement.output or call.default_format
        return Result(body, output if body or statement.verb in _WITH_RESULT else None, summary)

    def _error(self, message: str) -> EngineError:
        found = _ERROR.search(message)
        if not found:
            return EngineError.of(1002, message)
        return EngineError(int(found[1]), f"{found[0].strip()} (version {self.version})")


def _assignments(settings: Mapping[str, str]) -> str:
    for name in settings:
        if not _NAME.fullmatch(name):
            raise EngineError.of(36, f"Bad setting name {name!r}")
    return ", ".join(f"{name} = {_quote(value)}" for name, value in settings.items())


def _summary(result: Any, insert: bool) -> dict[str, str]:
    read = {"read_rows": str(result.rows_read()), "read_bytes": str(result.bytes_read())}
    written = {"written_rows": str(result.rows_written()), "written_bytes": str(result.bytes_written())}
    return {**read, **(written if insert else {}), "elapsed_ns": str(int(result.elapsed() * 1e9))}

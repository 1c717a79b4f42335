"""The HTTP interface of ClickHouse over the engine of `chdb_engine`.

Left out: sessions (`session_id` is accepted and ignored) and streaming (responses are built whole).
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import threading
import uuid
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa

from tests.support.chdb_engine import NOT_SETTING, Call, Engine, EngineError

CODECS = {"lz4": "lz4", "zstd": "zstd", "gzip": "gzip", "br": "brotli"}
DRAIN_SECONDS = 10.0
_BAD_REQUEST = {6, 25, 26, 27, 36, 38, 41, 53, 62, 69, 72, 117, 376, 441, 442}
_NOT_FOUND = {46, 47, 50, 56, 60, 63, 73, 81, 115}
_STATUS = {**dict.fromkeys(_BAD_REQUEST, 400), **dict.fromkeys(_NOT_FOUND, 404), 48: 501, 159: 408, 516: 403}


class HangUp(Exception):
    """The client disconnected before its request was complete, or did not speak HTTP."""


class Server(ThreadingHTTPServer):
    """The listener, its engine, and the number of requests in progress."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, engine: Engine, port: int, user: str, password: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine, self.credentials = engine, (user, password)
        self.stopping = False
        self._busy = 0
        self._idle = threading.Condition()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def stop(self) -> None:
        """Stops accepting requests; `serve_forever` returns."""
        self.stopping = True
        self.shutdown()

    def drain(self) -> None:
        """Waits for the requests in progress, at most `DRAIN_SECONDS`."""
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, DRAIN_SECONDS)


class Handler(BaseHTTPRequestHandler):
    """One connection. A request is read whole before it is executed."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "chdb"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._answer(readonly=True)

    def do_POST(self) -> None:
        self._answer(readonly=False)

    def log_message(self, *_: Any) -> None:
        """Does nothing: only failed statements are logged, by `_fail`."""

    def _answer(self, readonly: bool) -> None:
        try:
            body = self._read_body()
        except (HangUp, OSError, ValueError):
            self.close_connection = True
            return
        with self.server.working():
            if self.server.stopping:
                self.close_connection = True
                return
            url = urlsplit(self.path)
            params = dict(parse_qsl(url.query, keep_blank_values=True))
            if url.path == "/ping" or (url.path == "/" and readonly and "query" not in params):
                self._send(200, b"Ok.\n", {})
            elif url.path != "/":
                self._send(404, b"There is no handle " + url.path.encode() + b"\n", {})
            else:
                self._execute(params, body, readonly)

    def _execute(self, params: dict[str, str], body: bytes, readonly: bool) -> None:
        query_id = params.get("query_id") or str(uuid.uuid4())
        headers = {"X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Timezone": self.server.engine.time_zone}
        try:
            self._authenticate(params)
            call = self._call(params, self._decode(body), readonly)
            result = self.server.engine.run(call)
        except EngineError as error:
            self._fail(error, params, headers)
            return
        headers["X-ClickHouse-Summary"] = json.dumps(result.summary)
        if result.output:
            headers["X-ClickHouse-Format"] = result.output
        answer = result.body
        codec = self._accepted_codec() if params.get("enable_http_compression") == "1" and answer else None
        if codec:
            answer = pa.Codec(CODECS[codec]).compress(answer, asbytes=True)
            headers["Content-Encoding"] = codec
        self._send(200, answer, headers)

    def _call(self, params: dict[str, str], body: bytes, readonly: bool) -> Call:
        if self.headers.get_content_type() == "multipart/form-data":
            params.update(_form_fields(self.headers["Content-Type"], body))
            body = b""
        query = params.get("query", "").encode()
        settings = {k: v for k, v in params.items() if not NOT_SETTING.fullmatch(k)}
        output = params.get("default_format") or self.headers.get("X-ClickHouse-Format")
        return Call(
            text=query + b"\n" + body if query and body else query or body,
            database=params.get("database") or self.headers.get("X-ClickHouse-Database") or "",
            default_format=output or "TabSeparated",
            settings={**settings, "readonly": "2"} if readonly else settings,
            params={k.removeprefix("param_"): v for k, v in params.items() if k.startswith("param_")},
        )

    def _authenticate(self, params: dict[str, str]) -> None:
        user = self.headers.get("X-ClickHouse-User") or params.get("user", "default")
        password = self.headers.get("X-ClickHouse-Key") or params.get("password", "")
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                user, _, password = base64.b64decode(token).decode().partition(":")
        if (user, password) != self.server.credentials:
            reason = f"{user}: Authentication failed: wrong password, or no user of that name"
            raise EngineError(516, f"Code: 516. DB::Exception: {reason}. (AUTHENTICATION_FAILED)")

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())
        return self._read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while True:
            line = self.rfile.readline(1024)
            if not line.endswith(b"\n"):
                raise HangUp
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while self.rfile.readline(65536).strip():
                    pass
                return
            yield self._read(size)
            self._read(2)

    def _read(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise HangUp
        return data

    def _decode(self, body: bytes) -> bytes:
        encoding = self.headers.get("Content-Encoding", "identity").lower()
        if encoding == "identity" or not body:
            return body
        if encoding not in CODECS:
            raise EngineError.of(36, f"Unknown Content-Encoding {encoding!r}")
        try:
            with pa.input_stream(pa.BufferReader(body), compression=CODECS[encoding]) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise EngineError.of(36, f"The body is not {encoding}: {error}") from error

    def _accepted_codec(self) -> str | None:
        names = [part.split(";")[0].strip() for part in self.headers.get("Accept-Encoding", "").split(",")]
        return next((name for name in names if name in CODECS), None)

    def _fail(self, error: EngineError, params: dict[str, str], headers: dict[str, str]) -> None:
        print(f"{params.get('query', '')[:200]} -> {error}"[:2000], file=sys.stderr, flush=True)
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        self._send(_STATUS.get(error.code, 500), f"{error}\n".encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()


def _form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """The text fields of a multipart form (the driver sends long parameters that way)."""
    head = b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    parts = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
    named = ((part.get_param("name", header="content-disposition"), part.get_payload(decode=True)) for part in parts)
    return {str(name): payload.decode() for name, payload in named if isinstance(payload, bytes)}

"""The HTTP server by itself: slow, large and broken heads, proxies, and default headers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.http import middleware
from api.http.middleware import install_middleware
from deploy.processes.collector import CollectorService, collector_app
from deploy.processes.http_server import HttpServer
from deploy.processes.timeout_protocol import MAX_HEAD_BYTES, TIMEOUTS, Phase
from deploy.settings import Settings
from tests.support.seed import ADMIN_KEY, Away

STREAMS: Counter[str] = Counter()  # ended by the application, sent whole, and their parts

LARGE = b"x" * 20_000_000  # exceeds the buffers of a connection


class LongStream(StreamingResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
            STREAMS["whole"] += 1
        finally:
            STREAMS["ended"] += 1


@contextlib.contextmanager
def served(**settings: str) -> Iterator[int]:
    """An application that returns what it knows of its client, on a free port."""
    chosen = Settings.model_validate(settings)
    app = FastAPI()
    install_middleware(app, chosen)

    @app.get("/who")
    async def who(request: Request) -> dict[str, str]:
        return {"host": request.client.host if request.client else "", "scheme": request.url.scheme}

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    @app.get("/headers")
    async def headers(request: Request) -> list[tuple[str, str]]:
        return request.headers.items()

    @app.post("/trailers")
    async def trailers(request: Request) -> list[str]:
        await request.body()
        return request.headers.keys()

    @app.get("/large")
    async def large() -> Response:
        return Response(LARGE)

    @app.get("/stream")
    async def stream() -> Response:
        def parts() -> Iterator[bytes]:
            for _ in range(1000):
                time.sleep(0.001)
                STREAMS["parts"] += 1
                yield b"x" * 100_000

        return LongStream(parts())

    server = HttpServer(app, chosen, "127.0.0.1", 0)
    thread = threading.Thread(target=lambda: asyncio.run(server.listen()))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield server.port
    finally:
        server.should_exit = True
        thread.join()


def exchanged(port: int, *pieces: bytes, pause: float = 0.0) -> tuple[str, bytes]:
    """The status line and body of what the server sends until it closes."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


def code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


@pytest.fixture
def port() -> Iterator[int]:
    with served() as number:
        yield number


CLOSE = b"Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(
            b"GET /who HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * MAX_HEAD_BYTES + b"\r\n" + CLOSE, id="one-header"
        ),
        pytest.param(b"GET /who HTTP/1.1\r\nHost: a\r\n" + b"X-A: aaaaaaa\r\n" * 4000 + CLOSE, id="many-headers"),
        pytest.param(b"GET /who?" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: a\r\n" + CLOSE, id="url"),
        pytest.param(b"GET /who HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * MAX_HEAD_BYTES, id="header-without-end"),
    ],
)
def test_a_head_that_is_too_large(port: int, request_bytes: bytes) -> None:
    status, body = exchanged(port, request_bytes)
    assert status == "HTTP/1.1 431 Request Header Fields Too Large"
    assert code(body) == "REQUEST_HEADER_FIELDS_TOO_LARGE"


def test_a_head_just_small_enough_with_a_large_body(port: int) -> None:
    body = b"b" * 1_000_000
    head = (
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nX-A: "
        + b"a" * (MAX_HEAD_BYTES - 200)
        + b"\r\n"
        + CLOSE
    )
    assert exchanged(port, head + body) == ("HTTP/1.1 200 OK", b"1000000")


@pytest.mark.parametrize(
    "nonsense", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", b"\x16\x03\x01"]
)
def test_what_is_no_http(port: int, nonsense: bytes) -> None:
    status, body = exchanged(port, nonsense)
    assert (status, code(body)) == ("HTTP/1.1 400 Bad Request", "BAD_REQUEST")


@pytest.mark.parametrize(
    ("version", "hosts", "fine"),
    [
        pytest.param("1.1", ["a"], True, id="one"),
        pytest.param("1.1", ["go.example:8080"], True, id="port"),
        pytest.param("1.1", ["[::1]:8080"], True, id="ipv6"),
        pytest.param("1.1", ["api_1"], True, id="name-of-a-container"),
        pytest.param("1.1", ["a  \t"], True, id="blanks-behind"),
        pytest.param("1.1", [""], True, id="empty"),
        pytest.param("1.0", [], True, id="none-of-http-1.0"),
        pytest.param("1.1", [], False, id="none"),
        pytest.param("1.1", ["a", "b"], False, id="two"),
        pytest.param("1.1", ["a", "a"], False, id="two-of-the-same"),
        pytest.param("1.0", ["a", "b"], False, id="two-of-http-1.0"),
        pytest.param("1.1", ["a b"], False, id="blank-within"),
        pytest.param("1.1", ["a/b"], False, id="path"),
        pytest.param("1.1", ["user@a"], False, id="user"),
        pytest.param("1.1", ["a, b:c"], False, id="list"),
        pytest.param("1.1", ["é"], False, id="not-ascii"),
    ],
)
def test_a_request_has_one_host(port: int, version: str, hosts: list[str], fine: bool) -> None:
    head = "".join([f"GET /who HTTP/{version}\r\n", *(f"Host: {host}\r\n" for host in hosts)])
    status, body = exchanged(port, head.encode() + CLOSE)
    assert status == ("HTTP/1.1 200 OK" if fine else "HTTP/1.1 400 Bad Request")
    if not fine:
        assert "one Host header" in json.loads(body)["error"]["message"]


def test_blanks_around_a_value_are_no_part_of_it(port: int) -> None:
    head = b"GET /headers HTTP/1.1\r\nHost: a \r\nX-Api-Key:\t KEY \t \r\nX-Empty:  \r\nX-Two: a  b \r\n" + CLOSE
    status, body = exchanged(port, head)
    assert status == "HTTP/1.1 200 OK"
    assert {name: value for name, value in json.loads(body) if name.startswith("x-")} == {
        "x-api-key": "KEY",
        "x-empty": "",
        "x-two": "a  b",
    }


def test_trailers_are_no_headers(port: int) -> None:
    head = b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n" + CLOSE
    status, body = exchanged(port, head + b"2\r\n{}\r\n0\r\nX-Api-Key: KEY\r\nHost: b\r\n\r\n")
    assert status == "HTTP/1.1 200 OK"
    assert "x-api-key" not in json.loads(body)


def test_slow_heads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TIMEOUTS, Phase.HEAD, 0.3)
    with served() as port:
        status, body = exchanged(port, b"GET /who HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        assert (status, code(body)) == ("HTTP/1.1 408 Request Timeout", "REQUEST_TIMEOUT")
        assert exchanged(port) == ("", b""), "a connection that says nothing is closed without a word"
        first = b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n"
        assert exchanged(port, first, b"GET /who HTT", pause=0.1)[0] == "HTTP/1.1 200 OK"
        assert httpx.get(f"http://127.0.0.1:{port}/who").status_code == 200


@pytest.mark.parametrize("size", [MAX_HEAD_BYTES - 100, MAX_HEAD_BYTES + 1])
def test_trailers_are_limited_like_heads(port: int, size: int) -> None:
    head = b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    end = b"\r\n\r\n" if size < MAX_HEAD_BYTES else b""
    status, _ = exchanged(port, head + b"2\r\n{}\r\n0\r\nX-T: ", b"a" * size + end, pause=0.2)
    assert status == ("HTTP/1.1 431 Request Header Fields Too Large" if not end else "HTTP/1.1 200 OK")


CHUNKED = b"GET /who HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def answered(connection: socket.socket) -> None:
    """Reads a whole response with a JSON object."""
    while not connection.recv(65536).endswith(b"}"):
        pass


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes without another response."""
    try:
        return connection.recv(65536) == b""
    except ConnectionError:
        return True


def test_trailers_after_the_answer_get_no_second_one(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(CHUNKED)
        answered(connection)
        connection.sendall(b"0\r\nX-T: ")
        time.sleep(0.2)
        connection.sendall(b"a" * (MAX_HEAD_BYTES + 1))
        assert is_closed(connection)


def test_a_body_that_nobody_reads_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TIMEOUTS, Phase.DRAINING, 0.5)
    with served() as port, socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(CHUNKED)
        answered(connection)
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"2\r\n{}\r\n")
                time.sleep(0.02)
        assert is_closed(connection)


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        pytest.param(b"POST /who HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", b"{}", id="body-after-the-answer"),
        pytest.param(b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", id="no-request"),
    ],
)
def test_who_says_nothing_of_use_after_an_answer_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, head: bytes, rest: bytes
) -> None:
    monkeypatch.setitem(TIMEOUTS, Phase.IDLE, 0.5)
    with served() as port, socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(head)
        answered(connection)
        connection.sendall(rest)
        assert is_closed(connection)


def test_slow_bodies_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "BODY_TIMEOUT_SECONDS", 0.3)
    with served() as port:
        status, body = exchanged(port, b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert (status, code(body)) == ("HTTP/1.1 408 Request Timeout", "REQUEST_TIMEOUT")


def test_a_client_that_reads_nothing_of_a_stream_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    STREAMS.clear()
    monkeypatch.setattr(middleware, "READ_TIMEOUT_SECONDS", 0.3)
    with served() as port, socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        deadline = time.monotonic() + 10
        while not STREAMS["ended"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert STREAMS["whole"] == 0


def test_head_of_a_stream_ends_with_the_head_and_ends_the_stream(port: int) -> None:
    STREAMS.clear()
    status, body = exchanged(port, b"HEAD /stream HTTP/1.1\r\nHost: a\r\n" + CLOSE)
    assert (status, body) == ("HTTP/1.1 200 OK", b"")
    deadline = time.monotonic() + 10
    while not STREAMS["ended"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert STREAMS["parts"] < 500


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", id="stream"),
        pytest.param(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", id="one-piece"),
        pytest.param(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", id="one-piece-and-close"),
        pytest.param(
            b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n" * 100 + b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 2,
            id="pipelined",
        ),
    ],
)
def test_who_reads_nothing_loses_the_connection(monkeypatch: pytest.MonkeyPatch, asked: bytes) -> None:
    monkeypatch.setattr(middleware, "READ_TIMEOUT_SECONDS", 0.3)
    with served() as port, socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(asked)
        time.sleep(1.5)
        received = 0
        while chunk := connection.recv(1 << 20):  # sent before the server closed
            received += len(chunk)
        assert received < len(LARGE)


def test_who_reads_slowly_gets_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "READ_TIMEOUT_SECONDS", 1.0)
    with served() as port, socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        began, received = time.monotonic(), 0
        while chunk := connection.recv(1 << 20):
            received += len(chunk)
            time.sleep(0.15)
        assert received > len(LARGE)
        assert time.monotonic() - began > 2 * middleware.READ_TIMEOUT_SECONDS


def test_large_bodies_are_refused_announced_or_not(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MAX_BODY_BYTES", 1000)
    url = f"http://127.0.0.1:{port}/body"
    assert httpx.post(url, content=b"a" * 1000).json() == 1000
    chunks = (b"a" * 501 for _ in range(2))
    for answer in (httpx.post(url, content=b"a" * 1001), httpx.post(url, content=chunks)):
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "PAYLOAD_TOO_LARGE"
    assert httpx.post(url, content=b"a").json() == 1


FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        pytest.param("", {"host": "127.0.0.1", "scheme": "http"}, id="nobody-by-default"),
        pytest.param("10.0.0.1, 192.168.0.0/16", {"host": "127.0.0.1", "scheme": "http"}, id="others"),
        pytest.param("10.0.0.1, 127.0.0.0/8", {"host": "203.0.113.9", "scheme": "https"}, id="this-one"),
    ],
)
def test_only_trusted_proxies_are_believed(trusted: str, seen: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with served(trusted_proxies=trusted) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/who", headers=FORWARDED)
    assert answer.json() == seen
    assert ("Strict-Transport-Security" in answer.headers) is (seen["scheme"] == "https")


def test_every_answer_forbids_what_a_browser_might_try(port: int) -> None:
    for path in ("/who", "/nope"):
        headers = httpx.get(f"http://127.0.0.1:{port}{path}").headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Request-Id"]
        assert "server" not in headers


def test_pages_of_other_origins_are_kept_out_unless_a_setting_lets_them_in(port: int) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    asked_for = {**asked, "Access-Control-Request-Headers": "x-api-key"}
    assert "access-control-allow-origin" not in httpx.get(f"http://127.0.0.1:{port}/who", headers=asked).headers
    with served(cors_origins="https://app.example, https://other.example") as open_port:
        url = f"http://127.0.0.1:{open_port}/who"
        preflight = httpx.options(url, headers=asked_for)
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example"
        answer = httpx.get(url, headers=asked)
        assert "X-RateLimit-Remaining" in answer.headers["Access-Control-Expose-Headers"]
        assert httpx.options(url, headers={**asked_for, "Origin": "https://evil.example"}).status_code == 400


def test_a_collector_of_its_own_names_requests_and_guards_its_answers() -> None:
    settings = Settings(admin_key=ADMIN_KEY)
    client = TestClient(collector_app(Away(), settings, CollectorService(settings)), raise_server_exceptions=False)
    closed = client.post("/ingest/events", json={}, headers={"X-Api-Key": ADMIN_KEY, "X-Request-Id": "mine-1"})
    assert (closed.status_code, closed.json()["error"]["request_id"]) == (503, "mine-1")
    for answer in (closed, client.get("/healthz"), client.get("/nope")):
        assert answer.headers["X-Request-Id"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/nope").json()["error"]["code"] == "NOT_FOUND"

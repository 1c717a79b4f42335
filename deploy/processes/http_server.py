"""Uvicorn as Clickmill runs it: the port is bound at once, the process decides what stops when, slow heads end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import resource
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http import middleware
from api.http.errors import refusal
from deploy.settings import Settings
from ingest.settings import split_list

HEAD_SECONDS = 10.0  # from the connection, or the first byte of a further request, to the end of the headers
MAX_HEAD_BYTES = 32 * 1024
KEEP_ALIVE_SECONDS = 15
_TOO_LARGE = f"The request line and headers hold at most {MAX_HEAD_BYTES} bytes."
_ONE_HOST = "A request names its host in one Host header."
_HOST = re.compile(rb"([A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")


class HttpServer(uvicorn.Server):
    def __init__(
        self, app: FastAPI, settings: Settings, host: str, port: int, bound: socket.socket | None = None
    ) -> None:
        """`bound` is what `bind` gave for host and port, if that had to come before the app."""
        proxies = split_list(settings.trusted_proxies)
        super().__init__(
            uvicorn.Config(
                app,
                http=TimeoutProtocol,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=5,
            )
        )
        self._socket = bound or bind(host, port)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def listen(self) -> None:
        allow_connections()
        gc.collect()
        gc.freeze()  # what is loaded stays: to walk it takes 0.14 s, in which nobody is answered
        await self.serve(sockets=[self._socket])


def bind(host: str, port: int, option: str = "--port") -> socket.socket:
    """A socket that has the port and takes no connections yet; 0 gives a free port. Errors: RuntimeError, which names
    the option to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without the protocol asyncio does not turn Nagle's algorithm off, and each answer waits 40 ms for an ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise RuntimeError(f"cannot listen on {host}:{port} ({error.strerror}): choose another {option}") from error
    return bound


def allow_connections() -> None:
    """Raises the limit of open files, which is often 1,024, to what the system allows: a connection is a file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class TimeoutProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with ends that it has not: to the time and size of heads, and to waiting for a reader.

    Headers are read as RFC 9110 and 9112 say: blanks around a value are no part of it, trailers are no headers, and a
    request has one Host.
    """

    _idle_bytes = 0  # that have come since the head began, or since the last that were of use
    _in_step = False  # the last bytes ended a head or message, or held some of a body
    _in_head = False
    _in_body = False  # from the end of the head to the end of the message
    _fault: tuple[int, str] | None = None  # of a head that the parser has no fault to find with
    _due: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # writing is paused exactly while the client does not keep up
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._forget_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._forget_unread()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        self._in_step = False
        super().data_received(data)
        if not self._in_step:
            self._idle_bytes += len(data)  # the parser keeps a header, or trailer, to itself until it has all of it
            if self._idle_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431, _TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin_head()

    def on_body(self, body: bytes) -> None:
        self._in_step, self._idle_bytes = True, 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_step, self._in_body = True, False
        super().on_message_complete()
        self._limit_silence()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._limit_silence()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._weigh(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:
            super().on_header(name, value.strip(b" \t"))
        self._weigh(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._check_host()
        self._end_head()
        self._in_step, self._in_body, self._idle_bytes = True, True, 0
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(*self._fault or (400, msg))

    def _weigh(self, size: int) -> None:
        self._weight += size
        if self._weight > MAX_HEAD_BYTES:
            self._find_fault(431, _TOO_LARGE)

    def _check_host(self) -> None:
        """Two hosts are read differently by different servers on the way, which is how requests are smuggled."""
        hosts = [value for name, value in self.headers if name == b"host"]
        needed = self.parser.get_http_version() != "1.0"
        if len(hosts) > 1 or (needed and not hosts) or not all(_HOST.fullmatch(host) for host in hosts):
            self._find_fault(400, _ONE_HOST)

    def _find_fault(self, status: int, message: str) -> None:
        self._fault = status, message
        raise ValueError(message)  # which the parser hands on as an error of its own

    def _begin_head(self) -> None:
        self._end_head()
        self._in_head, self._idle_bytes, self._weight = True, 0, 0
        self._due = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _end_head(self) -> None:
        self._in_head = False
        if self._due is not None:
            self._due.cancel()

    def _expect_reading(self, size: int) -> None:
        self._unread = self.loop.call_later(middleware.READ_TIMEOUT_SECONDS, self._look_at_reader, size)

    def _look_at_reader(self, before: int) -> None:
        """While writing is paused nothing is added, so what is less has been read."""
        size = self.transport.get_write_buffer_size()
        if size < before:
            self._expect_reading(size)
        else:
            self.transport.abort()  # to close it would wait for the reader

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()

    def _limit_silence(self) -> None:
        """Once all is answered: uvicorn waits without end for a message that goes on, or has ended late."""
        if self.cycle is not None and self.cycle.response_complete and not self._in_head:
            self._end_head()
            seconds = middleware.BODY_TIMEOUT_SECONDS if self._in_body else KEEP_ALIVE_SECONDS
            self._due = self.loop.call_later(seconds, self.transport.close)

    def _give_up(self) -> None:
        if self.transport.is_closing():
            return
        if self._idle_bytes:
            self._refuse(408, "The headers did not come in time; send the request again.")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        if (
            self.cycle is not None
            and self.cycle.response_started
            and not (self._in_head and self.cycle.response_complete)
        ):
            self.transport.close()  # what came now would look like a part of the answer
            return
        headers, body = refusal(status, message)
        head = [STATUS_LINE[status], *(f"{name}: {value}\r\n".encode() for name, value in headers.items())]
        self.transport.write(b"".join([*head, b"connection: close\r\n\r\n", body]))
        self.transport.close()

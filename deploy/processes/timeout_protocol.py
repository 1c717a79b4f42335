"""Adds limits that uvicorn's protocol lacks: time and size of a head, an unread body, an idle or stalled client."""

from __future__ import annotations

import asyncio
import re
from enum import StrEnum, auto

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http import middleware
from api.http.errors import raw_error_response

HEAD_TIMEOUT_SECONDS = 10.0  # from the connection, or the first byte of a further request, to the end of the headers
MAX_HEAD_BYTES = 32 * 1024
KEEP_ALIVE_TIMEOUT_SECONDS = 15
_TOO_LARGE = f"The request line and headers hold at most {MAX_HEAD_BYTES} bytes."
_ONE_HOST = "A request names its host in one Host header."
_HOST = re.compile(rb"([A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")


class Phase(StrEnum):
    """Phase of a connection, of the newest request if several are pipelined."""

    HEAD = auto()  # the head is not complete
    BODY = auto()  # the head is complete, the body is not
    RESPONDING = auto()  # the request is complete, its response is not
    DRAINING = auto()  # the response is complete, the body is not
    IDLE = auto()  # request and response are complete
    CLOSED = auto()


class Event(StrEnum):
    """Moves a connection to another phase."""

    REQUEST_BEGINS = auto()
    HEAD_ENDS = auto()
    REQUEST_ENDS = auto()
    RESPONSE_ENDS = auto()
    CONNECTION_ENDS = auto()


_TRANSITIONS = {
    (Phase.HEAD, Event.HEAD_ENDS): Phase.BODY,
    (Phase.BODY, Event.REQUEST_ENDS): Phase.RESPONDING,
    (Phase.BODY, Event.RESPONSE_ENDS): Phase.DRAINING,
    (Phase.RESPONDING, Event.RESPONSE_ENDS): Phase.IDLE,
    (Phase.DRAINING, Event.REQUEST_ENDS): Phase.IDLE,
}


TIMEOUTS: dict[Phase, float | None] = {  # seconds after which a connection that is still in the phase is closed
    Phase.HEAD: HEAD_TIMEOUT_SECONDS,
    Phase.BODY: None,  # the middleware limits it
    Phase.RESPONDING: None,  # the database's timeout limits it
    Phase.DRAINING: middleware.BODY_TIMEOUT_SECONDS,
    Phase.IDLE: KEEP_ALIVE_TIMEOUT_SECONDS,
    Phase.CLOSED: None,
}


def next_phase(phase: Phase, event: Event) -> Phase:
    """The phase after the event. An event that changes nothing leaves the phase as it is."""
    if phase is Phase.CLOSED or event is Event.CONNECTION_ENDS:
        return Phase.CLOSED
    if event is Event.REQUEST_BEGINS:
        return Phase.HEAD
    return _TRANSITIONS.get((phase, event), phase)


class TimeoutProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with a timeout for each phase of a connection, and one for a client that reads nothing.

    Headers follow RFC 9110 and 9112: values are stripped of blanks, trailers are no headers, a request has one Host.
    """

    phase = Phase.HEAD
    _phase_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0  # of the request line, headers and trailers that the parser has passed on
    _idle_bytes = 0  # received since the head began, or since the last progress
    _progressed = False  # the last bytes completed a head or request, or had some of a body
    _fault: tuple[int, str] | None = None  # found by us, in a head that the parser accepts

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so writing is paused exactly while bytes are unread
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._move(Event.CONNECTION_ENDS)
        self._stop_read_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._progressed = False
        super().data_received(data)
        if not self._progressed:
            self._idle_bytes += len(data)  # the parser passes headers and trailers on only when complete
            if self._idle_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431, _TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count_head_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase is Phase.HEAD:  # else it is a trailer
            super().on_header(name, value.strip(b" \t"))
        self._count_head_bytes(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._check_host()
        self._move(Event.HEAD_ENDS)
        self._progressed, self._idle_bytes = True, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._progressed, self._idle_bytes = True, 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progressed = True
        super().on_message_complete()
        self._move(Event.REQUEST_ENDS)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete:  # else a pipelined request is next
            self._move(Event.RESPONSE_ENDS)

    def send_400_response(self, msg: str) -> None:
        self._refuse(*self._fault or (400, msg))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_read_timer(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._stop_read_timer()
        super().resume_writing()

    def _begin_head(self) -> None:
        self._idle_bytes, self._head_bytes = 0, 0
        self._move(Event.REQUEST_BEGINS)

    def _move(self, event: Event) -> None:
        """Starts the timeout of the next phase; without a change of phase the present timeout runs on."""
        phase = next_phase(self.phase, event)
        if phase is self.phase and event is not Event.REQUEST_BEGINS:
            return
        self.phase = phase
        if self._phase_timer is not None:
            self._phase_timer.cancel()
        timeout = TIMEOUTS[phase]
        self._phase_timer = None if timeout is None else self.loop.call_later(timeout, self._on_phase_timeout)

    def _on_phase_timeout(self) -> None:
        if self.phase is Phase.HEAD and self._idle_bytes and not self.transport.is_closing():
            self._refuse(408, "The headers did not come in time; send the request again.")
        else:
            self.transport.close()

    def _count_head_bytes(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._find_fault(431, _TOO_LARGE)

    def _check_host(self) -> None:
        """Servers differ in which of two hosts they use, which lets requests be smuggled."""
        hosts = [value for name, value in self.headers if name == b"host"]
        needed = self.parser.get_http_version() != "1.0"
        if len(hosts) > 1 or (needed and not hosts) or not all(_HOST.fullmatch(host) for host in hosts):
            self._find_fault(400, _ONE_HOST)

    def _find_fault(self, status: int, message: str) -> None:
        self._fault = status, message
        raise ValueError(message)  # the parser wraps it in an error of its own

    def _start_read_timer(self, unread: int) -> None:
        self._read_timer = self.loop.call_later(middleware.READ_TIMEOUT_SECONDS, self._on_read_timeout, unread)

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()

    def _on_read_timeout(self, before: int) -> None:
        """Aborts if nothing was read. While writing is paused the buffer only shrinks."""
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._start_read_timer(unread)
        else:
            self.transport.abort()  # a graceful close would wait for the client

    def _refuse(self, status: int, message: str) -> None:
        """Writes an error response and closes. Within another response it only closes."""
        between = self.phase is Phase.HEAD and self.cycle is not None and self.cycle.response_complete
        if self.cycle is not None and self.cycle.response_started and not between:
            self.transport.close()
            return
        headers, body = raw_error_response(status, message)
        head = [STATUS_LINE[status], *(f"{name}: {value}\r\n".encode() for name, value in headers.items())]
        self.transport.write(b"".join([*head, b"connection: close\r\n\r\n", body]))
        self.transport.close()

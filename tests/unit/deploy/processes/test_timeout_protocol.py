"""Phases of a connection: their transitions and timeouts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from deploy.processes.timeout_protocol import MAX_HEAD_BYTES, TIMEOUTS, Event, Phase, TimeoutProtocol, next_phase


@pytest.mark.parametrize(
    ("phase", "event", "following"),
    [
        (Phase.HEAD, Event.HEAD_ENDS, Phase.BODY),
        (Phase.HEAD, Event.RESPONSE_ENDS, Phase.HEAD),  # of the request before
        (Phase.BODY, Event.REQUEST_ENDS, Phase.RESPONDING),
        (Phase.BODY, Event.RESPONSE_ENDS, Phase.DRAINING),
        (Phase.RESPONDING, Event.RESPONSE_ENDS, Phase.IDLE),
        (Phase.RESPONDING, Event.REQUEST_BEGINS, Phase.HEAD),  # pipelined
        (Phase.DRAINING, Event.REQUEST_ENDS, Phase.IDLE),
        (Phase.IDLE, Event.REQUEST_BEGINS, Phase.HEAD),
        (Phase.CLOSED, Event.REQUEST_BEGINS, Phase.CLOSED),
        (Phase.CLOSED, Event.RESPONSE_ENDS, Phase.CLOSED),
    ],
)
def test_an_event_leads_from_one_phase_to_the_next(phase: Phase, event: Event, following: Phase) -> None:
    assert next_phase(phase, event) is following


def test_every_phase_can_close_and_has_an_entry_in_the_table() -> None:
    assert set(TIMEOUTS) == set(Phase)
    assert {next_phase(phase, Event.CONNECTION_ENDS) for phase in Phase} == {Phase.CLOSED}


@dataclass
class Timer:
    seconds: float
    callback: Callable[..., None]
    arguments: tuple[Any, ...]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Task:
    def add_done_callback(self, _: object) -> None: ...


@dataclass
class FakeLoop:
    """Timers run when the test calls them; applications never."""

    timers: list[Timer] = field(default_factory=list)

    def call_later(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> Timer:
        self.timers.append(Timer(seconds, callback, arguments))
        return self.timers[-1]

    def create_task(self, work: Coroutine[Any, Any, None]) -> Task:
        work.close()
        return Task()


@dataclass
class FakeTransport:
    written: bytes = b""
    closed: bool = False
    aborted: bool = False
    unread: int = 0

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return self.unread

    def set_write_buffer_limits(self, high: int) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_extra_info(self, _: str) -> None: ...


class Connection:
    def __init__(self) -> None:
        async def app(scope: object, receive: object, send: object) -> None: ...

        self.loop, self.transport = FakeLoop(), FakeTransport()
        loop: Any = self.loop
        self.protocol = TimeoutProtocol(Config(app, log_level="critical"), ServerState(), {}, loop)
        transport: Any = self.transport
        self.protocol.connection_made(transport)

    def receive(self, data: bytes) -> Phase:
        self.protocol.data_received(data)
        return self.protocol.phase

    def respond(self) -> Phase:
        self.protocol.cycle.response_started = self.protocol.cycle.response_complete = True
        self.protocol.on_response_complete()
        return self.protocol.phase

    def timers(self) -> list[float]:
        """Seconds of the running timers, except uvicorn's own."""
        return [timer.seconds for timer in self.running()]

    def elapse(self) -> None:
        [timer] = self.running()
        timer.callback(*timer.arguments)

    def running(self) -> list[Timer]:
        own = self.protocol.timeout_keep_alive_handler
        return [timer for timer in self.loop.timers if not timer.cancelled and timer.callback != own]


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"


def limit(phase: Phase) -> list[float]:
    seconds = TIMEOUTS[phase]
    return [] if seconds is None else [seconds]


def test_a_connection_passes_the_phases_in_turn_each_with_its_timeout() -> None:
    connection = Connection()
    phases = [connection.protocol.phase]
    assert connection.timers() == limit(Phase.HEAD)
    steps: list[Callable[[], Phase]] = [
        *(partial(connection.receive, data) for data in (POST[:20], POST[20:], b"12", b"34")),
        connection.respond,
        partial(connection.receive, POST + b"12"),
        connection.respond,
        partial(connection.receive, b"34"),
    ]
    for step in steps:
        phases.append(step())
        assert connection.timers() == limit(phases[-1])
    assert phases == [
        *(Phase.HEAD, Phase.HEAD, Phase.BODY, Phase.BODY, Phase.RESPONDING, Phase.IDLE),
        *(Phase.BODY, Phase.DRAINING, Phase.IDLE),
    ]
    connection.protocol.connection_lost(None)
    assert connection.protocol.phase is Phase.CLOSED
    assert connection.timers() == []


def test_the_phase_of_pipelined_requests_is_that_of_the_newest() -> None:
    connection = Connection()
    assert connection.receive(GET) is Phase.RESPONDING
    first = connection.protocol.cycle
    assert connection.receive(GET) is Phase.RESPONDING
    first.response_complete = True
    connection.protocol.on_response_complete()
    assert connection.protocol.phase is Phase.RESPONDING
    assert connection.timers() == []
    assert connection.respond() is Phase.IDLE


def test_a_response_that_ends_within_the_next_head_leaves_its_timeout() -> None:
    connection = Connection()
    connection.receive(GET)
    connection.receive(GET[:10])
    [before] = connection.running()
    assert connection.respond() is Phase.HEAD
    assert connection.running() == [before]


def test_a_silent_connection_is_closed_and_a_slow_head_gets_408() -> None:
    silent, slow = Connection(), Connection()
    silent.elapse()
    slow.receive(GET[:10])
    slow.elapse()
    assert (silent.transport.closed, silent.transport.written) == (True, b"")
    assert slow.transport.closed
    assert slow.transport.written.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.IDLE])
def test_after_the_response_a_connection_is_closed_without_a_word(phase: Phase) -> None:
    connection = Connection()
    connection.receive(POST + b"12")
    connection.respond()
    if phase is Phase.IDLE:
        connection.receive(b"34")
    assert connection.protocol.phase is phase
    connection.elapse()
    assert (connection.transport.closed, connection.transport.written) == (True, b"")


def test_an_error_is_written_between_responses_and_never_into_one() -> None:
    too_large = b"GET /" + b"a" * MAX_HEAD_BYTES
    between, within = Connection(), Connection()
    for connection in (between, within):
        connection.receive(GET)
    between.respond()
    within.protocol.cycle.response_started = True
    for connection in (between, within):
        connection.receive(too_large)
        assert connection.transport.closed
    assert between.transport.written.startswith(b"HTTP/1.1 431 ")
    assert within.transport.written == b""


def test_a_client_that_reads_nothing_is_cut_off_and_one_that_reads_slowly_is_not() -> None:
    connection = Connection()
    connection.receive(GET)
    connection.transport.unread = 1000
    connection.protocol.pause_writing()
    connection.transport.unread = 900
    connection.elapse()
    assert not connection.transport.aborted
    connection.loop.timers[-1].callback(*connection.loop.timers[-1].arguments)
    assert connection.transport.aborted


def test_reading_again_ends_the_wait_for_the_reader() -> None:
    connection = Connection()
    connection.receive(GET)
    connection.protocol.pause_writing()
    assert len(connection.timers()) == 1
    connection.protocol.resume_writing()
    assert connection.timers() == []

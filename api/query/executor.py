"""Queries of the API: a read-only client, execution in threads with cancellation, and the liveness of the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from api.settings import Settings
from rollups.clickhouse import CancelScope, ClickHouse, ClickHouseError, ClickHouseUnavailable

Result = TypeVar("Result")

ACQUIRE_TIMEOUT_SECONDS = 1.8  # for a free connection of the pool
DATABASE_TIMEOUT_SECONDS = 1.8  # for a database that accepts connections and does not respond
_REPORT_SECONDS = 5.0  # for ClickHouse to report that a query exceeded its time
_PROBE_INTERVAL_SECONDS = 0.2
_KILL_INTERVAL_SECONDS = 0.25


def read_only_client(settings: Settings) -> ClickHouse:
    """A client of `CLICKMILL_CLICKHOUSE_READ_URL`, or of the main URL, whose queries cannot write and are limited."""
    return ClickHouse(
        settings.clickhouse_read_url or settings.clickhouse_url,
        connect=1.0,
        timeout=settings.query_seconds + _REPORT_SECONDS,
        acquire_timeout=ACQUIRE_TIMEOUT_SECONDS,
        settings=read_limits(settings),
    )


def read_limits(settings: Settings) -> dict[str, Any]:
    """ClickHouse settings of every query. deploy/clickhouse/clickmill_read.xml caps them for a server's own user."""
    return {
        "readonly": 2,  # no writes, and this cannot be set back
        "max_execution_time": settings.query_seconds,
        "timeout_overflow_mode": "throw",
        "max_rows_to_read": settings.query_rows,
        "read_overflow_mode": "throw",
        "max_memory_usage": settings.query_memory_mb * 1_000_000,
        "cancel_http_readonly_queries_on_client_close": 1,
        "load_balancing": "in_order",  # of replicas: time and clicks from the same one
    }


@asynccontextmanager
async def database_timeout(db: ClickHouse, action: str) -> AsyncIterator[None]:
    """Raises ClickHouseUnavailable if the block lasts longer than `DATABASE_TIMEOUT_SECONDS`; chDB has no timeout."""
    try:
        async with asyncio.timeout(None if db.embedded else DATABASE_TIMEOUT_SECONDS):
            yield
    except TimeoutError as error:
        raise ClickHouseUnavailable(f"ClickHouse did not {action} in time") from error


class DatabaseHealth:
    """Probes whether the database responds. For one event loop.

    It has its own connection and thread, since heavy queries may occupy all others.
    """

    def __init__(self, db: ClickHouse) -> None:
        self._embedded = db.embedded
        self._db = db if db.embedded else db.separate_connection(DATABASE_TIMEOUT_SECONDS)
        self._limiter = CapacityLimiter(1)
        self._probing: asyncio.Task[ClickHouseError | None] | None = None

    async def check(self) -> ClickHouseError | None:
        """The error that the database responds with now, None if it is well."""
        probe = self._current_probe()
        await asyncio.wait([probe], timeout=None if self._embedded else DATABASE_TIMEOUT_SECONDS)
        return probe.result() if probe.done() else _timed_out()

    async def run_while_alive(self, work: asyncio.Future[Result]) -> Result:
        """The result of `work`, however long it takes. Raises ClickHouseUnavailable once the database does not respond.

        `work` itself is not cancelled, neither then nor with the caller.
        """
        while not self._embedded and not work.done():
            await asyncio.wait([work], timeout=_PROBE_INTERVAL_SECONDS)
            if work.done():
                break
            probe = self._current_probe()
            either: list[asyncio.Future[Any]] = [work, probe]
            await asyncio.wait(either, timeout=DATABASE_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            error = probe.result() if probe.done() else _timed_out()
            if not work.done() and isinstance(error, ClickHouseUnavailable) and not error.code:  # a code is a response
                raise error
        return await asyncio.shield(work)

    def _current_probe(self) -> asyncio.Task[ClickHouseError | None]:
        """The probe under way, shared by all waiters."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.ensure_future(to_thread.run_sync(self._probe, limiter=self._limiter))
        return self._probing

    def _probe(self) -> ClickHouseError | None:
        try:
            self._db.query("SELECT 1")
        except ClickHouseError as error:
            return error
        return None


class QueryExecutor:
    """Runs blocking reads in threads, and kills their statements when the caller is cancelled. For one event loop."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db
        self._health = DatabaseHealth(db)
        self._killing: set[asyncio.Task[None]] = set()  # the event loop holds weak references only

    async def run(self, read: Callable[[], Result], on_return: Callable[[], object] | None = None) -> Result:
        """The result of `read`, called in a thread. `on_return` is called when the thread ends, in any case.

        Raises ClickHouseUnavailable once the database does not respond. Then, and when the caller is cancelled, the
        statements of `read` are killed.
        """
        scope = CancelScope()
        thread = asyncio.ensure_future(to_thread.run_sync(scope.run, read))
        thread.add_done_callback(retrieve_exception)
        if on_return:
            thread.add_done_callback(lambda _: on_return())
        try:
            return await self._health.run_while_alive(thread)
        finally:
            if not thread.done():
                scope.cancelled = True
                # A task of its own: the caller may be cancelled again while it waits.
                killing = asyncio.ensure_future(self._kill(scope, thread))
                self._killing.add(killing)
                killing.add_done_callback(self._killing.discard)

    async def _kill(self, scope: CancelScope, thread: asyncio.Future[Any]) -> None:
        while not thread.done():  # again: a statement may not have reached the server yet
            with suppress(ClickHouseError):
                await asyncio.to_thread(self._db.kill, scope.comment)
            await asyncio.wait([thread], timeout=_KILL_INTERVAL_SECONDS)


def retrieve_exception(task: asyncio.Future[Any]) -> None:
    """Marks the exception as retrieved; asyncio warns otherwise."""
    if not task.cancelled():
        task.exception()


def _timed_out() -> ClickHouseUnavailable:
    return ClickHouseUnavailable("ClickHouse did not answer in time")

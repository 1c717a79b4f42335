"""The ClickHouse client: a small pool of connections to one URL, and errors by what to do next."""

from __future__ import annotations

import json
import queue
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect import common
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import ClickHouseError as DriverError

from ingest.errors import ClickmillError, InvalidInput, Unavailable
from rollups.chdb_readback import NotWritten, ReadBack
from rollups.clickhouse_codes import IMPAIRED, TOO_LARGE, TOO_MUCH, Away

Row = tuple[Any, ...]
Made = TypeVar("Made")

TURN_SECONDS = 10.0
_LIST_ITEMS = 1000  # per query: ClickHouse accepts no parameter above 128 KiB

# A session allows one query at a time; without sessions the clients of the pool run in parallel.
common.set_setting("autogenerate_session_id", False)


class ClickHouseError(ClickmillError):
    """ClickHouse refused a statement; `code` is its error number, 0 if it gave none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code

    @property
    def refuses_content(self) -> bool:
        """Whether the content of the statement is the cause, so that other content might be accepted."""
        return self.code not in IMPAIRED | {0}


class ClickHouseUnavailable(ClickHouseError, Unavailable):
    """ClickHouse cannot be reached, or the connection broke: the outcome of a write is unknown."""

    refuses_content = False


class ClickHouseBusy(ClickHouseUnavailable):
    """The statement took too much time or memory, or too many ran at once: worth another try later."""


class QueryTooLarge(ClickHouseError, InvalidInput):
    """The statement would read more than the limit: not worth another try."""


class QueryCancelled(ClickmillError):
    """The scope was cancelled before its next query."""


class CancelScope:
    """Gives the queries of one piece of work a log comment, by which `ClickHouse.kill` ends them."""

    def __init__(self) -> None:
        self.comment = f"clickmill read {uuid.uuid4().hex}"
        self.cancelled = False

    def run(self, work: Callable[[], Made]) -> Made:
        """Runs the work in this thread. Once `cancelled` is set, its next query raises QueryCancelled."""
        token = _scope.set(self)
        try:
            return work()
        finally:
            _scope.reset(token)


_scope: ContextVar[CancelScope | None] = ContextVar("scope", default=None)


def scope_settings() -> dict[str, str]:
    """Settings for a query in the current scope. Raises QueryCancelled if it is cancelled."""
    scope = _scope.get()
    if scope is None:
        return {}
    if scope.cancelled:
        raise QueryCancelled
    return {"log_comment": scope.comment}


class ClickHouse:
    """Thread-safe access to one ClickHouse database, by HTTP (`clickhouse://…`) or in-process (`chdb:///path`).

    All calls block and raise ClickHouseError. `settings` apply to every statement. Seconds: `connect` to connect,
    `timeout` for a response, `acquire_timeout` for a free one of the `connections` (None: no limit), after which
    ClickHouseBusy is raised.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = 8,
        connect: float = 5.0,
        timeout: float = 60.0,
        acquire_timeout: float | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = url
        self._own_socket = False
        self._connect_seconds, self._timeout, self._acquire_timeout = connect, timeout, acquire_timeout
        self._settings = dict(settings or {})
        self._slots: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(connections):
            self._slots.put(None)
        self._read_back: dict[str, ReadBack] = {}
        self._closed = False
        self.insert_settings: Mapping[str, Any] = {}  # for inserts from now on, those of single calls take precedence

    @property
    def embedded(self) -> bool:
        return self.url.startswith("chdb:")

    @property
    def address(self) -> str:
        """The URL without its credentials, for messages."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: dict[str, Any] | None = None
    ) -> Sequence[Row]:
        """Rows of a SELECT. The server binds `parameters` to `{name:Type}`."""
        scope_settings()  # a cancelled query does not wait for a connection
        with self._client() as client:
            chosen = {**(settings or {}), **scope_settings()}
            return [tuple(row) for row in client.query(sql, dict(parameters or {}), settings=chosen).result_rows]

    def query_lists(self, sql: str, lists: Mapping[str, Sequence[Any]]) -> list[Row]:
        """Rows of a SELECT whose parameters are lists of equal length, of any length: one query per 1,000 items."""
        length = max(map(len, lists.values()), default=0)
        return [
            row
            for start in range(0, length, _LIST_ITEMS)
            for row in self.query(sql, {name: items[start : start + _LIST_ITEMS] for name, items in lists.items()})
        ]

    def separate_connection(self, timeout: float) -> ClickHouse:
        """Another connection to the same database, for queries that must not wait for a free one of the pool."""
        return ClickHouse(
            self.url, connections=1, connect=self._connect_seconds, timeout=timeout, settings=self._settings
        )

    def other_database(self, name: str) -> ClickHouse:
        """A connection to another database of the same server."""
        return ClickHouse(urlsplit(self.url)._replace(path=f"/{name}").geturl(), connections=1, timeout=self._timeout)

    def separate_socket(self, timeout: float) -> ClickHouse:
        """As `separate_connection`, over a new socket; other connections share the sockets of the process."""
        db = self.separate_connection(timeout)
        db._own_socket = True
        return db

    def kill(self, comment: str) -> None:
        """Ends queries with this log comment, over a separate connection: the pool may be busy with them."""
        killer = self.separate_connection(timeout=5)
        try:
            killer.command("KILL QUERY WHERE Settings['log_comment'] = {comment:String} ASYNC", {"comment": comment})
        finally:
            killer.close()

    def query_arrow(self, sql: str, parameters: Mapping[str, Any]) -> pa.Table:
        with self._client() as client:
            return client.query_arrow(sql, dict(parameters), use_strings=True)

    def command(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: dict[str, Any] | None = None
    ) -> None:
        with self._client() as client:
            client.command(sql, parameters=dict(parameters or {}), settings=settings)

    def insert(self, table: str, rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> None:
        """Inserts a few rows, synchronously. Not for `landing`: a truncated body could be applied in part."""
        if table == "landing":
            raise ValueError("landing accepts Arrow bodies only, which ClickHouse applies whole or not at all")
        settings = {**self.insert_settings, "async_insert": 0}
        with self._verified_insert(table):
            self._insert(table, lambda client: client.insert(table, rows, column_names=columns, settings=settings))

    def insert_arrow(self, table: str, batch: pa.Table, settings: dict[str, Any]) -> None:
        """Inserts one Arrow body, which ClickHouse applies whole or not at all."""
        settings = {**self.insert_settings, **settings}
        with self._verified_insert(table):
            self._insert(table, lambda client: client.insert_arrow(table, batch, settings=settings))

    def _insert(self, table: str, insert: Callable[[Client], object]) -> None:
        """Inserts that wait for a quorum take turns in each table; elsewhere than in `landing` they may run twice."""
        deadline = time.monotonic() + (0 if table == "landing" else TURN_SECONDS)
        while True:
            try:
                with self._client() as client:
                    insert(client)
                return
            except ClickHouseError as error:
                if error.code != Away.UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.005, 0.05))

    def check(self, table: str, part: str = "") -> dict[str, str]:
        """What is wrong with the parts of a table, or with one part, by name; sound parts are absent."""
        sql = f"CHECK TABLE {table}" + (f" PART '{part}'" if part else "")
        settings = {"check_query_single_value_result": 0}
        with self._client() as client:
            lines = client.raw_query(sql, settings=settings, fmt="JSONEachRow").splitlines()
        answers = [json.loads(line) for line in lines]
        return {answer["part_path"]: answer["message"] for answer in answers if not answer["is_passed"]}

    @contextmanager
    def _verified_insert(self, table: str) -> Iterator[None]:
        """Wraps an insert, which fails if the disk did not keep it. A server reports that itself, chDB does not."""
        if not self.embedded:
            yield
            return
        kept_in = "rollup" if table == "landing" else table
        read_back = self._read_back.setdefault(kept_in, ReadBack(kept_in, self.query, self.check, self._drop_part))
        try:
            with read_back.insert():
                yield
        except NotWritten as error:
            raise ClickHouseError(str(error)) from None

    def _drop_part(self, table: str, part: str) -> None:
        self.command(f"ALTER TABLE {table} DROP PART '{part}'")

    def close(self) -> None:
        """Closes idle connections. Later calls raise ClickHouseUnavailable."""
        self._closed = True
        while not self._slots.empty():
            if client := self._slots.get_nowait():
                client.close()

    @contextmanager
    def _client(self) -> Iterator[Client]:
        if self._closed:
            raise ClickHouseUnavailable(f"the connection to ClickHouse at {self.address} was closed")
        try:
            client = self._slots.get(timeout=self._acquire_timeout)
        except queue.Empty:
            raise ClickHouseBusy(f"ClickHouse at {self.address} is busy: no connection is free") from None
        try:
            client = client or self._connect()
            yield client
        except (DriverError, OSError) as error:
            code = getattr(error, "code", None)
            if code:
                raise _refusal(code)(str(error), code) from error
            if client is not None:
                client.close()
                client = None
            raise ClickHouseUnavailable(f"ClickHouse at {self.address} is not reachable: {_cause(error)}") from error
        finally:
            self._slots.put(client)

    def _connect(self) -> Client:
        if self.embedded:
            Path(urlsplit(self.url).path).mkdir(parents=True, exist_ok=True)
            return clickhouse_connect.get_client(dsn=self.url, settings=self._settings)
        return clickhouse_connect.get_client(
            dsn=self.url,
            connect_timeout=self._connect_seconds,
            send_receive_timeout=self._timeout,
            query_retries=0,
            settings=self._settings,
            dedicated_pool=self._own_socket,
        )


def _refusal(code: int) -> type[ClickHouseError]:
    return ClickHouseBusy if code in TOO_MUCH else QueryTooLarge if code in TOO_LARGE else ClickHouseError


def _cause(error: Exception) -> str:
    """The message of the innermost error: the driver wraps the cause several times."""
    innermost: BaseException = error
    while innermost.__cause__ or innermost.__context__:
        innermost = innermost.__cause__ or innermost.__context__ or innermost
    return str(innermost)

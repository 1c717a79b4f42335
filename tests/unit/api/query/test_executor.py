"""Queries end when the database stops responding, but not for taking long."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from api.query import executor
from api.query.executor import QueryExecutor
from rollups.clickhouse import ClickHouse, ClickHouseUnavailable


@pytest.fixture
def silent() -> Iterator[ClickHouse]:
    """A database that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield ClickHouse(f"clickhouse://127.0.0.1:{server.getsockname()[1]}/none", connections=2, timeout=60)


def test_a_silent_database_is_given_up_and_its_thread_told(silent: ClickHouse) -> None:
    over, told = threading.Event(), list[BaseException]()

    def read() -> None:
        assert over.wait(30)
        try:
            silent.query("SELECT 1")
        except BaseException as error:
            told.append(error)
            raise

    async def ask() -> float:
        began = time.monotonic()
        with pytest.raises(ClickHouseUnavailable, match=r"in time|not reachable"):
            await QueryExecutor(silent).run(read)
        took = time.monotonic() - began
        over.set()
        while not told:
            await asyncio.sleep(0.01)
        return took

    took = asyncio.run(asyncio.wait_for(ask(), 50))
    assert took < 10
    assert [type(error).__name__ for error in told] == ["QueryCancelled"]


def test_what_takes_long_goes_on_while_the_database_answers(
    silent: ClickHouse, monkeypatch: pytest.MonkeyPatch, db: ClickHouse
) -> None:
    monkeypatch.setattr(executor, "DATABASE_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(silent, "separate_connection", lambda timeout: db)  # the others are all busy, and one answers

    def slow() -> int:
        time.sleep(3)
        return 7

    assert asyncio.run(QueryExecutor(silent).run(slow)) == 7

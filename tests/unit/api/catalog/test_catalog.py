"""The cache of names: only names that were read are cached, whatever happens to other reads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.catalog.catalog import Catalog
from rollups.clickhouse import ClickHouse, ClickHouseBusy, Row
from tests.support.seed import upsert


@pytest.fixture
def named(db: ClickHouse) -> ClickHouse:
    upsert(db, publishers=[{"publisher_id": 45, "name": "P"}])
    return db


def test_a_reading_that_failed_leaves_no_names_behind(named: ClickHouse) -> None:
    class BusyAtFirst(ClickHouse):
        failed = False

        def query(self, *arguments: Any, **more: Any) -> Sequence[Row]:
            if not self.failed:
                self.failed = True
                raise ClickHouseBusy("too much", 202)
            return super().query(*arguments, **more)

    catalog = Catalog(named, reader=BusyAtFirst(named.url))
    with pytest.raises(ClickHouseBusy):
        catalog.names([45, 46], [], [])
    assert catalog.names([45, 46], [], []).publishers == {45: "P"}


def test_who_asks_while_the_names_are_read_gets_them_too(named: ClickHouse) -> None:
    reading, go_on = threading.Event(), threading.Event()

    class SlowAtFirst(ClickHouse):
        def query(self, *arguments: Any, **more: Any) -> Sequence[Row]:
            if not reading.is_set():
                reading.set()
                assert go_on.wait(10)
            return super().query(*arguments, **more)

    catalog = Catalog(named, reader=SlowAtFirst(named.url))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(catalog.names, [45], [], [])
        assert reading.wait(10)
        try:
            assert catalog.names([45], [], []).publishers == {45: "P"}
        finally:
            go_on.set()
        assert first.result().publishers == {45: "P"}


def test_an_id_without_a_name_is_read_once(named: ClickHouse) -> None:
    readings: list[Any] = []

    class Counted(ClickHouse):
        def query(self, *arguments: Any, **more: Any) -> Sequence[Row]:
            readings.append(arguments)
            return super().query(*arguments, **more)

    catalog = Catalog(named, reader=Counted(named.url))
    for _ in range(3):
        assert catalog.names([46], [47], []).publishers == {}
    assert len(readings) == 1

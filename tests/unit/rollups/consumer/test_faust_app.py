"""Options of the consumer that only private names of aiokafka and Faust can set."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast
from unittest.mock import AsyncMock, MagicMock

import pytest
from aiokafka import AIOKafkaConsumer
from faust.types import TP

from rollups.consumer.faust_app import build_app
from rollups.delivery.leases import Leases
from rollups.delivery.shard import Shard
from rollups.model import FetchPosition, Records
from rollups.pipeline import Intake
from rollups.settings import Settings


def test_the_consumer_waits_shortly_and_leaves_out_what_was_aborted() -> None:
    async def made() -> tuple[Any, Any]:
        app = build_app(Settings(kafka_url="127.0.0.1:1"), Leases(), cast(Intake, None), Shard())
        consumer = app.consumer._thread._create_worker_consumer(app.transport)
        plain = AIOKafkaConsumer(fetch_max_wait_ms=7, isolation_level="read_committed")
        await asyncio.gather(consumer.stop(), plain.stop())
        return consumer, plain

    consumer, plain = asyncio.run(made())
    assert plain._fetch_max_wait_ms == 7  # aiokafka still keeps it there
    assert consumer._fetch_max_wait_ms <= 100, "or a partition without news would hold up the others"
    assert plain._isolation_level == consumer._isolation_level == "read_committed"


def test_records_of_a_partition_that_was_taken_away_during_the_fetch_are_left_out() -> None:
    async def direct(work: Any, *arguments: Any, **options: Any) -> Any:
        return await work(*arguments, **options)

    async def fetched(tp: TP) -> Any:
        thread = build_app(Settings(kafka_url="127.0.0.1:1"), Leases(), cast(Intake, None), Shard()).consumer._thread
        consumer = MagicMock()
        consumer.assignment.return_value = {tp}
        consumer._fetcher.fetched_records = AsyncMock(return_value={tp: [Records()]})
        consumer._subscription.subscription.assignment.tps = set()  # since then
        thread._consumer, thread.call_thread = consumer, direct
        await thread.seek_positions({tp: FetchPosition(5)})
        return await thread.getmany({tp}, 0.1)

    assert asyncio.run(fetched(TP("clicks", 0))) == {}


def test_an_app_needs_no_directory_that_it_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start() -> None:
        await build_app(Settings(kafka_url="127.0.0.1:1"), Leases(), cast(Intake, None), Shard()).on_first_start()

    monkeypatch.chdir(tmp_path)
    asyncio.run(start())
    assert list(tmp_path.iterdir()) == []

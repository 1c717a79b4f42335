"""Options of the consumer that only private names of aiokafka and Faust can set."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer

from rollups.consumer.faust_app import build_app
from rollups.delivery.leases import Leases
from rollups.pipeline import Intake
from rollups.settings import Settings


def test_the_consumer_waits_shortly_and_leaves_out_what_was_aborted() -> None:
    async def made() -> tuple[Any, Any]:
        app = build_app(Settings(kafka_url="127.0.0.1:1"), Leases(), cast(Intake, None))
        consumer = app.consumer._thread._create_worker_consumer(app.transport)
        plain = AIOKafkaConsumer(fetch_max_wait_ms=7, isolation_level="read_committed")
        await asyncio.gather(consumer.stop(), plain.stop())
        return consumer, plain

    consumer, plain = asyncio.run(made())
    assert plain._fetch_max_wait_ms == 7  # aiokafka still keeps it there
    assert consumer._fetch_max_wait_ms <= 100, "or a partition without news would hold up the others"
    assert plain._isolation_level == consumer._isolation_level == "read_committed"


def test_an_app_needs_no_directory_that_it_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start() -> None:
        await build_app(Settings(kafka_url="127.0.0.1:1"), Leases(), cast(Intake, None)).on_first_start()

    monkeypatch.chdir(tmp_path)
    asyncio.run(start())
    assert list(tmp_path.iterdir()) == []

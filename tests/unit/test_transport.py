"""What the consumer is made with, as far as aiokafka and Faust leave no other way to say it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiokafka import AIOKafkaConsumer

from ingest.settings import Settings
from rollups.faust_app import build_app
from rollups.pipeline import Pipeline


def test_a_fetch_that_finds_nothing_does_not_hold_up_other_partitions() -> None:
    async def made() -> tuple[Any, Any]:
        app = build_app(Settings(kafka_url="127.0.0.1:1"), cast(Pipeline, None))
        consumer = app.consumer._thread._create_worker_consumer(app.transport)
        plain = AIOKafkaConsumer(fetch_max_wait_ms=7)
        await asyncio.gather(consumer.stop(), plain.stop())
        return consumer, plain

    consumer, plain = asyncio.run(made())
    assert plain._fetch_max_wait_ms == 7  # aiokafka still keeps it there
    assert consumer._fetch_max_wait_ms <= 100

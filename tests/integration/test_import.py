"""Imports into a real topic: the same file twice gives the same ids, so the worker counts it once."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ingest.event import Click, decode_one
from ingest.importers.run import Summary, run_import
from ingest.producer import ClickProducer, DeliveryFailed
from tests.support.embedded_broker import Tansu, tansu

LINE = '{{"clicked_at": 1, "account_id": 1, "domain": "vvd.bz", "link_id": "a", "visitor_id": "v{}"}}\n'


def import_file(broker: Tansu, path: Path) -> Summary:
    async def publish() -> Summary:
        async with ClickProducer(broker.settings(collector_buffer_events=100), delivery_timeout=2) as producer:
            return await run_import(producer.send, path, "events")

    return asyncio.run(publish())


def published(broker: Tansu, count: int) -> list[tuple[int, str | None]]:
    """(partition, event id) of every record."""

    async def read() -> list[tuple[int, str | None]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.settings().kafka_url)
        found = []
        async with consumer, asyncio.timeout(30):
            consumer.assign([TopicPartition("clicks", number) for number in range(3)])
            await consumer.seek_to_beginning()
            for _ in range(count):
                record = await consumer.getone()
                click = decode_one(record.value)
                assert isinstance(click, Click)
                found.append((record.partition, click.event_id))
        return found

    return asyncio.run(read())


def test_a_second_import_sends_the_same_events_to_the_same_partitions(tmp_path: Path) -> None:
    file = tmp_path / "clicks.jsonl.gz"
    file.write_bytes(gzip.compress("".join(LINE.format(number) for number in range(2000)).encode() + b"bad\n"))
    with tansu(tmp_path) as broker:
        summaries = [import_file(broker, file) for _ in range(2)]
        records = published(broker, 4000)
    assert [(summary.accepted, summary.rejected.total()) for summary in summaries] == [(2000, 1)] * 2
    assert len(set(records)) == 2000
    assert len({identity for _, identity in records}) == 2000


def test_a_broker_that_goes_away_fails_the_import(tmp_path: Path) -> None:
    file = tmp_path / "clicks.jsonl"
    file.write_text("".join(LINE.format(number) for number in range(500)))
    with tansu(tmp_path) as broker:

        async def publish() -> None:
            async with ClickProducer(broker.settings(collector_buffer_events=100), delivery_timeout=1) as producer:
                broker.kill()
                await run_import(producer.send, file, "events")

        with pytest.raises(DeliveryFailed):
            asyncio.run(asyncio.wait_for(publish(), 20))

"""Clicks from other Kafka clients, sent as docs/delivery.md recommends and as it warns against."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer

from deploy.settings import Settings
from ingest.event import Click, encode
from ingest.kafka.admin import ensure_topics
from ingest.kafka.reader import log_bounds
from ingest.producer import ClickProducer
from rollups.clickhouse import ClickHouse
from tests.support import free_port
from tests.support.kafka_broker import KafkaBroker, java_program, require
from tests.support.memory_log import MemoryLog
from tests.support.worker import harness

Send = Callable[[Settings, list[Click]], None]
CLICKS = 30
PARTITIONS = 12


@pytest.fixture
def settings(kafka: KafkaBroker) -> Settings:
    found = Settings(kafka_url=kafka.bootstrap, topic=f"clicks-{free_port()}", partitions=PARTITIONS)
    asyncio.run(ensure_topics(found))
    return found.model_copy(update={"visitor_secret": "secret of the tests"})


def clicks() -> list[Click]:
    """One click now for each of so many visitors."""
    now = time.time_ns() // 1_000_000
    link: dict[str, Any] = {"account_id": 1, "domain": "https://vvd.bz", "link_id": "a"}
    return [Click(now, event_id=f"e{n}", visitor_id=f"visitor-ü{n}", **link) for n in range(CLICKS)]


def key_of(click: Click) -> str:
    """The key as in the docs."""
    return f"{zlib.crc32((click.visitor_id or '').encode()):08x}"


def with_our_producer(settings: Settings, sent: list[Click]) -> None:
    async def main() -> None:
        async with ClickProducer(settings) as producer:
            await asyncio.gather(*await producer.send_many([msgspec.structs.replace(click) for click in sent]))

    asyncio.run(main())


def with_confluent(partitioner: str = "murmur2_random", key: Callable[[Click], str | None] = key_of) -> Send:
    def send(settings: Settings, sent: list[Click]) -> None:
        # No lingering: records without a key change partition only with each batch.
        producer = Producer({"bootstrap.servers": settings.kafka_url, "partitioner": partitioner, "linger.ms": 0})
        for click in sent:
            producer.produce(settings.topic, encode(click), key=key(click))
            producer.flush()

    return send


def with_kcat(settings: Settings, sent: list[Click]) -> None:
    kcat = shutil.which("kcat")
    require(None if kcat else "there is no kcat")
    lines = "".join(f"{key_of(click)}\t{encode(click).decode()}\n" for click in sent)
    command = ["kcat", "-P", "-b", settings.kafka_url, "-t", settings.topic, "-K", "\t"]
    subprocess.run([*command, "-X", "topic.partitioner=murmur2_random"], input=lines, text=True, check=True, timeout=60)


def with_java(settings: Settings, sent: list[Click]) -> None:
    lines = "".join(f"{click.visitor_id}\t{encode(click).decode()}\n" for click in sent)
    command = java_program("SendClicks.java", settings.kafka_url, settings.topic)
    done = subprocess.run(command, input=lines, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr


def in_the_log(settings: Settings) -> MemoryLog:
    async def read() -> MemoryLog:
        log, ends = MemoryLog(), await log_bounds(settings, settings.topic)
        async with AIOKafkaConsumer(bootstrap_servers=settings.kafka_url) as consumer:
            for partition, (_, end, _) in ends.items():
                log.partitions[partition] = []
                consumer.assign([TopicPartition(settings.topic, partition)])
                consumer.seek(TopicPartition(settings.topic, partition), 0)
                while log.end(partition) < end:
                    record = await consumer.getone()
                    log.append(partition, record.value, record.timestamp, record.key)
        return log

    return asyncio.run(read())


def partitions_of(log: MemoryLog) -> dict[str, set[int]]:
    found = defaultdict(set)
    for partition, records in log.partitions.items():
        for record in records:
            value = json.loads(record.value or b"")
            for event in value if isinstance(value, list) else [value]:
                found[event["event_id"]].add(partition)
    return found


def counted(db: ClickHouse, log: MemoryLog) -> dict[str, tuple[int, int]]:
    """(clicks, unverified clicks) by reason, as a worker counts the log."""

    async def consume() -> None:
        async with harness(db, log) as worker:
            await worker.claim(set(log.partitions))
            await worker.consume()

    asyncio.run(consume())
    rows = db.query("SELECT reason, sum(events), sum(unverified) FROM ledger GROUP BY reason")
    return {str(reason): (events, unverified) for reason, events, unverified in rows}


@pytest.mark.parametrize("send", [with_confluent(), with_kcat, with_java], ids=["confluent", "kcat", "java"])
def test_what_is_sent_again_as_the_docs_say_counts_once(send: Send, settings: Settings, db: ClickHouse) -> None:
    sent = clicks()
    for client in (send, with_our_producer, send):
        client(settings, sent)
    log = in_the_log(settings)
    assert {len(partitions) for partitions in partitions_of(log).values()} == {1}
    assert counted(db, log) == {"counted": (CLICKS, 0), "duplicate": (2 * CLICKS, 0)}


@pytest.mark.parametrize(
    ("send", "verified"),
    [(with_confluent("consistent_random"), True), (with_confluent(key=lambda click: None), False)],
    ids=["another-partitioner", "no-key"],
)
def test_what_lands_in_another_partition_counts_again(
    send: Send, verified: bool, settings: Settings, db: ClickHouse
) -> None:
    sent = clicks()
    for client in (with_our_producer, send):
        client(settings, sent)
    log = in_the_log(settings)
    again = sum(len(partitions) - 1 for partitions in partitions_of(log).values())
    found = counted(db, log)
    assert again > CLICKS // 2
    assert found["counted"][0] == CLICKS + again
    assert found["counted"][1] == (0 if verified else again)

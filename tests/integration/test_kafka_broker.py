"""The broker of the tests keeps acknowledged records and its identity."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support import kafka_broker
from tests.support.kafka_broker import KafkaBroker, missing_reason, require

LARGE = 8 * 1024 * 1024


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    require(missing_reason())
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


async def create(broker: KafkaBroker, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)])
    finally:
        await admin.close()


async def produce(broker: KafkaBroker, topic: str, values: list[bytes], **options: Any) -> list[int]:
    """Sends records; the acknowledged offsets."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", **options) as producer:
        acknowledged = [await producer.send(topic, value, partition=1) for value in values]
        return [record.offset for record in await asyncio.gather(*acknowledged)]


async def consume(broker: KafkaBroker, topic: str, count: int) -> list[bytes]:
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
        partition = TopicPartition(topic, 1)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        async with asyncio.timeout(30):
            return [(await consumer.getone()).value for _ in range(count)]


async def cluster_id(broker: KafkaBroker) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


def topic_id(broker: KafkaBroker, topic: str) -> str:
    """The topic id from the broker's files: aiokafka does not support the protocol version with ids."""
    return (broker.data_dir / "logs" / f"{topic}-1" / "partition.metadata").read_text()


async def round_trip(broker: KafkaBroker, topic: str, values: list[bytes], **options: Any) -> list[bytes]:
    await create(broker, topic)
    assert await produce(broker, topic, values, **options) == list(range(len(values)))
    return await consume(broker, topic, len(values))


@pytest.mark.parametrize("compression", ["lz4", "zstd", None])
def test_records_go_in_and_out(broker: KafkaBroker, compression: str | None) -> None:
    values = [b"%d" % number for number in range(1000)]
    options = {"compression_type": compression, "enable_idempotence": True}
    assert asyncio.run(round_trip(broker, f"plain-{compression}", values, **options)) == values


def test_large_records_are_taken(broker: KafkaBroker) -> None:
    assert asyncio.run(round_trip(broker, "large", [b"x" * LARGE], max_request_size=2 * LARGE)) == [b"x" * LARGE]


async def group_reads(broker: KafkaBroker, topic: str) -> int:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker.bootstrap, group_id="g", auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(30):
        return int((await consumer.getone()).offset)


def test_a_group_is_assigned_and_commits(broker: KafkaBroker) -> None:
    asyncio.run(round_trip(broker, "grouped", [b"a"]))
    assert asyncio.run(group_reads(broker, "grouped")) == 0
    asyncio.run(produce(broker, "grouped", [b"b"]))
    assert asyncio.run(group_reads(broker, "grouped")) == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_keeps_records_and_identity(broker: KafkaBroker, end: str) -> None:
    topic, values = f"after-{end}", [b"%d" % number for number in range(5000)]
    assert asyncio.run(round_trip(broker, topic, values)) == values
    before = (broker.bootstrap, asyncio.run(cluster_id(broker)), topic_id(broker, topic))
    getattr(broker, end)()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", broker.port))
    broker.restart()
    assert (broker.bootstrap, asyncio.run(cluster_id(broker)), topic_id(broker, topic)) == before
    assert asyncio.run(consume(broker, topic, len(values))) == values
    assert asyncio.run(produce(broker, topic, [b"next"])) == [5000]


def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    require(missing_reason())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        broker = KafkaBroker(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(RuntimeError, match="Address already in use"):
            broker.start()
    assert broker.process is None


def test_without_java_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(kafka_broker, "java", kafka_broker.java.__wrapped__)
    assert missing_reason.__wrapped__() == "Kafka needs Java: `java` is not installed"


def test_a_reason_skips_and_in_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    require(None)
    with pytest.raises(pytest.skip.Exception):
        require("no Java")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception):
        require("no Java")

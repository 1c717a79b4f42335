"""Logs with aborted transactions, and logs restored from an older copy."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.settings import Settings
from ingest.kafka.broker_time import publish_clock_note
from ingest.kafka.reader import read_ranges, read_topic
from rollups.delivery.dead_letters import PublishedDeadLetters
from tests.support.clickhouse_server import ClickHouseServer, start_clickhouse_server
from tests.support.embedded_broker import tansu
from tests.support.kafka_broker import KafkaBroker, missing_reason, require
from tests.support.stack import Stack, separate_stack, wait_until

DAY = "2026-03-01"
PARTITIONS = 2


class Servers:
    """A broker with the clicks topic, and a database."""

    def __init__(self, directory: Path, resources: ExitStack) -> None:
        self.directory = directory
        self.broker: KafkaBroker = resources.enter_context(KafkaBroker(directory / "kafka"))
        self.engine: ClickHouseServer = resources.enter_context(start_clickhouse_server(directory / "engine"))
        asyncio.run(create(self.broker, "clicks"))

    def settings(self) -> Settings:
        return Settings(kafka_url=self.broker.bootstrap)

    def stack(self) -> Stack:
        return separate_stack(self.directory, self.broker.bootstrap, self.engine.url)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    require(missing_reason())
    with ExitStack() as resources:
        yield Servers(tmp_path, resources)


async def create(broker: KafkaBroker, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        configs = {"message.timestamp.type": "LogAppendTime"}
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=configs)])
    finally:
        await admin.close()


def event(name: str, padding: int = 0) -> bytes:
    link = {"account_id": 1, "domain": "go.example", "link_id": "a"}
    click: dict[str, Any] = {"clicked_at": f"{DAY}T12:00:00Z", "event_id": name, "visitor_id": name, **link}
    return json.dumps(click | ({"referrer": "r" * padding} if padding else {})).encode()


async def transaction(
    broker: KafkaBroker, names: list[str], *, commit: bool, partition: int = 0, padding: int = 0
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=names[0]) as producer:
        await producer.begin_transaction()
        sent = [await producer.send("clicks", event(name, padding), partition=partition) for name in names]
        await asyncio.gather(*sent)
        await (producer.commit_transaction() if commit else producer.abort_transaction())


async def plain(broker: KafkaBroker, names: list[str], partition: int = 0) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for name in names:
            await producer.send_and_wait("clicks", event(name), partition=partition)


async def ends(broker: KafkaBroker) -> dict[int, int]:
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap) as consumer:
        found = await consumer.end_offsets([TopicPartition("clicks", number) for number in range(PARTITIONS)])
        return {tp.partition: end for tp, end in found.items()}


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def audited(stack: Stack) -> dict[int, dict[str, Any]]:
    report = stack.http.get(f"{stack.api}/admin/audit", headers={"X-Api-Key": "admin-key-of-the-tests"}).json()
    assert report["problems"] == []
    return {account["partition"]: account for account in report["partitions"]}


def wait_applied(stack: Stack, broker: KafkaBroker) -> dict[int, dict[str, Any]]:
    """The audit's accounts by partition, once every watermark is at the end of its log."""
    there = asyncio.run(ends(broker))
    wait_until(lambda: {p: account["watermark"] for p, account in audited(stack).items()} == there)
    return audited(stack)


async def mixed(broker: KafkaBroker) -> None:
    """Sends 13 committed, 7 aborted and 2 plain records to both partitions, aborted ones last."""
    for partition in range(PARTITIONS):
        await transaction(broker, names(f"a{partition}-", 6), commit=True, partition=partition)
        await transaction(broker, names(f"b{partition}-", 4), commit=False, partition=partition)
        await plain(broker, names(f"c{partition}-", 2), partition)
        await transaction(broker, names(f"d{partition}-", 7), commit=True, partition=partition)
        await transaction(broker, names(f"e{partition}-", 3), commit=False, partition=partition)


async def across_fetches(broker: KafkaBroker) -> None:
    """Sends aborted records of several MiB; a fetch returns one."""
    await transaction(broker, names("f", 300), commit=False, padding=12_000)
    await transaction(broker, names("g", 5), commit=True)
    await transaction(broker, names("h", 300), commit=False, padding=12_000)


def test_aborted_transactions_do_not_count_and_hold_nothing_up(servers: Servers) -> None:
    asyncio.run(mixed(servers.broker))
    stack = servers.stack()
    try:
        found = wait_applied(stack, servers.broker)
        assert len(found) == PARTITIONS
        for account in found.values():
            assert account["events"] == {"counted": 15, "gap": 0}
            assert account["records"] == {"counted": 15, "gap": 4 + 3 + 4}, "aborted ones, and a marker of each"
        stack.wait_counted()
        asyncio.run(across_fetches(servers.broker))
        found = wait_applied(stack, servers.broker)
        assert found[0]["events"]["counted"] == 20
        stack.wait_counted()
        done = stack.run("audit", "--from", DAY, "--to", DAY)
        assert "35 clicks on links, 35 in the log" in done.stdout
    finally:
        stack.stop()


def test_the_reader_ends_before_a_transaction_that_is_open(servers: Servers) -> None:
    async def scenario() -> list[bytes]:
        await plain(servers.broker, ["a"])
        open_one = AIOKafkaProducer(bootstrap_servers=servers.broker.bootstrap, transactional_id="t")
        async with open_one, open_one.transaction(), asyncio.timeout(30):
            await open_one.send_and_wait("clicks", event("b"), partition=0)
            await plain(servers.broker, ["c"])
            return [r.value async for records in read_topic(servers.settings(), "clicks") for r in records]

    assert asyncio.run(scenario()) == [event("a")]


def test_stretches_of_a_log(servers: Servers) -> None:
    async def scenario() -> None:
        settings = servers.settings()
        await plain(servers.broker, names("a", 10))
        await transaction(servers.broker, names("b", 5), commit=False)
        await plain(servers.broker, names("c", 3), 1)
        found: list[tuple[int, int]] = []

        def take(record: Any) -> None:
            found.append((record.partition, record.offset))

        async def read(stretches: dict[int, tuple[int, int]]) -> set[int]:
            found.clear()
            return await read_ranges(settings, "clicks", stretches, take, 2)

        assert await read({0: (9, 16), 1: (1, 2)}) == {0, 1}
        assert sorted(found) == [(0, 9), (1, 1)]
        assert await read({0: (9, 10), 1: (3, 4)}) == {0}, "it ends at 3"
        started = time.monotonic()
        assert await read({0: (9, 10), 1: (30, 31)}) == {0}, "it ends long before"
        assert time.monotonic() - started < 1.5, "and is not waited for"

    asyncio.run(scenario())


def test_a_broker_restored_from_an_older_copy_stops_what_was_counted_of_it(servers: Servers) -> None:
    stack, broker = servers.stack(), servers.broker
    logs, copy = broker.data_dir / "logs", servers.directory / "copy"
    try:
        for partition in range(PARTITIONS):
            asyncio.run(plain(broker, names(f"a{partition}-", 20), partition))
        wait_applied(stack, broker)
        broker.stop()
        shutil.copytree(logs, copy)
        broker.start()
        asyncio.run(plain(broker, names("b", 20), 0))  # only in partition 0
        wait_applied(stack, broker)
        stack.processes["worker0"].stop()
        broker.stop()
        shutil.rmtree(logs)
        copy.rename(logs)
        broker.start()
        for partition in range(PARTITIONS):
            asyncio.run(plain(broker, names(f"c{partition}-", 40), partition))
        stack.processes["worker0"].start()
        stack.wait_for_output(
            "worker0", "partition 0 stands still: the log is not the one that was counted: at offset 39"
        )
        wait_until(lambda: audited(stack)[1]["watermark"] == 60)
        assert audited(stack)[0]["watermark"] == 40
        assert "partition 1 stands still" not in stack.outputs()
    finally:
        stack.stop()


def test_the_brokers_time_is_that_of_its_acknowledgement(servers: Servers, tmp_path: Path) -> None:
    async def scenario(settings: Settings) -> int | None:
        at = await publish_clock_note(settings)
        letters = PublishedDeadLetters()
        async for records in read_topic(settings, settings.dead_topic):
            for record in records:
                letters.add(record)
        assert letters.open() == []
        return at

    asyncio.run(create(servers.broker, "clicks.dead"))
    at = asyncio.run(scenario(servers.settings()))
    assert at is not None
    assert abs(at - time.time() * 1000) < 5000
    with tansu(tmp_path) as embedded:
        assert asyncio.run(scenario(embedded.settings())) is None

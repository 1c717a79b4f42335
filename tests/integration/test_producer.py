"""The producer against a real broker: acknowledged events are in the log, others are reported."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from deploy.settings import Settings
from ingest.event import Click, Rejected, decode_record
from ingest.kafka.admin import ensure_topics, topic_identity, topics
from ingest.producer import BufferFull, ClickProducer, DeliveryFailed, ProducerClosed
from tests.support import free_port
from tests.support.embedded_broker import Tansu, tansu
from tests.support.kafka_broker import KafkaBroker, missing_reason, require


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Tansu]:
    with tansu(tmp_path) as running:
        yield running


@pytest.fixture(params=["embedded", "kafka"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings with a new topic name; the embedded broker has its topics already."""
    if request.param == "embedded":
        with tansu(tmp_path) as running:
            yield running.settings()
    else:
        kafka: KafkaBroker = request.getfixturevalue("kafka")
        yield Settings(kafka_url=kafka.bootstrap, topic=f"clicks-{free_port()}", partitions=3)


def click(user: int = 1, **fields: Any) -> Click:
    return Click(1_767_225_600_000, account_id=1, domain="vvd.bz", link_id="a", visitor_id=f"v{user}", **fields)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            result = await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return result

    return asyncio.run(bounded())


async def consume(settings: Settings, count: int) -> list[Click | Rejected]:
    """At least so many events of the topic, from single records and from arrays."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_url, max_partition_fetch_bytes=20_000_000)
    async with consumer:
        consumer.assign([TopicPartition(settings.topic, p) for p in range(settings.partitions)])
        await consumer.seek_to_beginning()
        found: list[Click | Rejected] = []
        while len(found) < count:
            found += decode_record((await consumer.getone()).value)
        return found


def test_what_is_acknowledged_is_in_the_topic(settings: Settings) -> None:
    async def main() -> None:
        await ensure_topics(settings)
        async with ClickProducer(settings) as producer:
            one = await producer.send(click(1))
            many = await producer.send_many([click(n) for n in range(2, 1000)])
            now = producer.send_nowait(click(1000, event_id="mine"))
            raw = await producer.send_encoded(b"key", b"[1, 2]")
            answers = await asyncio.gather(one, now, raw, *many)
            assert all(answer.topic == settings.topic for answer in answers)
            await producer.flush()
            assert (producer.failed, producer.unacknowledged) == (0, 0)
        found = await consume(settings, 1002)
        ids = [event.event_id for event in found if isinstance(event, Click)]
        assert len(set(ids)) == len(ids) == 1000
        assert "mine" in ids
        assert [event.raw for event in found if isinstance(event, Rejected)] == [b"1", b"2"]

    run(main())


def test_a_broker_without_idempotence_is_no_alarm(broker: Tansu, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with ClickProducer(broker.settings(visitor_secret="secret of the tests")) as producer:
            await (await producer.send(click()))

    run(main())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_user_stays_in_one_partition(settings: Settings) -> None:
    async def main() -> None:
        await ensure_topics(settings)
        async with ClickProducer(settings) as producer:
            clicks = [click(n % 20) for n in range(200)]
            sent = [await producer.send(one) for one in clicks[:100]]
            partitions = [answer.partition for answer in await asyncio.gather(*sent)]
            together = [await asyncio.gather(*await producer.send_many(clicks[n : n + 1])) for n in range(100, 200)]
            partitions += [answer.partition for [answer] in together]
            records = await asyncio.gather(*await producer.send_many(clicks))
        assert all(len({partitions[n] for n in range(user, 200, 20)}) == 1 for user in range(20))
        assert set(partitions) == {answer.partition for answer in records} == {0, 1, 2}
        assert len(records) == 3

    run(main())


def test_closing_sends_what_is_buffered(settings: Settings) -> None:
    async def main() -> None:
        await ensure_topics(settings)
        async with ClickProducer(settings) as producer:
            sent = [producer.send_nowait(click(n)) for n in range(500)]
        assert all(future.result() for future in sent)
        with pytest.raises(ProducerClosed, match="not started"):
            await producer.send(click())

    run(main())


def test_ten_megabytes_are_taken(settings: Settings) -> None:
    async def main() -> None:
        await ensure_topics(settings)
        async with ClickProducer(settings) as producer:
            await (await producer.send_encoded(b"k", os.urandom(10_000_000)))
            too_large = await producer.send_encoded(b"k", os.urandom(20_000_000))
            with pytest.raises(DeliveryFailed, match="larger"):
                await too_large
            await (await producer.send(click()))

    run(main())


def test_topics_are_created_once_and_told_apart(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        await asyncio.gather(ensure_topics(settings), ensure_topics(settings))
        await ensure_topics(settings)
        clicks = await topic_identity(settings, settings.topic)
        dead = await topic_identity(settings, settings.dead_topic)
        assert clicks == await topic_identity(settings, settings.topic)
        assert clicks[0] == dead[0]
        assert clicks[1] != dead[1]
        assert len(clicks[1]) == 32
        caplog.clear()
        await ensure_topics(settings.model_copy(update={"partitions": 50}))
        assert "has 3 partitions, fewer than the 50" in caplog.text
        with pytest.raises(ConnectionError):
            await topic_identity(settings, "no-such-topic")

    run(main())


def test_what_is_wrong_with_topics_of_somebody_else_is_said_once(
    kafka: KafkaBroker, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(kafka_url=kafka.bootstrap, topic="theirs", partitions=2)
    theirs = {"max.message.bytes": "1048588", "retention.ms": "3600000", "cleanup.policy": "compact"}

    async def main() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic("theirs", 2, 1, topic_configs=theirs), NewTopic("theirs.dead", 1, 1)])
        finally:
            await admin.close()
        await ensure_topics(settings)
        said = caplog.messages
        for line in (
            "topic theirs: max.message.bytes is 1048588",
            "topic theirs: message.timestamp.type is CreateTime",
            "topic theirs: retention.ms is 3600000",
            "topic theirs: cleanup.policy is compact",
        ):
            assert len([message for message in said if message.startswith(line)]) == 1
        assert not [message for message in said if message.startswith("topic theirs.dead: max")]  # the broker's 16 MiB
        caplog.clear()
        await ensure_topics(settings)
        assert not [message for message in caplog.messages if message.startswith("topic theirs")]

    run(main())


def test_topics_are_made_as_specified(kafka: KafkaBroker) -> None:
    async def main() -> None:
        settings = Settings(kafka_url=kafka.bootstrap, topic="specified", partitions=5, retention_hours=2)
        await ensure_topics(settings)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:
            async with asyncio.timeout(20):  # Kafka announces new partitions after a moment
                while await _partitions(admin, settings) != [spec.partitions for spec in topics(settings)]:
                    await asyncio.sleep(0.1)
        finally:
            await admin.close()
        assert [spec.config["retention.ms"] for spec in topics(settings)] == ["7200000", "28800000"]

    run(main())


async def _partitions(admin: AIOKafkaAdminClient, settings: Settings) -> list[int]:
    described = await admin.describe_topics([spec.name for spec in topics(settings)])
    return [len(topic["partitions"]) for topic in described]


@pytest.mark.parametrize("end", [Tansu.freeze, Tansu.kill])
def test_a_lost_broker_fails_the_delivery_in_time(broker: Tansu, end: Callable[[Tansu], None]) -> None:
    async def main() -> None:
        started = time.monotonic()
        async with ClickProducer(broker.settings(), delivery_timeout=1.5) as producer:
            await (await producer.send(click()))
            end(broker)
            lost = await producer.send_many([click(n) for n in range(100)])
            outcomes = await asyncio.gather(*lost, return_exceptions=True)
            assert all(isinstance(outcome, DeliveryFailed) for outcome in outcomes)
            assert (producer.failed, producer.unacknowledged) == (100, 0)
        assert time.monotonic() - started < 6

    run(main())


def test_a_full_buffer_makes_senders_wait_and_loses_nothing(broker: Tansu) -> None:
    async def main() -> None:
        async with ClickProducer(broker.settings(collector_buffer_events=50)) as producer:
            broker.freeze()
            sent = await producer.send_many([click(n) for n in range(60)])
            with pytest.raises(BufferFull):
                producer.send_nowait(click())
            with pytest.raises(BufferFull):
                await producer.send_many([click()], wait=0.1)
            assert await producer.send_many([], wait=0.1) == []
            waiting = [asyncio.ensure_future(producer.send(click(n))) for n in range(60, 110)]
            await asyncio.sleep(0.1)
            assert not any(task.done() for task in waiting)
            broker.thaw()
            sent += await asyncio.gather(*waiting)
            await asyncio.gather(*sent)
        assert len(await consume(broker.settings(), 110)) == 110

    run(main())


def test_no_broker_at_the_start_is_an_error() -> None:
    async def main() -> None:
        with pytest.raises(KafkaError):
            await ClickProducer(Settings(kafka_url=f"127.0.0.1:{free_port()}")).start()

    run(main())


def test_a_refused_record_does_not_spoil_what_follows(kafka: KafkaBroker) -> None:
    """A record above the topic's limit must not end an idempotent producer for good."""

    async def main() -> None:
        settings = Settings(kafka_url=kafka.bootstrap, topic="small", partitions=1)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("small", 1, 1, topic_configs={"max.message.bytes": "100000"})])
        await admin.close()
        async with ClickProducer(settings) as producer:
            await (await producer.send(click()))
            with pytest.raises(DeliveryFailed, match="TooLarge"):
                await (await producer.send_encoded(b"k", os.urandom(200_000)))
            await asyncio.sleep(1)
            await (await producer.send(click()))
            assert producer.failed == 1

    run(main())


def test_a_broker_that_comes_back_takes_what_waited(tmp_path: Path) -> None:
    require(missing_reason())

    async def main(kafka: KafkaBroker) -> None:
        settings = Settings(kafka_url=kafka.bootstrap, partitions=3)
        await ensure_topics(settings)
        async with ClickProducer(settings) as producer:
            await (await producer.send(click()))
            kafka.kill()
            sent = await producer.send_many([click(n) for n in range(99)])
            await asyncio.to_thread(kafka.start)
            await asyncio.gather(*sent)
        assert len({event.event_id for event in await consume(settings, 100) if isinstance(event, Click)}) == 100

    with KafkaBroker(tmp_path) as kafka:
        run(main(kafka))

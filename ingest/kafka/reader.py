"""Reads of a topic without a consumer group: the whole topic, ranges, single records, and its bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from ingest.kafka.admin import client_options
from ingest.settings import Settings

_PEEK_TIMEOUT_SECONDS = 5.0  # for a partition
_PEEK_BYTES = 64 * 1024  # for a partition; larger records come nevertheless


async def read_topic(settings: Settings, topic: str) -> AsyncIterator[list[Any]]:
    """Lists of aiokafka ConsumerRecords, each of one partition and in order, up to the present end of the topic.

    Records of aborted transactions are skipped; an open transaction ends the partition. KafkaError if the broker is
    away.
    """
    consumer = AIOKafkaConsumer(
        topic,
        **client_options(settings),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        unread = set(consumer.assignment())
        ends: dict[TopicPartition, int] = {}
        while unread:
            for records in (await consumer.getmany(*unread, timeout_ms=200)).values():
                yield records
            for partition in list(unread):
                end = consumer.last_stable_offset(partition)  # None until the first fetch has answered
                if end is not None and await consumer.position(partition) >= ends.setdefault(partition, end):
                    unread.discard(partition)
    finally:
        await consumer.stop()


async def read_ranges(
    settings: Settings,
    topic: str,
    ranges: Mapping[int, tuple[int, int]],
    on_record: Callable[[Any], None],
    timeout: float,
) -> set[int]:
    """Calls `on_record` with the ConsumerRecords at offsets [start, end) of some partitions, for `timeout` seconds.

    Returns the partitions that were read to the end of their range; a log that starts later or ends earlier is not.
    Records of aborted transactions are skipped. KafkaError if the broker is away.
    """
    consumer = AIOKafkaConsumer(
        **client_options(settings), auto_offset_reset="none", enable_auto_commit=False, isolation_level="read_committed"
    )
    unread = {TopicPartition(topic, partition): end for partition, (_, end) in ranges.items()}
    whole: set[int] = set()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await consumer.start()
                consumer.assign(list(unread))
                for tp in unread:
                    consumer.seek(tp, ranges[tp.partition][0])
                while unread:
                    whole |= await _read_fetch(consumer, unread, on_record)
    finally:
        await consumer.stop()
    return whole


async def _read_fetch(
    consumer: AIOKafkaConsumer, unread: dict[TopicPartition, int], on_record: Callable[[Any], None]
) -> set[int]:
    """One fetch. Removes finished partitions from `unread`; returns those that were read to their end."""
    try:
        fetched = await consumer.getmany(*unread, timeout_ms=100)
    except OffsetOutOfRangeError as error:
        done, read = set(error.args[0]), set[int]()
    else:
        for tp, records in fetched.items():
            for record in records:
                if record.offset < unread[tp]:
                    on_record(record)
        done = {tp for tp, end in unread.items() if await consumer.position(tp) >= end}
        read = {tp.partition for tp in done}
    consumer.pause(*done)
    for tp in done:
        del unread[tp]
    return read


async def log_bounds(settings: Settings, topic: str) -> dict[int, tuple[int, int, int | None]]:
    """By partition: (first offset, end, offset committed by the workers' group or None). Raises KafkaError."""
    log = AIOKafkaConsumer(topic, **client_options(settings), enable_auto_commit=False)
    group = AIOKafkaConsumer(**client_options(settings), group_id=settings.group, enable_auto_commit=False)
    await log.start()
    try:
        await group.start()
        partitions = sorted(log.assignment())
        group.assign(partitions)  # by hand, so it is no member of the group
        first, end = await log.beginning_offsets(partitions), await log.end_offsets(partitions)
        return {tp.partition: (first[tp], end[tp], await group.committed(tp)) for tp in partitions}
    finally:
        await group.stop()
        await log.stop()


@dataclass(frozen=True, slots=True)
class Peek:
    """What a partition has at an offset: the first record at or after it, and the end that the fetch reported.

    Both are None if the log has no such offset.
    """

    record: Any = None  # an aiokafka ConsumerRecord
    end: int | None = None


async def peek(settings: Settings, topic: str, offsets: Mapping[int, int]) -> dict[int, Peek]:
    """By partition; those that do not respond in time are absent. KafkaError if no broker responds."""
    if not offsets:
        return {}
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        auto_offset_reset="none",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=_PEEK_BYTES,
        max_poll_records=1,
    )
    await consumer.start()
    found: dict[int, Peek] = {}
    try:
        for partition, offset in offsets.items():  # one at a time, which keeps their errors apart
            with suppress(TimeoutError):
                async with asyncio.timeout(_PEEK_TIMEOUT_SECONDS):
                    found[partition] = await _peek(consumer, TopicPartition(topic, partition), offset)
        return found
    finally:
        await consumer.stop()


async def fetched_bounds(settings: Settings, topic: str) -> dict[int, tuple[int, int, int | None]]:
    """As `log_bounds`, with the ends that a fetch reports. KafkaError if no broker responds."""
    bounds = await log_bounds(settings, topic)
    await raise_ends(settings, topic, bounds, bounds)
    return bounds


async def raise_ends(
    settings: Settings, topic: str, bounds: dict[int, tuple[int, int, int | None]], partitions: Iterable[int]
) -> None:
    """Replaces the ends of these partitions, which the embedded broker may list too low, by those of a fetch."""
    last = {partition: max(bounds[partition][0], bounds[partition][1] - 1) for partition in partitions}
    for partition, found in (await peek(settings, topic, last)).items():
        first, end, commit = bounds[partition]
        bounds[partition] = first, max(end, found.end or 0), commit


async def _peek(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int) -> Peek:
    consumer.assign([tp])
    consumer.seek(tp, offset)
    while True:
        try:
            records = (await consumer.getmany(tp, timeout_ms=100)).get(tp)
        except OffsetOutOfRangeError:
            return Peek()
        end, stable = consumer.highwater(tp), consumer.last_stable_offset(tp)  # None until a fetch has returned
        if records:
            return Peek(records[0], end)
        if stable is not None and await consumer.position(tp) >= (end if stable < 0 else stable):
            return Peek(None, end)

"""Single records of a topic, looked at without reading it: what is at some offsets, and where the log really ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from ingest.kafka.admin import client_options
from ingest.settings import Settings

_SECONDS = 5.0  # for a partition
_BYTES = 64 * 1024  # of a partition; a larger record comes nevertheless


@dataclass(frozen=True, slots=True)
class Peek:
    """What a partition has at an offset: the first record there or behind it, and the end that the fetch told of.

    `out_of_range` says that the log has no such offset.
    """

    record: Any = None  # an aiokafka ConsumerRecord
    end: int | None = None
    out_of_range: bool = False


async def peek(settings: Settings, topic: str, offsets: Mapping[int, int]) -> dict[int, Peek]:
    """By partition; one that does not answer in time is absent. Raises KafkaError if no broker answers."""
    if not offsets:
        return {}
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        auto_offset_reset="none",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=_BYTES,
        max_poll_records=1,
    )
    await consumer.start()
    found: dict[int, Peek] = {}
    try:
        for partition, offset in offsets.items():  # one at a time: the error of one is not that of another
            with suppress(TimeoutError):
                async with asyncio.timeout(_SECONDS):
                    found[partition] = await _peek(consumer, TopicPartition(topic, partition), offset)
        return found
    finally:
        await consumer.stop()


async def _peek(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int) -> Peek:
    consumer.assign([tp])
    consumer.seek(tp, offset)
    while True:
        try:
            records = (await consumer.getmany(tp, timeout_ms=100)).get(tp)
        except OffsetOutOfRangeError:
            return Peek(out_of_range=True)
        end, stable = consumer.highwater(tp), consumer.last_stable_offset(tp)  # None until a fetch has answered
        if records:
            return Peek(records[0], end)
        if stable is not None and await consumer.position(tp) >= (end if stable < 0 else stable):
            return Peek(None, end)

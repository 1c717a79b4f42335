"""Fills a topic before the clock starts, like Clickmill's producer: keyed by user, in packed batches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from bench.brokers import Broker
from bench.data.events import events
from bench.data.expected import Counts, Model
from deploy.settings import Settings
from ingest.kafka.admin import MAX_RECORD_BYTES, client_options, ensure_topics, wait_for_broker
from ingest.kafka.producer_connection import COMPRESSION

PARTITIONS = 12
_BATCH_BYTES = 256 * 1024
_MAX_IN_FLIGHT = 4 * PARTITIONS


Source = Callable[[int], Iterable[tuple[bytes, bytes]]]


def fill(
    broker: Broker,
    count: int,
    *,
    per_record: int = 1,
    topic: str = "clicks",
    copy: Path | None = None,
    source: Source = events,
) -> Counts:
    """Sends so many events, alone or in arrays, also as lines to `copy`. Returns the expected counts."""
    settings = broker.settings(topic=topic, partitions=PARTITIONS)
    return asyncio.run(_fill(settings, source(count), per_record, copy))


async def _fill(
    settings: Settings, source: Iterable[tuple[bytes, bytes]], per_record: int, copy: Path | None
) -> Counts:
    await wait_for_broker(settings, asyncio.Event())
    await ensure_topics(settings)
    producer = AIOKafkaProducer(
        **client_options(settings),
        acks="all",
        compression_type=COMPRESSION,
        max_batch_size=_BATCH_BYTES,
        max_request_size=MAX_RECORD_BYTES,
    )
    await producer.start()
    lines = copy.open("wb") if copy else None
    try:
        return await _send(producer, settings.topic, source, per_record, lines)
    finally:
        if lines:
            lines.close()
        await producer.stop()


async def _send(
    producer: AIOKafkaProducer,
    topic: str,
    source: Iterable[tuple[bytes, bytes]],
    per_record: int,
    lines: BinaryIO | None,
) -> Counts:
    model, batches = Model(), Batches(producer, topic)
    places: dict[bytes, int] = {}
    arrays: dict[int, list[bytes]] = {partition: [] for partition in range(PARTITIONS)}
    for key, value in source:
        partition = places.get(key)
        if partition is None:
            partition = places[key] = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
        model.take(value)
        if lines:
            lines.write(value + b"\n")
        if per_record == 1:
            await batches.add(partition, key, value)
            continue
        arrays[partition].append(value)
        if len(arrays[partition]) == per_record:
            await batches.add(partition, key, b"[%b]" % b",".join(arrays[partition]))
            arrays[partition].clear()
    for partition, rest in arrays.items():
        if rest:
            await batches.add(partition, b"rest", b"[%b]" % b",".join(rest))
    await batches.flush()
    return model.counts()


class Batches:
    """Builds record batches and sends them whole, several times as fast as `producer.send`."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer, self._topic = producer, topic
        self._open: dict[int, Any] = {}
        self._sent: set[Awaitable[Any]] = set()

    async def add(self, partition: int, key: bytes, value: bytes) -> None:
        batch = self._open.get(partition)
        if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
            if batch is not None:
                await self._send(partition, batch)
            batch = self._open[partition] = self._producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)

    async def flush(self) -> None:
        for partition, batch in self._open.items():
            await self._send(partition, batch)
        await asyncio.gather(*self._sent)

    async def _send(self, partition: int, batch: Any) -> None:
        self._sent.add(await self._producer.send_batch(batch, self._topic, partition=partition))
        if len(self._sent) >= _MAX_IN_FLIGHT:
            done, self._sent = await asyncio.wait(self._sent, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
            for sent in done:
                sent.result()  # type: ignore[attr-defined]

"""A connected aiokafka producer: its setup, and a close that never hangs."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownError, UnsupportedVersionError

from ingest.kafka.admin import MAX_RECORD_BYTES, client_options
from ingest.kafka.partitioner import partition_for_key
from ingest.settings import Settings

log = logging.getLogger(__name__)

_LINGER_MS = 5
COMPRESSION = "zstd"  # docs/decisions/0014-zstd.md
_BATCH_BYTES = 256 * 1024
_REQUEST_TIMEOUT = 10.0
_FLUSH_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class ProducerConnection:
    """A started producer, closed at the end of a `with` block. If idempotent, its retries cannot repeat a record."""

    producer: AIOKafkaProducer
    idempotent: bool

    def partitions(self, topic: str) -> int:
        """Number of partitions of the topic."""
        return len(self.producer.client.cluster.partitions_for_topic(topic))

    async def __aenter__(self) -> ProducerConnection:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Flushes within a second and stops; aiokafka alone would wait forever without a broker."""
        try:
            async with asyncio.timeout(_FLUSH_TIMEOUT):
                await self.producer.flush()
        except TimeoutError:
            await _abandon(self.producer)
        except BaseException:
            await _abandon(self.producer)
            raise
        else:
            await self.producer.stop()


def partitioner(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """By the key as Kafka's own clients, or any that has a leader."""
    return (
        random.choice(available or partitions) if key is None else partitions[partition_for_key(key, len(partitions))]
    )


def _is_not_expected(record: logging.LogRecord) -> bool:
    """False for the error that tells `connect_producer` of a broker without idempotence; aiokafka logs it, too."""
    return not str(record.msg).startswith("Unexpected error during InitProducerIdRequest")


logging.getLogger("aiokafka.producer.sender").addFilter(_is_not_expected)


async def connect_producer(settings: Settings, delivery_timeout: float) -> ProducerConnection:
    """Connects, with idempotence if the broker has it. KafkaError if no broker responds or the topic is missing."""
    try:
        return ProducerConnection(await _start(settings, delivery_timeout, idempotent=True), idempotent=True)
    except (UnknownError, UnsupportedVersionError):
        log.debug("the broker has no idempotent producers: retries may repeat records, which event ids reveal")
        return ProducerConnection(await _start(settings, delivery_timeout, idempotent=False), idempotent=False)


async def _start(settings: Settings, delivery_timeout: float, *, idempotent: bool) -> AIOKafkaProducer:
    # Without idempotence aiokafka gives up a batch after one request timeout; with it, never.
    timeout = min(_REQUEST_TIMEOUT, delivery_timeout) if idempotent else delivery_timeout
    producer = AIOKafkaProducer(
        **client_options(settings),
        acks="all",
        enable_idempotence=idempotent,
        partitioner=partitioner,
        compression_type=COMPRESSION,
        linger_ms=_LINGER_MS,
        max_batch_size=_BATCH_BYTES,
        max_request_size=MAX_RECORD_BYTES,
        request_timeout_ms=int(timeout * 1000),
    )
    try:
        await producer.start()
        await producer.partitions_for(settings.topic)  # else the first click waits for the metadata
    except BaseException:
        await producer.stop()
        raise
    return producer


async def _abandon(producer: AIOKafkaProducer) -> None:
    sender = producer._sender.sender_task
    while not sender.done():
        sender.cancel()  # once for itself and once for each pending request
        await asyncio.wait([sender], timeout=0.01)
    await producer.client.close()
    producer._closed = True

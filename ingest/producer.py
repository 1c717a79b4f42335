"""The client for redirectors: clicks into Kafka, acknowledged by every replica, never dropped silently."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownError, UnsupportedVersionError

from ingest.event import Click, encode, partition_key, stamped
from ingest.kafka import MAX_RECORD_BYTES, connection
from ingest.settings import Settings

log = logging.getLogger(__name__)

_LINGER_MS = 5


class BufferFull(Exception):
    """As many clicks wait for their acknowledgement as the buffer holds: slow down and send again."""


class ClickProducer:
    """Publishes clicks to the clicks topic, keyed by user, compressed, with idempotent retries.

    A click without `event_id` gets a UUIDv7. Give your own ids where you retry yourself: a click counts once,
    however often its id is sent.

        async with ClickProducer(Settings(kafka_url="kafka:9092")) as producer:
            acknowledgement = await producer.send(Click(clicked_at=..., account_id=1, domain="vvd.bz", link_id="a"))
            await acknowledgement

    At most `CLICKMILL_COLLECTOR_BUFFER_EVENTS` clicks are unacknowledged: `send` waits then, `send_nowait` raises.
    The future that both give raises aiokafka's KafkaError if the broker did not take the click within
    `delivery_timeout` seconds. Closing sends what is buffered.
    """

    def __init__(self, settings: Settings, *, delivery_timeout: float = 30.0) -> None:
        self._settings = settings
        self._delivery_timeout = delivery_timeout
        self._producer: AIOKafkaProducer | None = None
        self._unacknowledged = 0
        self._room = asyncio.Event()

    async def start(self) -> None:
        """Connects; raises aiokafka's KafkaConnectionError if no broker answers."""
        try:
            self._producer = await self._connect(idempotent=True)
        except (UnknownError, UnsupportedVersionError):
            log.info(
                "the broker has no idempotent producers; a retry may repeat a record, which its event id gives away"
            )
            self._producer = await self._connect(idempotent=False)

    async def _connect(self, *, idempotent: bool) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **connection(self._settings),
            acks="all",
            enable_idempotence=idempotent,
            compression_type="lz4",
            linger_ms=_LINGER_MS,
            max_batch_size=256 * 1024,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=int(self._delivery_timeout * 1000),
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def send(self, click: Click) -> asyncio.Future[Any]:
        """Buffers a click, waiting for room; returns the future of its acknowledgement."""
        while self._full:
            self._room.clear()
            await self._room.wait()
        self._unacknowledged += 1
        return await self._publish(click)

    def send_nowait(self, click: Click) -> asyncio.Future[Any]:
        """Buffers a click or raises BufferFull; returns the future of its acknowledgement."""
        if self._full:
            raise BufferFull(f"{self._unacknowledged} clicks are waiting for the broker")
        self._unacknowledged += 1
        return asyncio.ensure_future(self._publish_and_wait(click))

    async def _publish_and_wait(self, click: Click) -> Any:
        return await (await self._publish(click))

    async def _publish(self, click: Click) -> asyncio.Future[Any]:
        try:
            producer = self._started()
            acknowledgement: asyncio.Future[Any] = await producer.send(
                self._settings.topic, encode(stamped(click)), key=partition_key(click)
            )
        except BaseException:
            self._release()
            raise
        acknowledgement.add_done_callback(self._release)
        return acknowledgement

    @property
    def _full(self) -> bool:
        return self._unacknowledged >= self._settings.collector_buffer_events

    def _release(self, _: asyncio.Future[Any] | None = None) -> None:
        self._unacknowledged -= 1
        self._room.set()

    async def flush(self) -> None:
        """Returns once everything that was sent is acknowledged or has failed."""
        await self._started().flush()

    async def close(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the producer is not started: use `async with ClickProducer(...)`")
        return self._producer

    async def __aenter__(self) -> ClickProducer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

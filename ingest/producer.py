"""The client for redirectors: clicks into Kafka, acknowledged by every replica, never dropped silently."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from aiokafka.errors import KafkaError

from ingest.errors import Unavailable
from ingest.event.click import Click
from ingest.in_flight import Acknowledgement, BufferFull, DeliveryFailed, InFlight
from ingest.kafka.producer_connection import ProducerConnection, connect_producer
from ingest.kafka.records import Record, RecordPacker
from ingest.settings import Settings

__all__ = ["BufferFull", "ClickProducer", "DeliveryFailed", "ProducerClosed"]

log = logging.getLogger(__name__)

_SLICE = 250  # clicks packed between two turns of the event loop


class ProducerClosed(Unavailable):
    """The producer is not started, or was closed."""


class ClickProducer:
    """Publishes clicks to the clicks topic, keyed by user, compressed, with idempotent retries.

    Set `event_id` if you retry: a click counts once, however often its id is sent, as long as its user and owner stay
    the same. A click without `event_id` gets a UUIDv7 and counts as unverified.

    With a visitor secret, addresses are hashed before they leave the process, unless `keep_addresses` is set. A click
    of more than 512 KiB as JSON is a ValueError; `send_many` then sends nothing.

        async with ClickProducer(Settings(kafka_url="kafka:9092")) as producer:
            click = Click(clicked_at=1767225600000, account_id=1, domain="vvd.bz", link_id="a", visitor_id="v1")
            acknowledgement = await producer.send(click)  # buffered
            await acknowledgement  # on every replica

    At most `CLICKMILL_COLLECTOR_BUFFER_EVENTS` clicks are unacknowledged: beyond that `send` waits and `send_nowait`
    raises BufferFull. Every future resolves within `delivery_timeout` seconds of buffering, to the broker's metadata or
    to DeliveryFailed; `failed` counts the latter. Closing sends buffered clicks within the same time.
    """

    def __init__(self, settings: Settings, *, delivery_timeout: float = 30.0) -> None:
        self._settings = settings
        self._delivery_timeout = delivery_timeout
        self._in_flight = InFlight(settings.collector_buffer_events, delivery_timeout)
        self._packer = RecordPacker(settings)
        self._connection: ProducerConnection | None = None
        self._renewing = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def failed(self) -> int:
        """Clicks that may not have arrived."""
        return self._in_flight.failed

    @property
    def started(self) -> bool:
        return self._connection is not None

    @property
    def unacknowledged(self) -> int:
        return len(self._in_flight)

    async def start(self) -> None:
        """Connects. Raises aiokafka's KafkaError if no broker responds or the topic does not exist."""
        if not self._settings.visitor_secret and not self._settings.keep_addresses:
            log.warning("CLICKMILL_VISITOR_SECRET is not set: addresses go into Kafka unhashed")
        self._connection = await connect_producer(self._settings, self._delivery_timeout)
        self._spawn(self._in_flight.run_expiry())

    async def send(self, click: Click) -> Acknowledgement:
        """Buffers a click, waits for room, and returns the future of its acknowledgement."""
        return await self.send_encoded(*self._packer.pack(click))

    async def send_encoded(self, key: bytes, value: bytes) -> Acknowledgement:
        """As `send`, for an encoded record: its key, and one JSON event or an array of events."""
        self._require_connection()
        [acknowledgement] = await self._in_flight.reserve([1])
        await self._publish(key, value, acknowledgement)
        return acknowledgement

    def send_nowait(self, click: Click) -> Acknowledgement:
        """Buffers a click without waiting, or raises BufferFull; returns the future of its acknowledgement."""
        self._require_connection()
        key, value = self._packer.pack(click)
        acknowledgement = self._in_flight.reserve_nowait()
        self._spawn(self._publish(key, value, acknowledgement))
        return acknowledgement

    async def send_many(
        self, clicks: Sequence[Click], *, wait: float | None = None, key: bytes | None = None
    ) -> list[Acknowledgement]:
        """Buffers all clicks, or none: BufferFull if there is no room for all within `wait` seconds (None: no limit).

        More clicks than the buffer holds wait until it is empty. Clicks of one partition become arrays of at most
        512 KiB, which are cheaper than a record each; the futures are those of the records. `key` is the Kafka key of
        an earlier delivery, and replaces the clicks' own.
        """
        partitions = self._require_connection().partitions(self._settings.topic)
        if not clicks:
            return []
        records: list[Record] = []
        for start in range(0, len(clicks), _SLICE):
            records += self._packer.pack_many(clicks[start : start + _SLICE], partitions, key)
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(wait):
                acknowledgements = await self._in_flight.reserve([len(record.values) for record in records])
        except TimeoutError:
            raise BufferFull(f"{len(self._in_flight)} clicks are waiting for the broker") from None
        begun = 0
        try:
            for acknowledgement, record in zip(acknowledgements, records, strict=True):
                begun += 1
                await self._publish(record.key, record.value, acknowledgement)
        except BaseException:
            for acknowledgement in acknowledgements[begun:]:
                self._in_flight.withdraw(acknowledgement)
            raise
        return acknowledgements

    async def _publish(self, key: bytes, value: bytes, acknowledgement: Acknowledgement) -> None:
        try:
            connection = self._require_connection()
            sent = await connection.producer.send(self._settings.topic, value, key=key)
        except KafkaError as error:
            self._in_flight.fail(acknowledgement, str(error))
        except BaseException:
            self._in_flight.withdraw(acknowledgement)
            raise
        else:
            sent.add_done_callback(partial(self._settle, acknowledgement, connection))

    def _settle(
        self, acknowledgement: Acknowledgement, connection: ProducerConnection, sent: asyncio.Future[Any]
    ) -> None:
        error = None if sent.cancelled() else sent.exception()
        if error:
            self._renew(connection)
        if sent.cancelled() or error:
            self._in_flight.fail(acknowledgement, str(error) if error else "the producer was closed")
        else:
            self._in_flight.acknowledge(acknowledgement, sent.result())

    def _renew(self, broken: ProducerConnection) -> None:
        """After a failed batch the broker refuses the rest of an idempotent producer's sequence: connect anew."""
        if broken.idempotent and broken is self._connection and not self._renewing:
            self._renewing = True
            self._spawn(self._replace(broken))

    async def _replace(self, broken: ProducerConnection) -> None:
        try:
            self._connection = await connect_producer(self._settings, self._delivery_timeout)
        except KafkaError as error:
            log.warning("reconnecting after a failed delivery failed: %s", error)
        else:
            await broken.close()
        finally:
            self._renewing = False

    async def flush(self) -> None:
        """Returns once all clicks sent before are acknowledged or have failed."""
        await self._in_flight.wait_settled()

    async def close(self) -> None:
        """Flushes and disconnects. A concurrent send raises ProducerClosed."""
        if self._connection is None:
            return
        await self.flush()
        connection, self._connection = self._connection, None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await connection.close()

    def _require_connection(self) -> ProducerConnection:
        if self._connection is None:
            raise ProducerClosed("the producer is not started: use `async with ClickProducer(...)`")
        return self._connection

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self) -> ClickProducer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

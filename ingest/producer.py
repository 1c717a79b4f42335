"""The client for redirectors: clicks into Kafka, acknowledged by every replica, never dropped silently."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from aiokafka.errors import KafkaError

from ingest.buffer import Acknowledgement, Buffer, BufferFull, DeliveryFailed
from ingest.connection import Connection, connect
from ingest.event import Click, encode, partition_key, stamped
from ingest.settings import Settings

__all__ = ["BufferFull", "ClickProducer", "DeliveryFailed"]

log = logging.getLogger(__name__)

_SLICE = 250  # clicks published in one go, so that a large request does not keep others waiting


class ClickProducer:
    """Publishes clicks to the clicks topic, keyed by user, compressed, with idempotent retries.

    A click without `event_id` gets a UUIDv7. Give your own ids where you retry yourself: a click counts once,
    however often its id is sent.

        async with ClickProducer(Settings(kafka_url="kafka:9092")) as producer:
            click = Click(clicked_at=1767225600000, account_id=1, domain="vvd.bz", link_id="a", visitor_id="v1")
            acknowledgement = await producer.send(click)  # buffered
            await acknowledgement  # on every replica

    At most `CLICKMILL_COLLECTOR_BUFFER_EVENTS` clicks are unacknowledged: `send` waits then, `send_nowait` raises
    BufferFull. Every future gets the broker's answer, or DeliveryFailed at the latest `delivery_timeout` seconds
    after its click was buffered; `failed` counts those. Closing sends what is buffered, within the same time.
    """

    def __init__(self, settings: Settings, *, delivery_timeout: float = 30.0) -> None:
        self._settings = settings
        self._delivery_timeout = delivery_timeout
        self._buffer = Buffer(settings.collector_buffer_events, delivery_timeout)
        self._connection: Connection | None = None
        self._renewing = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def failed(self) -> int:
        """Clicks whose sender was told that they may not have arrived."""
        return self._buffer.failed

    @property
    def started(self) -> bool:
        return self._connection is not None

    @property
    def unacknowledged(self) -> int:
        return len(self._buffer)

    async def start(self) -> None:
        """Connects; raises aiokafka's KafkaError if no broker answers or the topic does not exist."""
        self._connection = await connect(self._settings, self._delivery_timeout)
        self._run(self._buffer.expire())

    async def send(self, click: Click) -> Acknowledgement:
        """Buffers a click, waiting for room; returns the future of its acknowledgement."""
        return await self.send_encoded(partition_key(click), encode(stamped(click)))

    async def send_encoded(self, key: bytes, value: bytes) -> Acknowledgement:
        """As `send`, for a record that is made already: its key, and one JSON event or an array of them."""
        self._connected()
        [acknowledgement] = await self._buffer.take(1)
        await self._publish(key, value, acknowledgement)
        return acknowledgement

    def send_nowait(self, click: Click) -> Acknowledgement:
        """Buffers a click or raises BufferFull; returns the future of its acknowledgement."""
        self._connected()
        acknowledgement = self._buffer.take_nowait()
        self._run(self._publish(partition_key(click), encode(stamped(click)), acknowledgement))
        return acknowledgement

    async def send_many(self, clicks: Sequence[Click], *, wait: float | None = None) -> list[Acknowledgement]:
        """Buffers all of them, or none: BufferFull if there is not room for all within `wait` seconds.

        More than the buffer holds wait until it is empty and are sent together. Those that go to the same partition
        are sent as arrays, which cost broker and worker less than a record each.
        """
        self._connected()
        if not clicks:
            return []
        try:
            async with asyncio.timeout(wait):
                acknowledgements = await self._buffer.take(len(clicks))
        except TimeoutError:
            raise BufferFull(f"{len(self._buffer)} clicks are waiting for the broker") from None
        waiting = dict.fromkeys(acknowledgements)
        try:
            for start in range(0, len(clicks), _SLICE):
                stop = start + _SLICE
                for key, value, together in self._arrays(clicks[start:stop], acknowledgements[start:stop]):
                    for acknowledgement in together:
                        del waiting[acknowledgement]
                    await self._publish(key, value, *together)
                await asyncio.sleep(0)
        except BaseException:
            for acknowledgement in waiting:
                self._buffer.withdraw(acknowledgement)
            raise
        return acknowledgements

    def _arrays(
        self, clicks: Sequence[Click], acknowledgements: Sequence[Acknowledgement]
    ) -> Iterator[tuple[bytes, bytes, list[Acknowledgement]]]:
        """(key, value, acknowledgements) of records that hold the clicks of one partition each."""
        connection, topic = self._connected(), self._settings.topic
        arrays: dict[int, tuple[bytes, list[bytes], list[Acknowledgement]]] = {}
        for click, acknowledgement in zip(clicks, acknowledgements, strict=True):
            key = partition_key(click)
            _, values, together = arrays.setdefault(connection.partition_of(topic, key), (key, [], []))
            values.append(encode(stamped(click)))
            together.append(acknowledgement)
        for key, values, together in arrays.values():
            yield key, values[0] if len(values) == 1 else b"[" + b",".join(values) + b"]", together

    async def _publish(self, key: bytes, value: bytes, *acknowledgements: Acknowledgement) -> None:
        try:
            connection = self._connected()
            sent = await connection.producer.send(self._settings.topic, value, key=key)
        except KafkaError as error:
            for acknowledgement in acknowledgements:
                self._buffer.fail(acknowledgement, str(error))
        except BaseException:
            for acknowledgement in acknowledgements:
                self._buffer.withdraw(acknowledgement)
            raise
        else:
            sent.add_done_callback(partial(self._settle, acknowledgements, connection))

    def _settle(
        self, acknowledgements: Iterable[Acknowledgement], connection: Connection, sent: asyncio.Future[Any]
    ) -> None:
        error = None if sent.cancelled() else sent.exception()
        if error:
            self._renew(connection)
        for acknowledgement in acknowledgements:
            if sent.cancelled() or error:
                self._buffer.fail(acknowledgement, str(error) if error else "the producer was closed")
            else:
                self._buffer.delivered(acknowledgement, sent.result())

    def _renew(self, broken: Connection) -> None:
        """A failed batch leaves a gap in an idempotent producer's sequence: the broker refuses all that follows."""
        if broken.idempotent and broken is self._connection and not self._renewing:
            self._renewing = True
            self._run(self._replace(broken))

    async def _replace(self, broken: Connection) -> None:
        try:
            self._connection = await connect(self._settings, self._delivery_timeout)
        except KafkaError as error:
            log.warning("no new connection after a failed delivery: %s", error)
        else:
            await broken.close()
        finally:
            self._renewing = False

    async def flush(self) -> None:
        """Returns once everything that was sent is acknowledged or has failed."""
        await self._buffer.settled()

    async def close(self) -> None:
        """Flushes and disconnects. Whoever still sends meanwhile gets a RuntimeError."""
        if self._connection is None:
            return
        await self.flush()
        connection, self._connection = self._connection, None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await connection.close()

    def _connected(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the producer is not started: use `async with ClickProducer(...)`")
        return self._connection

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
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

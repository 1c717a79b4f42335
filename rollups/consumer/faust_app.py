"""The Faust app of a worker: its settings, its one agent, and its view of the log."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import faust
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError
from faust.types import TP

from ingest.event.addresses import AddressHasher
from ingest.kafka.admin import ssl_context
from ingest.kafka.reader import read_ranges
from rollups.consumer.faust_transport import BatchSchema, ClickApp
from rollups.consumer.topic import Topic
from rollups.delivery.dead_letters import RecordTooLarge, publish_dead_letters
from rollups.delivery.leases import Leases
from rollups.delivery.server_identity import FEW_CONNECTIONS, SingleServerGuard
from rollups.delivery.shard import Shard
from rollups.kafka_log.tail import fingerprint
from rollups.model import DeadLetter, FetchPosition
from rollups.pipeline import Intake
from rollups.settings import Settings
from rollups.transform.batch_transformer import PreparedBatch

_MIB = 1024 * 1024
_METADATA_MS = 5000  # within this time the group assigns partitions that were added
_READ_BACK_SECONDS, _MAX_READ_BACK_SECONDS = 3.0, 60.0  # at first, and for a distant or slow broker


def build_app(settings: Settings, leases: Leases, intake: Intake, shard: Shard) -> ClickApp:
    """Faust handles group membership, rebalancing and supervision; its agent passes batches to the intake."""
    app = ClickApp(
        shard.group(settings.group),
        clicks_topic=settings.topic,
        leases=leases,
        shard=shard,
        broker=";".join(f"kafka://{host}" for host in settings.kafka_url.split(",")),
        broker_credentials=_credentials(settings),
        consumer_auto_offset_reset="none",  # positions come from ClickHouse; a lost one must be an error, not a reset
        consumer_max_fetch_size=_MIB,
        consumer_metadata_max_age_ms=_METADATA_MS,
        producer_max_request_size=32 * _MIB,  # a dead letter may be as large as the largest record
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.heartbeat_seconds,
        broker_commit_interval=5.0,
        stream_buffer_maxsize=4,
        stream_recovery_delay=0.0,
        stream_wait_empty=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
    )
    topic = app.topic(settings.topic, schema=BatchSchema(), acks=False)

    @app.agent(topic, name="clicks")  # type: ignore[untyped-decorator]
    async def feed(batches: Any) -> None:
        async for batch in batches:
            if position := await intake.put(batch):
                await app.seek({batch.partition: position})

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]
    async def forget(*_: Any, **__: Any) -> None:
        partitions = list(leases.held)
        leases.revoke()
        await app.forget(partitions)

    return app


def _credentials(settings: Settings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    context: ssl.SSLContext | None = ssl_context(settings)
    if settings.kafka_security.startswith("SASL"):
        return faust.SASLCredentials(
            username=settings.kafka_username,
            password=settings.kafka_password,
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context else None


async def send_record(
    app: ClickApp, topic: str, key: bytes | None, value: bytes | None, headers: dict[str, bytes]
) -> None:
    """Returns once the broker has acknowledged the record.

    Raises RecordTooLarge if the topic accepts no record of its size, ConnectionError without an acknowledgement.
    """
    try:
        await (await app.producer.send(topic, key, value, None, None, headers))
    except (KafkaError, ProducerSendError) as error:
        cause = error.__cause__ if isinstance(error, ProducerSendError) else error
        if isinstance(cause, MessageSizeTooLargeError):
            raise RecordTooLarge(f"topic {topic}: {cause}") from error
        raise ConnectionError(f"a record to {topic} was not acknowledged: {cause!r}") from error


class FaustLog:
    """What the parts of a worker need of Kafka, through the consumer thread of the app."""

    def __init__(self, settings: Settings, app: ClickApp, guard: SingleServerGuard, topic: Topic) -> None:
        self._settings = settings
        self.app = app
        self._guard = guard
        self._topic = topic
        self._addresses = AddressHasher(settings.visitor_secret, keep=settings.keep_addresses)
        self._read_back_seconds = _READ_BACK_SECONDS

    async def check_source(self) -> None:
        """Raises SourceReplaced; SeveralServers if the database is no longer the same server."""
        await asyncio.to_thread(self._guard.check, FEW_CONNECTIONS)
        await self._topic.check_source(self.app.leases.held)

    async def confirm(self, batches: list[PreparedBatch]) -> None:
        await self._topic.check_source(self.app.leases.held)
        self._topic.mark(batches)

    async def publish_dead_letters(self, partition: int, letters: list[DeadLetter]) -> None:
        send = partial(send_record, self.app, self._settings.dead_topic)
        hidden = [letter.hide_addresses(self._addresses) for letter in letters]
        await publish_dead_letters(send, self._settings.topic, partition, hidden)

    def _tps(self, partitions: Iterable[int]) -> list[TP]:
        return [TP(self.app.clicks_topic, partition) for partition in partitions]

    async def bounds(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        tps = self._tps(partitions)
        if not tps:
            return {}
        first = await self.app.consumer.earliest_offsets(*tps)
        end = await self.app.consumer.highwaters(*tps)
        fetched = await self.app.consumer._thread.high_watermarks()
        return {tp.partition: (first[tp], max(end[tp], fetched.get(tp.partition, 0))) for tp in tps}

    async def fingerprints(self, stretches: Mapping[int, tuple[int, int]]) -> Mapping[int, Mapping[int, int]]:
        found: dict[int, dict[int, int]] = {partition: {} for partition in stretches}

        def note(record: Any) -> None:
            found[record.partition][record.offset] = fingerprint(record.timestamp, record.key, record.value)

        whole = await read_ranges(self._settings, self.app.clicks_topic, stretches, note, self._read_back_seconds)
        in_time = len(whole) == len(stretches)
        longer = min(2 * self._read_back_seconds, _MAX_READ_BACK_SECONDS)
        self._read_back_seconds = _READ_BACK_SECONDS if in_time else longer
        return {partition: found[partition] for partition in whole}

    async def seek(self, positions: Mapping[int, FetchPosition]) -> None:
        await self.app.seek(positions)

    async def empty_tails(self) -> dict[int, tuple[int, int]]:
        return await self.app.consumer._thread.empty_tails()  # type: ignore[no-any-return]

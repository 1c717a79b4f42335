"""Connection options, our topics, and waiting for a broker."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError as KafkaError  # for layers that do not import aiokafka
from aiokafka.errors import TopicAlreadyExistsError, for_code

from ingest.backoff import Backoff
from ingest.kafka.topic_findings import log_once, warn_of_findings
from ingest.kafka.topic_id import TopicDescription, describe_topic
from ingest.settings import Settings

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 16 * 1024 * 1024
_MAX_PAUSE = 10.0  # seconds between attempts to reach a broker
_DESCRIBE_TIMEOUT_SECONDS = 5.0
_SETTLE_SECONDS = 2.0
_DESCRIBE_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class TopicSpec:
    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def topics(settings: Settings) -> list[TopicSpec]:
    """The topics that Clickmill creates if they are missing."""
    retention_ms = settings.retention_hours * 3_600_000
    shared = {"max.message.bytes": str(MAX_RECORD_BYTES), "message.timestamp.type": "LogAppendTime"}
    return [
        TopicSpec(settings.topic, settings.partitions, {**shared, "retention.ms": str(retention_ms)}),
        # Dead letters are few and wait for an operator: one partition keeps them in order, four times as long.
        TopicSpec(settings.dead_topic, 1, {**shared, "retention.ms": str(4 * retention_ms)}),
    ]


def client_options(settings: Settings) -> dict[str, Any]:
    """Keyword arguments with which any aiokafka client connects."""
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_url,
        "security_protocol": settings.kafka_security,
        "ssl_context": ssl_context(settings),
    }
    if settings.kafka_security.startswith("SASL"):
        arguments |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password,
        }
    return arguments


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    if not settings.kafka_security.endswith("SSL"):
        return None
    return ssl.create_default_context(cafile=str(settings.kafka_ca_file) if settings.kafka_ca_file else None)


async def admin_client(settings: Settings) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
    except BaseException:
        await admin.close()
        raise
    return admin


async def wait_for_broker(settings: Settings, stop: asyncio.Event) -> None:
    """Returns once a broker responds, or `stop` is set; logs each failed attempt."""
    backoff = Backoff(0.1, _MAX_PAUSE)
    while not stop.is_set():
        try:
            admin = await admin_client(settings)
        except (KafkaError, OSError) as error:
            level = logging.WARNING if backoff.seconds > 0.5 else logging.INFO
            log.log(
                level,
                "Kafka at %s is not reachable, trying again in %.1f s: %s",
                settings.kafka_url,
                backoff.seconds,
                error,
            )
        else:
            await admin.close()
            return
        await backoff.wait(stop)


async def ensure_topics(settings: Settings) -> None:
    """Creates missing topics; warns of problems of existing ones without changing them. Raises KafkaError."""
    admin = await admin_client(settings)
    try:
        for spec in topics(settings):
            await _create(admin, spec, settings.replication)
        partitions = await _partitions(admin, settings)
        if partitions < settings.partitions:
            log_once(
                logging.WARNING,
                f"topic {settings.topic} has {partitions} partitions, fewer than the {settings.partitions} of "
                "CLICKMILL_PARTITIONS; it is used as it is",
            )
        await warn_of_findings(admin, settings, MAX_RECORD_BYTES)
    finally:
        await admin.close()


async def _partitions(admin: AIOKafkaAdminClient, settings: Settings) -> int:
    """Partitions of the topic. Kafka lists new ones with a delay, so too few are queried again for a moment."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        [found] = await admin.describe_topics([settings.topic])
        partitions = len(found["partitions"])
        if partitions >= settings.partitions or time.monotonic() > deadline:
            return partitions
        await asyncio.sleep(0.1)


async def _create(admin: AIOKafkaAdminClient, spec: TopicSpec, replication: int) -> None:
    topic = NewTopic(spec.name, spec.partitions, replication, topic_configs=spec.config)
    response = await admin.create_topics([topic])
    for name, code, *message in response.topic_errors:
        if code == 0:
            log.info("created topic %s with %d partitions", name, spec.partitions)
        elif code != TopicAlreadyExistsError.errno:
            raise for_code(code)(f"topic {name} cannot be created: {' '.join(map(str, message))}")


class TopicWatcher:
    """Describes one topic repeatedly over a kept connection. For one event loop."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings, self._topic = settings, topic
        self._admin: AIOKafkaAdminClient | None = None
        self._one_at_a_time = asyncio.Lock()

    async def describe(self) -> TopicDescription:
        """The topic as a broker describes it now. ConnectionError if Kafka is away; the next call reconnects."""
        async with self._one_at_a_time:
            for attempts_left in reversed(range(_DESCRIBE_ATTEMPTS)):  # one broker of several may just have gone
                try:
                    async with asyncio.timeout(_DESCRIBE_TIMEOUT_SECONDS):
                        self._admin = self._admin or await admin_client(self._settings)
                        return await describe_topic(self._admin, self._topic)
                except (KafkaError, OSError) as error:
                    await self._disconnect()
                    if not attempts_left:
                        where = f"Kafka at {self._settings.kafka_url}"
                        raise ConnectionError(f"{where} does not say what topic {self._topic} is: {error}") from error
        raise AssertionError("unreachable")

    async def close(self) -> None:
        async with self._one_at_a_time:
            await self._disconnect()

    async def _disconnect(self) -> None:
        admin, self._admin = self._admin, None
        if admin:
            await admin.close()


async def topic_identity(settings: Settings, topic: str) -> tuple[str, str]:
    """(cluster id, topic id), which identify one incarnation of a topic. ConnectionError if Kafka is away."""
    watch = TopicWatcher(settings, topic)
    try:
        found = await watch.describe()
        return found.cluster_id, found.topic_id
    finally:
        await watch.close()

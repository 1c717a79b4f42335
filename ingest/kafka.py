"""Kafka as every part sees it: how to connect, which topics there are, and waiting for a broker that is away."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from ingest.settings import Settings
from ingest.topic_id import topic_id

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 16 * 1024 * 1024
_LAST_BACKOFF = 10.0


@dataclass(frozen=True, slots=True)
class TopicSpec:
    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def topics(settings: Settings) -> list[TopicSpec]:
    """The topics that Clickmill creates where they are missing."""
    retention_ms = settings.retention_hours * 3_600_000
    shared = {"max.message.bytes": str(MAX_RECORD_BYTES), "message.timestamp.type": "LogAppendTime"}
    return [
        TopicSpec(settings.topic, settings.partitions, {**shared, "retention.ms": str(retention_ms)}),
        # Dead letters are few and wait for people: one partition keeps them in order, four times as long.
        TopicSpec(settings.dead_topic, 1, {**shared, "retention.ms": str(4 * retention_ms)}),
    ]


def connection(settings: Settings) -> dict[str, Any]:
    """Keyword arguments by which any aiokafka client connects."""
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


async def _admin(settings: Settings) -> AIOKafkaAdminClient:
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
    except BaseException:
        await admin.close()
        raise
    return admin


async def wait_for_broker(settings: Settings, stop: asyncio.Event) -> None:
    """Returns once a broker answers, or `stop` is set; says which one is away meanwhile."""
    backoff = 0.1
    while not stop.is_set():
        try:
            admin = await _admin(settings)
        except (KafkaError, OSError) as error:
            level = logging.WARNING if backoff > 0.5 else logging.INFO
            log.log(
                level,
                "Kafka at %s is not reachable, trying again in %.1f s: %s",
                settings.kafka_url,
                backoff,
                error,
            )
        else:
            await admin.close()
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), backoff)
        backoff = min(backoff * 2, _LAST_BACKOFF)


async def ensure_topics(settings: Settings) -> None:
    """Creates the topics that are missing; those that exist are left as they are."""
    admin = await _admin(settings)
    try:
        for spec in topics(settings):
            await _create(admin, spec, settings.replication)
        found = await admin.describe_topics([settings.topic])
        partitions = len(found[0]["partitions"])
        if partitions < settings.partitions:
            log.warning(
                "topic %s has %d partitions, fewer than the %d of CLICKMILL_PARTITIONS; it is used as it is",
                *(settings.topic, partitions, settings.partitions),
            )
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, spec: TopicSpec, replication: int) -> None:
    topic = NewTopic(spec.name, spec.partitions, replication, topic_configs=spec.config)
    response = await admin.create_topics([topic])
    for name, code, *message in response.topic_errors:
        if code == 0:
            log.info("created topic %s with %d partitions", name, spec.partitions)
        elif code != TopicAlreadyExistsError.errno:
            raise for_code(code)(f"topic {name} cannot be created: {' '.join(map(str, message))}")


async def topic_identity(settings: Settings, topic: str) -> tuple[str, str]:
    """(cluster id, topic id): together they name one incarnation of a topic. ConnectionError if Kafka is away."""
    try:
        admin = await _admin(settings)
        try:
            cluster = await admin.describe_cluster()
            return str(cluster["cluster_id"]), await topic_id(admin._client, topic)
        finally:
            await admin.close()
    except KafkaError as error:
        raise ConnectionError(f"Kafka at {settings.kafka_url} does not say what topic {topic} is: {error}") from error

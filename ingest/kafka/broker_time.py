"""The broker's clock, read from the acknowledgement of a small record."""

from __future__ import annotations

from aiokafka.errors import KafkaError

from ingest.kafka.producer_connection import connect_producer
from ingest.settings import Settings

CLOCK = "clock"  # header of the record, which is no dead letter
_LOG_APPEND_TIME = 1


async def publish_clock_note(settings: Settings, seconds: float = 5.0) -> int | None:
    """Publishes a note to the dead letters and returns the time (Unix ms) at which the broker appended it.

    None if producers set the timestamps of that topic. ConnectionError if the broker does not acknowledge within
    `seconds`.
    """
    try:
        async with await connect_producer(settings, seconds) as notes:
            written = await notes.producer.send_and_wait(settings.dead_topic, b"", headers=[(CLOCK, b"")])
    except KafkaError as error:
        raise ConnectionError(
            f"Kafka at {settings.kafka_url} takes no note into {settings.dead_topic}: {error}"
        ) from error
    return int(written.timestamp) if written.timestamp_type == _LOG_APPEND_TIME and written.timestamp > 0 else None

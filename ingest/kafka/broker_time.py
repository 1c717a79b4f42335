"""The broker's time, as the acknowledgement of a small record tells it."""

from __future__ import annotations

from aiokafka.errors import KafkaError

from ingest.kafka.producer_connection import connect_producer
from ingest.settings import Settings

CLOCK = "clock"  # the header of the record, which is no dead letter
_LOG_APPEND_TIME = 1


async def append_time(settings: Settings, seconds: float = 5.0) -> int | None:
    """The time (ms) at which the broker has just appended a note to the dead letters.

    None if producers set the times of that topic. Raises ConnectionError if the broker does not take it in so long.
    """
    try:
        notes = await connect_producer(settings, seconds)
        try:
            written = await notes.producer.send_and_wait(settings.dead_topic, b"", headers=[(CLOCK, b"")])
        finally:
            await notes.close()
    except KafkaError as error:
        raise ConnectionError(
            f"Kafka at {settings.kafka_url} takes no note into {settings.dead_topic}: {error}"
        ) from error
    return int(written.timestamp) if written.timestamp_type == _LOG_APPEND_TIME and written.timestamp > 0 else None

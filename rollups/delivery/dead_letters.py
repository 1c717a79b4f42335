"""Publishes dead letters to `<topic>.dead`, with their origin and reason, and reads them back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ingest.errors import InvalidInput
from ingest.kafka.admin import MAX_RECORD_BYTES
from ingest.kafka.reader import fetched_bounds, read_ranges, read_topic
from rollups.model import DeadLetter
from rollups.settings import Settings

REPLAYED = "replayed"  # header of a note that a letter was replayed
_MAX_KEY_BYTES = 32 * 1024
_MAX_MESSAGE_LENGTH = 500  # characters
_READ_SECONDS = 20.0
# Tried in turn: a topic that others created may accept less, and a dead letter must not stop its partition.
_MAX_BYTES = (MAX_RECORD_BYTES - 64 * 1024, 900_000, 32 * 1024)


class RecordTooLarge(InvalidInput):
    """The topic accepts no record of this size."""


Send = Callable[[bytes | None, bytes | None, dict[str, bytes]], Awaitable[None]]


async def publish_dead_letters(send: Send, topic: str, partition: int, letters: Iterable[DeadLetter]) -> None:
    """Returns once all are acknowledged. `send` publishes (key, value, headers), or raises RecordTooLarge.

    Headers, UTF-8: `topic`, `partition`, `offset` and, for an item of an array, `index` of the origin; `reason`
    (invalid, future), `error` (which fault) and `message`. Bytes that the topic does not accept are cut off; the
    original size is in `truncated`. A letter may be published twice: readers merge by origin.
    """
    await asyncio.gather(*[_publish(send, topic, partition, letter) for letter in letters])


async def _publish(send: Send, topic: str, partition: int, letter: DeadLetter) -> None:
    size = len(letter.raw or b"")
    sizes = [min(size, _MAX_BYTES[0]), *(most for most in _MAX_BYTES[1:] if most < size)]
    for most, with_key in [*((most, True) for most in sizes), (0, False)]:
        try:
            await send(*_record(topic, partition, letter, most, with_key))
            return
        except RecordTooLarge as error:
            refusal = error
    raise refusal


def _record(
    topic: str, partition: int, letter: DeadLetter, most: int, with_key: bool
) -> tuple[bytes | None, bytes | None, dict[str, bytes]]:
    """(key, value, headers) with at most `most` bytes of the letter."""
    headers = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(letter.offset),
        "reason": letter.reason.name.lower(),
        "error": letter.error,
        "message": letter.message[:_MAX_MESSAGE_LENGTH],
    }
    if letter.index is not None:
        headers["index"] = str(letter.index)
    if letter.raw is not None and len(letter.raw) > most:
        headers["truncated"] = str(len(letter.raw))
    key = letter.key if with_key and len(letter.key or b"") <= _MAX_KEY_BYTES else None
    value = letter.raw and letter.raw[:most]
    if key is None and value is None:
        value = b""  # the client refuses a record without both
    return key, value, {name: text.encode(errors="replace") for name, text in headers.items()}


@dataclass(frozen=True, slots=True)
class PublishedDeadLetter:
    """A dead letter as read back. `index` is its position in an array of events, None for a whole record.

    `size` is the number of bytes in the topic, of which `raw` may be the first only.
    """

    id: str
    topic: str
    partition: int
    offset: int
    index: int | None
    reason: str
    error: str
    message: str
    published_ms: int
    raw: bytes | None
    size: int
    key: bytes | None  # of the original record

    @property
    def origin(self) -> str:
        place = f"{self.topic}/{self.partition}/{self.offset}"
        return place if self.index is None else f"{place}[{self.index}]"


class PublishedDeadLetters:
    """The letters of a dead-letter topic, one for each origin. Add its records in order.

    `most` is how many bytes of a letter are kept; None: all.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._letters: dict[str, PublishedDeadLetter] = {}
        self._replayed: set[str] = set()

    def add(self, record: Any) -> None:
        """Adds an aiokafka ConsumerRecord; ignores one that is neither letter nor note."""
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        if REPLAYED in headers:
            self._replayed.add(headers[REPLAYED])
        elif "reason" in headers and headers.get("partition", "").isdecimal():
            letter = _from_record(headers, record, self._most)
            self._letters.setdefault(letter.id, letter)

    def all(self, error: str) -> list[PublishedDeadLetter]:
        """Letters with this error, replayed or not."""
        return [letter for letter in self._letters.values() if letter.error == error]

    def open(self, reasons: Iterable[str] = ()) -> list[PublishedDeadLetter]:
        """Letters that were not replayed, in order, with one of these reasons; all reasons if none is given."""
        wanted = set(reasons)
        return [
            letter
            for letter in self._letters.values()
            if letter.id not in self._replayed and (not wanted or letter.reason in wanted)
        ]


async def read_dead_letters(settings: Settings) -> PublishedDeadLetters:
    """Reads the whole dead-letter topic, which must exist. Raises KafkaError of aiokafka if the broker is away."""
    letters = PublishedDeadLetters()
    async for records in read_topic(settings, settings.dead_topic):
        for record in records:
            letters.add(record)
    return letters


async def read_newest_dead_letters(settings: Settings, most: int, most_bytes: int) -> tuple[PublishedDeadLetters, bool]:
    """The last records of each partition of the dead-letter topic, at most `most`, with `most_bytes` of each.

    False: there are older ones, or not all came in time. A topic that does not exist has none. Raises KafkaError of
    aiokafka if the broker is away.
    """
    letters = PublishedDeadLetters(most_bytes)
    bounds = await fetched_bounds(settings, settings.dead_topic)
    ranges = {partition: (max(first, end - most), end) for partition, (first, end, _) in bounds.items() if end > first}
    read = await read_ranges(settings, settings.dead_topic, ranges, letters.add, _READ_SECONDS) if ranges else set()
    return letters, read == ranges.keys() and all(start == bounds[p][0] for p, (start, _) in ranges.items())


def _from_record(headers: dict[str, str], record: Any, most: int | None) -> PublishedDeadLetter:
    index = int(headers["index"]) if headers.get("index", "").isdecimal() else None
    origin = "\0".join(headers.get(name, "") for name in ("topic", "partition", "offset", "index"))
    # The id covers the bytes too: a recreated topic has the same offsets for other records.
    digest = hashlib.blake2b(origin.encode() + b"\0" + (record.value or b""), digest_size=12)
    return PublishedDeadLetter(
        id=digest.hexdigest(),
        topic=headers.get("topic", ""),
        partition=int(headers["partition"]),
        offset=int(headers.get("offset", "0")),
        index=index,
        reason=headers["reason"],
        error=headers.get("error", ""),
        message=headers.get("message", ""),
        published_ms=record.timestamp,
        raw=None if record.value is None else record.value[:most],
        size=len(record.value or b""),
        key=record.key,
    )

"""Dead letters as they are read back: folded by where they came from, less those that were replayed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ingest.kafka.reader import read_topic
from rollups.settings import Settings

REPLAYED = "replayed"  # the header of a note that a letter was published again


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `index` is its place in an array of events, None if it was the whole record."""

    id: str
    topic: str
    partition: int
    offset: int
    index: int | None
    reason: str
    error: str
    message: str
    buried_ms: int
    raw: bytes | None
    key: bytes | None  # of the record that it comes from

    @property
    def origin(self) -> str:
        place = f"{self.topic}/{self.partition}/{self.offset}"
        return place if self.index is None else f"{place}[{self.index}]"


class Letters:
    """The letters of a dead-letter topic. Add its records in order."""

    def __init__(self) -> None:
        self._letters: dict[str, Letter] = {}
        self._replayed: set[str] = set()

    def add(self, record: Any) -> None:
        """Takes an aiokafka ConsumerRecord; those that are neither letter nor note are passed over."""
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        if REPLAYED in headers:
            self._replayed.add(headers[REPLAYED])
        elif "reason" in headers and headers.get("partition", "").isdecimal():
            letter = _letter(headers, record)
            self._letters.setdefault(letter.id, letter)

    def all(self, error: str) -> list[Letter]:
        """Letters with this error, replayed or not."""
        return [letter for letter in self._letters.values() if letter.error == error]

    def open(self, reasons: Iterable[str] = ()) -> list[Letter]:
        """Letters that were not replayed, in the order in which they came, of these reasons or of all."""
        wanted = set(reasons)
        return [
            letter
            for letter in self._letters.values()
            if letter.id not in self._replayed and (not wanted or letter.reason in wanted)
        ]


async def read_dead_letters(settings: Settings) -> Letters:
    """The whole topic of dead letters, which must exist. Raises aiokafka's KafkaError if the broker is away."""
    letters = Letters()
    async for records in read_topic(settings, settings.dead_topic):
        for record in records:
            letters.add(record)
    return letters


def _letter(headers: dict[str, str], record: Any) -> Letter:
    index = int(headers["index"]) if headers.get("index", "").isdecimal() else None
    origin = "\0".join(headers.get(name, "") for name in ("topic", "partition", "offset", "index"))
    # With the bytes, as a topic that was made again has the same offsets for other records.
    digest = hashlib.blake2b(origin.encode() + b"\0" + (record.value or b""), digest_size=12)
    return Letter(
        id=digest.hexdigest(),
        topic=headers.get("topic", ""),
        partition=int(headers["partition"]),
        offset=int(headers.get("offset", "0")),
        index=index,
        reason=headers["reason"],
        error=headers.get("error", ""),
        message=headers.get("message", ""),
        buried_ms=record.timestamp,
        raw=record.value,
        key=record.key,
    )

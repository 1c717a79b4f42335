"""Dead letters: what could not be counted goes to `<topic>.dead`, with its origin and its reason."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ingest.event import split_array
from ingest.event.addresses import AddressHasher
from ingest.kafka.admin import MAX_RECORD_BYTES
from rollups.transform.decode import Decoded, Reason

_MOST_APART = 20  # items of one record that get a letter each; what else is wrong with it shares one
_MOST_KEY_BYTES = 32 * 1024
_MOST_MESSAGE = 500  # characters
# What is tried in turn: a topic made by somebody else may take less than ours, and no letter may stop a partition.
_MOST_BYTES = (MAX_RECORD_BYTES - 64 * 1024, 900_000, 32 * 1024)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be counted, and where it came from.

    `raw` is the record's value; or the item at `index` of it, if it is an array; or, where more of its items are wrong
    than get a letter each, an array of the others.
    """

    offset: int
    reason: Reason
    error: str
    message: str
    raw: bytes | None
    index: int | None
    key: bytes | None

    def hide_addresses(self, addresses: AddressHasher) -> DeadLetter:
        """The same letter for the topic, where it is kept for longer than events are."""
        return self if self.raw is None else replace(self, raw=addresses.hide_addresses(self.raw))


def dead_letters(decoded: Decoded) -> list[DeadLetter]:
    """The letters of a batch, in log order, at most a few for each record."""
    ends = np.cumsum(decoded.counts)
    rows_of: defaultdict[int, list[int]] = defaultdict(list)
    rows = sorted(decoded.problems)
    for row, number in zip(rows, np.searchsorted(ends, rows, "right").tolist(), strict=True):
        rows_of[number].append(row)
    return [letter for number, rows in rows_of.items() for letter in _of_record(decoded, number, rows)]


def _of_record(decoded: Decoded, number: int, rows: list[int]) -> Iterator[DeadLetter]:
    log, count = decoded.batch.records, int(decoded.counts[number])
    value, key, offset = log.values[number], log.keys[number], log.offsets[number]
    items = split_array(value)
    if items is None or len(items) != count:  # it was taken as a whole
        yield DeadLetter(offset, *decoded.problems[rows[0]], value, None, key)
        return
    first = int(np.sum(decoded.counts[:number]))
    for row in rows[:_MOST_APART]:
        yield DeadLetter(offset, *decoded.problems[row], items[row - first], row - first, key)
    others: defaultdict[Reason, list[int]] = defaultdict(list)
    for row in rows[_MOST_APART:]:
        others[decoded.problems[row][0]].append(row)
    for reason, alike in others.items():
        _, error, message = decoded.problems[alike[0]]
        together = b"[" + b",".join(items[row - first] for row in alike) + b"]"
        yield DeadLetter(offset, reason, error, f"{len(alike)} items; the first: {message}", together, None, key)


class RecordTooLarge(Exception):
    """The topic takes no record of this size."""


Send = Callable[[bytes | None, bytes | None, dict[str, bytes]], Awaitable[None]]


async def publish(send: Send, topic: str, partition: int, letters: Iterable[DeadLetter]) -> None:
    """Returns once all are acknowledged. `send` publishes (key, value, headers), or raises RecordTooLarge.

    Headers, UTF-8: `topic`, `partition`, `offset` and, for an item of an array, `index` of the origin; `reason`
    (invalid, future), `error` (which fault) and `message`. Bytes that the topic does not take are cut, with their size
    in `truncated`. A replay may repeat a letter: readers fold by origin.
    """
    await asyncio.gather(*[_publish(send, topic, partition, letter) for letter in letters])


async def _publish(send: Send, topic: str, partition: int, letter: DeadLetter) -> None:
    size = len(letter.raw or b"")
    sizes = [min(size, _MOST_BYTES[0]), *(most for most in _MOST_BYTES[1:] if most < size)]
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
    """(key, value, headers) with at most so many bytes of the letter."""
    headers = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(letter.offset),
        "reason": letter.reason.name.lower(),
        "error": letter.error,
        "message": letter.message[:_MOST_MESSAGE],
    }
    if letter.index is not None:
        headers["index"] = str(letter.index)
    if letter.raw is not None and len(letter.raw) > most:
        headers["truncated"] = str(len(letter.raw))
    key = letter.key if with_key and len(letter.key or b"") <= _MOST_KEY_BYTES else None
    value = letter.raw and letter.raw[:most]
    if key is None and value is None:
        value = b""  # a record without both is refused by the client
    return key, value, {name: text.encode(errors="replace") for name, text in headers.items()}

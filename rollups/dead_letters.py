"""Dead letters: what could not be counted goes to `<topic>.dead`, whole, with its origin and its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from ingest.kafka import MAX_RECORD_BYTES
from rollups.decode import DeadLetter

_MOST_KEY_BYTES = 32 * 1024
_MOST_BYTES = MAX_RECORD_BYTES - 64 * 1024  # room for headers and key

Send = Callable[[bytes | None, bytes | None, dict[str, bytes]], Awaitable[Awaitable[object]]]


async def publish(send: Send, topic: str, partition: int, letters: Iterable[DeadLetter]) -> None:
    """Returns once the broker has acknowledged all of them.

    Headers, UTF-8: `topic`, `partition`, `offset` and, for an item of an array, `index` of the origin; `reason`
    (invalid, future), `error` (which fault) and `message`. Bytes that came compressed and are too many for a record of
    their own are cut, with their size in `truncated`. A replay may repeat a letter: readers fold by origin.
    """
    acknowledgements = []
    for letter in letters:
        headers = {
            "topic": topic,
            "partition": str(partition),
            "offset": str(letter.offset),
            "reason": letter.reason.name.lower(),
            "error": letter.error,
            "message": letter.message,
        }
        if letter.index is not None:
            headers["index"] = str(letter.index)
        if letter.raw is not None and len(letter.raw) > _MOST_BYTES:
            headers["truncated"] = str(len(letter.raw))
        key = letter.key if len(letter.key or b"") <= _MOST_KEY_BYTES else None
        encoded = {name: text.encode() for name, text in headers.items()}
        acknowledgements.append(await send(key, letter.raw and letter.raw[:_MOST_BYTES], encoded))
    await asyncio.gather(*acknowledgements)

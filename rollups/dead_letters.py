"""Dead letters: what could not be counted goes to `<topic>.dead`, whole, with its origin and its reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from rollups.decode import DeadLetter

Send = Callable[[bytes | None, bytes | None, dict[str, bytes]], Awaitable[Awaitable[object]]]


async def publish(send: Send, topic: str, partition: int, letters: Iterable[DeadLetter]) -> None:
    """Returns once the broker has acknowledged all of them.

    Headers, UTF-8: `topic`, `partition`, `offset` and, for an item of an array, `index` of the origin; `reason`
    (invalid, future), `error` (which fault) and `message`. A replay may repeat a letter: readers fold by origin.
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
        encoded = {name: text.encode() for name, text in headers.items()}
        acknowledgements.append(await send(letter.key, letter.raw, encoded))
    await asyncio.gather(*acknowledgements)

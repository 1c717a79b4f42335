"""`X-Data-As-Of`: the time of the log up to which everything is counted."""

from __future__ import annotations

import time
from collections.abc import Callable

from api.dates import iso_utc
from rollups.store import Store

HEADER = "X-Data-As-Of"
REMEMBERED_SECONDS = 0.5

_AS_OF = """
SELECT toUnixTimestamp64Milli(min(as_of)) FROM watermarks
WHERE source = (
    SELECT source FROM sources FINAL WHERE topic = {topic:String}
    ORDER BY first_seen DESC, source DESC LIMIT 1
)
"""


class Freshness:
    """The least `as_of` over the partitions of the newest source. Thread-safe: two threads may both look.

    Take the header before reading the data: what is read later holds at least that much.
    """

    def __init__(self, store: Store, topic: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._topic = topic
        self._clock = clock
        self._latest: tuple[float, dict[str, str]] | None = None

    def header(self) -> dict[str, str]:
        """The header, none at all as long as some partition has no time yet. May block on the store."""
        now = self._clock()
        if self._latest and now - self._latest[0] < REMEMBERED_SECONDS:
            return self._latest[1]
        milliseconds = self._store.query(_AS_OF, {"topic": self._topic})[0][0]
        header = {HEADER: iso_utc(milliseconds / 1000)} if milliseconds else {}
        self._latest = (now, header)
        return header

"""When each key was last used: noted in memory, written in batches, shown in listings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock

from rollups.clickhouse import ClickHouse, ClickHouseError

log = logging.getLogger(__name__)

WRITE_SECONDS = 60.0


class KeyUses:
    """Thread-safe. A process that is killed forgets the uses of its last minute."""

    def __init__(self, db: ClickHouse, clock: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._noted: dict[str, int] = {}
        self._written_at = clock()
        self._lock = Lock()

    def note(self, key_id: str) -> bool:
        """Remembers a use of now; whether it is time to `write`, which the first one to hear it does."""
        now = self._clock()
        self._noted[key_id] = int(now)
        with self._lock:
            due = not 0 <= now - self._written_at < WRITE_SECONDS
            if due:
                self._written_at = now
        return due

    def write(self) -> None:
        """Writes what was noted since the last time; what cannot be written is kept. May block on ClickHouse."""
        noted, self._noted = self._noted, {}
        try:
            if noted:
                self._db.insert("key_uses", list(noted.items()), ["id", "used_at"])
        except ClickHouseError as error:
            log.warning("the last uses of %d keys could not be written: %s", len(noted), error)
            self._noted = {**noted, **self._noted}

    def read(self) -> dict[str, int]:
        """Seconds since 1970 by key id, those of this process included."""
        rows = self._db.query("SELECT id, toUnixTimestamp(max(used_at)) FROM key_uses GROUP BY id")
        return {**dict(rows), **self._noted}

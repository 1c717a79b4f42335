"""What a partition remembers to recognise duplicates, kept in step with what ClickHouse has applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ingest.event import clicked_at_ms
from rollups.columns import hash64
from rollups.decode import Reason, Row
from rollups.dedupe import Hashes, Minutes, SeenIds


@dataclass(slots=True)
class Pending:
    """Ids of a batch whose insert has not been answered yet."""

    end: int
    minutes: Minutes
    hashes: Hashes
    log_minute: int


class PartitionMemory:
    """The ids of all records before `next`. A batch joins them when it is applied, and never otherwise."""

    def __init__(self, horizon_minutes: int) -> None:
        self._horizon = horizon_minutes
        self._seen = SeenIds(horizon_minutes)
        self._next = 0
        self._pending: Pending | None = None

    def mark_duplicates(self, rows: list[Row], end: int) -> None:
        """Gives rows whose event id came before the reason DUPLICATE; `end` is where the batch ends."""
        known = [row for row in rows if row.click is not None and row.click.event_id]
        minutes = np.array([clicked_at_ms(row.click) // 60_000 for row in known if row.click], np.int64)
        hashes = np.array([hash64((row.click.event_id or "").encode()) for row in known if row.click], np.uint64)
        repeated = self._seen.duplicates(minutes, hashes)
        for row, is_repeated in zip(known, repeated.tolist(), strict=True):
            if is_repeated:
                row.reason = Reason.DUPLICATE
        log_minute = max((row.log_time_ms for row in rows), default=0) // 60_000
        self._pending = Pending(end, minutes[~repeated], hashes[~repeated], log_minute)

    def applied(self, upto: int) -> None:
        """ClickHouse has applied everything before `upto`: take the batch over, or start afresh if it is not ours."""
        pending, self._pending = self._pending, None
        if upto == self._next:
            return
        if pending is not None and pending.end == upto:
            self._seen.add(pending.minutes, pending.hashes, pending.log_minute)
        else:
            self._seen = SeenIds(self._horizon)
        self._next = upto

"""Change detection: which responses may have changed since the last poll of the database, and the data watermark."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from rollups.clickhouse import ClickHouse

_AS_OF = """
SELECT toUnixTimestamp64Milli(min(as_of)) FROM watermarks
WHERE source = (
    SELECT source FROM sources FINAL WHERE topic = {topic:String}
    ORDER BY first_seen DESC, source DESC LIMIT 1
)
"""

# Parts of a table are immutable, so the same parts hold the same rows. An insert makes the part with the next block
# number, and a merge keeps the highest one of its parts; a Replicated table numbers parts before they are visible.
_PARTS = """
SELECT table, groupBitXor(cityHash64(name)), maxIf(max_block_number, engine NOT LIKE 'Replicated%') FROM system.parts
WHERE active AND database = currentDatabase()
  AND table IN ('rollup', 'accounts', 'links', 'groups', 'publishers', 'advertisers', 'networks')
GROUP BY table
"""

# One statement, so one list of parts: a part that it does not see has a higher number than the one that it returns.
_CHANGED_DAYS = """
SELECT max(toInt64(splitByChar('_', _part)[3])), min(day) FROM rollup
WHERE toInt64(splitByChar('_', _part)[3]) > {block:Int64} AND grain IN ('link_hour', 'account_hour', 'affiliate_day')
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one poll found, compared with the snapshot before it.

    `as_of`, in seconds since 1970, is the time of the log up to which every click is counted, both in queries after
    the poll and in earlier responses that it does not invalidate. None: no worker has told.
    """

    as_of: float | None = None
    changed_from: date | None = None  # the first day with new clicks; None: there are none
    all_changed: bool = False  # or cannot be told
    catalog_changed: bool = False
    block: int = 0
    catalog: Mapping[str, int] = field(default_factory=dict)

    def invalidates(self, last_day: date | None) -> bool:
        """Whether a response about days up to `last_day` may have changed. None: it depends on the catalogue only."""
        if self.all_changed:
            return True
        return self.changed_from is not None and last_day is not None and last_day >= self.changed_from


class ChangeDetector:
    """Polls the database for changes. Blocks."""

    def __init__(self, db: ClickHouse, topic: str) -> None:
        self._db = db
        self._topic = topic

    def poll(self, before: Snapshot | None) -> Snapshot:
        # The time first: later queries see at least the clicks up to it.
        milliseconds = self._db.query(_AS_OF, {"topic": self._topic})[0][0]
        as_of = min(milliseconds / 1000, time.time()) if milliseconds else None
        parts = {table: (content, block) for table, content, block in self._db.query(_PARTS)}
        _, block = parts.pop("rollup", (0, 0))
        catalog = {table: content for table, (content, _) in parts.items()}
        catalog_changed = before is None or catalog != before.catalog
        # An empty, Distributed or Replicated table has no block number.
        if before is None or catalog_changed or not before.block or not block:
            return Snapshot(as_of, all_changed=True, catalog_changed=catalog_changed, block=block, catalog=catalog)
        if block <= before.block:
            return Snapshot(as_of, block=before.block, catalog=catalog)
        latest, day = self._db.query(_CHANGED_DAYS, {"block": before.block})[0]
        # No rows: the parts hold markers only.
        return Snapshot(as_of, changed_from=day if latest else None, block=latest or block, catalog=catalog)

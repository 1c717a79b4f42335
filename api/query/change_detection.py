"""Change detection: what may have changed between two polls of the database, and the data watermark."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal, get_args

from rollups.clickhouse import ClickHouse

NEWEST_SOURCE = """(
    SELECT source FROM sources FINAL WHERE topic = {topic:String}
    ORDER BY first_seen DESC, source DESC LIMIT 1
)"""
_AS_OF = f"SELECT toUnixTimestamp64Milli(min(as_of)), sum(next) FROM watermarks WHERE source = {NEWEST_SOURCE}"

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
_CHANGED_OWNERS = """
SELECT grain::String, owner, min(day) FROM rollup
WHERE toInt64(splitByChar('_', _part)[3]) > {block:Int64}
  AND (grain = 'account_hour' AND owner IN {account_hour:Array(UInt64)}
    OR grain = 'affiliate_day' AND owner IN {affiliate_day:Array(UInt64)})
GROUP BY grain, owner
"""

Grain = Literal["account_hour", "affiliate_day"]


@dataclass(frozen=True, slots=True)
class ClickOwner:
    """Whose clicks, by the grain that has all of them: an account's by hour, a publisher's by day."""

    grain: Grain
    id: int


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
    position: int = 0  # the records of the log that are counted, over all partitions
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
        [(milliseconds, position)] = self._db.query(_AS_OF, {"topic": self._topic})
        as_of = min(milliseconds / 1000, time.time()) if milliseconds else None
        parts = {table: (content, block) for table, content, block in self._db.query(_PARTS)}
        _, block = parts.pop("rollup", (0, 0))
        catalog = {table: content for table, (content, _) in parts.items()}
        catalog_changed = before is None or catalog != before.catalog
        found = Snapshot(as_of, block=block, position=position, catalog=catalog)
        # An empty, Distributed or Replicated table has no block number.
        if before is None or catalog_changed or not before.block or not block:
            return replace(found, all_changed=True, catalog_changed=catalog_changed)
        if block <= before.block:
            return replace(found, block=before.block)
        latest, day = self._db.query(_CHANGED_DAYS, {"block": before.block})[0]
        # No rows: the parts hold markers only.
        return replace(found, changed_from=day if latest else None, block=latest or block)

    def changed_owners(
        self, before: Snapshot, after: Snapshot, owners: Collection[ClickOwner | None]
    ) -> dict[ClickOwner | None, date | None]:
        """Those of the owners whose clicks may have changed between two snapshots, with the first day that did.

        None among the owners stands for all of them, and None in the place of a day for any day, the catalogue
        included.
        """
        if after.catalog != before.catalog:
            return dict.fromkeys(owners)
        if not before.block or not after.block:  # no part tells what is new
            moved = (after.block, after.position) != (before.block, before.position)
            return dict.fromkeys(owners) if moved else {}
        if after.block == before.block:
            return {}
        changed: dict[ClickOwner | None, date | None] = {}
        if None in owners:
            latest, day = self._db.query(_CHANGED_DAYS, {"block": before.block})[0]
            changed |= {None: day} if latest else {}
        if known := [owner for owner in owners if owner]:
            ids = {grain: [owner.id for owner in known if owner.grain == grain] for grain in get_args(Grain)}
            rows = self._db.query(_CHANGED_OWNERS, {"block": before.block, **ids})
            changed |= {ClickOwner(grain, owner): day for grain, owner, day in rows}
        return changed

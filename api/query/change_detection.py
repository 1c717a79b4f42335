"""What has changed in the database, looked up at most twice a second: the base of every answer from memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from api.dates import iso_utc
from rollups.clickhouse import ClickHouse

HEADER = "X-Data-As-Of"
NOTHING, EVERYTHING = date.max, date.min

_AS_OF = """
SELECT toUnixTimestamp64Milli(min(as_of)) FROM watermarks
WHERE source = (
    SELECT source FROM sources FINAL WHERE topic = {topic:String}
    ORDER BY first_seen DESC, source DESC LIMIT 1
)
"""

# Parts of a table are never changed in place: other parts, other content. An insert makes the part with the next block
# number, and a merge keeps the highest of its parts; a Replicated table numbers parts before they can be seen.
_PARTS = """
SELECT table, groupBitXor(cityHash64(name)), maxIf(max_block_number, engine NOT LIKE 'Replicated%') FROM system.parts
WHERE active AND database = currentDatabase()
  AND table IN ('rollup', 'accounts', 'links', 'groups', 'publishers', 'advertisers', 'networks')
GROUP BY table
"""

# One statement, so one list of parts: what it does not see yet has a higher number than what it returns.
_CHANGED_DAYS = """
SELECT max(toInt64(splitByChar('_', _part)[3])), min(day) FROM rollup
WHERE toInt64(splitByChar('_', _part)[3]) > {block:Int64} AND grain IN ('link_hour', 'account_hour', 'affiliate_day')
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one poll found.

    `header` says up to which time of the log everything is counted, in what is read after this poll as well as in
    what an earlier one has found and this one has not found changed. Days before `changed_from` have not changed
    since the poll before.
    """

    header: Mapping[str, str]
    changed_from: date
    catalog_changed: bool
    block: int = 0  # the newest of the rollups that was seen, 0 if they do not tell
    catalog: Mapping[str, int] = field(default_factory=dict)  # what stands for the content of each table


class ChangeDetector:
    """Looks at the database. May block on ClickHouse."""

    def __init__(self, db: ClickHouse, topic: str) -> None:
        self._db = db
        self._topic = topic

    def poll(self, before: Snapshot | None) -> Snapshot:
        # The time first: what is read later holds at least that much.
        milliseconds = self._db.query(_AS_OF, {"topic": self._topic})[0][0]
        header = {HEADER: iso_utc(min(milliseconds / 1000, time.time()))} if milliseconds else {}
        parts = {table: (content, block) for table, content, block in self._db.query(_PARTS)}
        _, block = parts.pop("rollup", (0, 0))
        catalog = {table: content for table, (content, _) in parts.items()}
        if before is None or catalog != before.catalog:
            return Snapshot(header, EVERYTHING, True, block, catalog)
        changed_from, block = self._changed(before.block, block)
        return Snapshot(header, changed_from, False, block, catalog)

    def _changed(self, seen: int, block: int) -> tuple[date, int]:
        """The first day that changed after the block `seen`, and the newest block now. There is no block number in
        an empty table, nor in one whose parts say nothing: a Distributed or Replicated one."""
        if not seen or not block:
            return EVERYTHING, block
        if block <= seen:
            return NOTHING, seen
        latest, day = self._db.query(_CHANGED_DAYS, {"block": seen})[0]
        return (day, latest) if latest else (NOTHING, block)  # no rows: parts with markers only

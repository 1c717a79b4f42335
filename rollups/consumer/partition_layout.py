"""The number of partitions of the topic: if it grows, keys move to partitions that do not know them.

Clicks with one key go to one partition, which detects duplicates. After a growth each producer, once it notices, sends
some keys to other partitions. Clicks that may repeat an earlier one are counted, and as unverified.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from rollups.clickhouse import ClickHouse
from rollups.model import Reason
from rollups.transform.batch_transformer import PreparedBatch

log = logging.getLogger(__name__)

_PRODUCERS_NOTICE = timedelta(minutes=5)  # clients of Kafka refresh their metadata this often

# Partitions of the source, or of the topic's previous incarnation, whose keys are known too; from the markers if the
# number was never noted.
_BEFORE = """
WITH (
    SELECT argMax(source, (source = {source:UInt32}, first_seen)) FROM sources FINAL
    WHERE topic = {topic:String} AND source IN (
        SELECT source FROM topic_partitions UNION DISTINCT SELECT source FROM watermarks
    )
) AS before
SELECT coalesce(
    nullIf((SELECT max(partitions) FROM topic_partitions WHERE source = before), 0),
    (SELECT max(toUInt32(partition)) + (count() > 0) FROM watermarks WHERE source = before)
)
"""

_UNTIL = """
SELECT max(unverified_until) FROM topic_partitions
WHERE source IN (SELECT source FROM sources WHERE topic = {topic:String})
"""


class Layout:
    """The number of partitions of one source, shared by its workers through the database. `note` blocks."""

    def __init__(self, db: ClickHouse, source: int, topic: str, horizon_minutes: int) -> None:
        self._db = db
        self._scope = {"source": source, "topic": topic}
        # A key is known for one and a half horizons at most.
        self._moves = timedelta(minutes=1.5 * horizon_minutes) + _PRODUCERS_NOTICE
        self.partitions = 0  # noted, and taken into account
        self._unverified_until_ms = 0

    def note(self, partitions: int) -> None:
        """Notes the number of partitions that a broker reports. A lower number comes from a broker that is behind."""
        if partitions <= self.partitions:
            return
        if not self._is_noted(partitions):
            self._note(partitions)
        [(until,)] = self._db.query(_UNTIL, self._scope)
        self._unverified_until_ms = int(until.replace(tzinfo=UTC).timestamp() * 1000)
        self.partitions = partitions

    def _is_noted(self, partitions: int) -> bool:
        found = self._db.query(
            "SELECT 1 FROM topic_partitions WHERE source = {source:UInt32} AND partitions = {partitions:UInt32}",
            {**self._scope, "partitions": partitions},
        )
        return bool(found)

    def _note(self, partitions: int) -> None:
        [(before,)] = self._db.query(_BEFORE, self._scope)
        now = datetime.now(UTC)
        until = datetime.fromtimestamp(0, UTC)
        if before not in (0, partitions):
            until = now + self._moves
            log.warning(
                "topic %s has %d partitions now, and had %d: clicks that the log takes in until %s are counted as "
                "unverified",
                *(self._scope["topic"], partitions, before, f"{until:%Y-%m-%d %H:%M} UTC"),
            )
        self._db.insert(
            "topic_partitions",
            [(self._scope["source"], partitions, now, until)],
            ["source", "partitions", "noted_at", "unverified_until"],
        )

    def mark(self, batch: PreparedBatch) -> None:
        """Marks clicks as unverified if their key may have been in another partition before."""
        moved = batch.settled_ms < self._unverified_until_ms
        if not moved.any():
            return
        verified = batch.table["verified"].to_numpy() & ~moved
        place = batch.table.schema.get_field_index("verified")
        batch.table = batch.table.set_column(place, "verified", pa.array(verified))
        batch.unverified = int(np.count_nonzero(~verified & (batch.table["reason"].to_numpy() == Reason.COUNTED)))

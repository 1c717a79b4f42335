"""Marks of a log: fingerprints of some counted records, for the audit to compare with the log later.

A broker that was restored from an older copy assigns offsets again. Once the watermark has moved on, only marks show
that the log before it is not the one that was counted.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rollups.clickhouse import ClickHouse
from rollups.kafka_log.tail import fingerprint
from rollups.model import Records

MARK_SECONDS = 30.0

_SPREAD = """
SELECT source, partition, offset, crc FROM
(
    SELECT source, partition, offset, crc,
        row_number() OVER (PARTITION BY source, partition ORDER BY offset DESC) - 1 AS place,
        count() OVER (PARTITION BY source, partition) AS marks
    FROM log_marks
)
WHERE place % intDiv(marks + {most:UInt32} - 1, {most:UInt32}) = 0
"""


class Marks:
    """Writes a mark of each partition, at most twice a minute: of its newest applied record."""

    def __init__(self, db: ClickHouse, source: int) -> None:
        self._db = db
        self._source = source
        self._due: dict[int, float] = {}
        # (offset, CRC) of two batches, as the newer one may not be applied yet
        self._noted: defaultdict[int, deque[tuple[int, int]]] = defaultdict(lambda: deque(maxlen=2))

    def note(self, partition: int, records: Records) -> None:
        """Notes the last of some records that are about to be applied."""
        if len(records):
            crc = fingerprint(records.log_times_ms[-1], records.keys[-1], records.values[-1])
            self._noted[partition].append((records.offsets[-1], crc))

    def write(self, applied: Mapping[int, int]) -> None:
        """Writes marks that are due, given the next offset to apply of each partition. Blocks."""
        now, at = time.monotonic(), datetime.now(UTC)
        ready = {}
        for partition, noted in list(self._noted.items()):
            before = [mark for mark in noted if mark[0] < applied.get(partition, 0)]
            if before and now >= self._due.get(partition, 0.0):
                ready[partition] = max(before)
        if ready:
            rows = [(self._source, partition, offset, crc, at) for partition, (offset, crc) in ready.items()]
            self._db.insert("log_marks", rows, ["source", "partition", "offset", "crc", "noted_at"])
        for partition in ready:
            self._due[partition] = now + MARK_SECONDS
            newer = [mark for mark in self._noted[partition] if mark > ready[partition]]
            self._noted[partition] = deque(newer, maxlen=2)


def fingerprint_of(record: Any) -> int:
    """The fingerprint of an aiokafka ConsumerRecord."""
    return fingerprint(record.timestamp, record.key, record.value)


def marks(db: ClickHouse, most: int) -> list[tuple[int, int, int, int]]:
    """(source, partition, offset, CRC) of at most `most` marks per partition: the newest and some before. Blocks."""
    return [(s, p, offset, crc) for s, p, offset, crc in db.query(_SPREAD, {"most": most})]

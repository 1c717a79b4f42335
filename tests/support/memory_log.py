"""A Kafka log in memory, for driving claims and the pipeline without a broker."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rollups.delivery.sources import SourceReplaced
from rollups.kafka_log.tail import fingerprint
from rollups.model import LOG_APPEND_TIME, DeadLetter, FetchedBatch, FetchPosition, Lease, Records
from rollups.transform.batch_transformer import PreparedBatch

LOG_TIME_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


@dataclass(slots=True)
class Record:
    offset: int
    value: bytes | None
    timestamp: int = LOG_TIME_MS
    key: bytes | None = b"key"
    partition: int = 0
    timestamp_type: int = LOG_APPEND_TIME


@dataclass
class MemoryLog:
    """Partitions as lists of records. `first`: the offset where each log starts (retention)."""

    partitions: dict[int, list[Record]] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)
    sought: dict[int, FetchPosition] = field(default_factory=dict)
    replaced: bool = False
    dead: list[tuple[int, DeadLetter]] = field(default_factory=list)  # (partition, letter), published
    slow: set[int] = field(default_factory=set)  # partitions whose fetch times out

    def append(
        self,
        partition: int,
        value: bytes | dict[str, object] | list[object] | None,
        at: int = LOG_TIME_MS,
        key: bytes | None = b"key",
        kind: int = LOG_APPEND_TIME,
    ) -> None:
        records = self.partitions.setdefault(partition, [])
        raw = json.dumps(value).encode() if isinstance(value, dict | list) else value
        records.append(Record(self.end(partition), raw, at, key, partition, kind))

    def end(self, partition: int) -> int:
        return self.first.get(partition, 0) + len(self.partitions.get(partition, []))

    async def bounds(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        return {p: (self.first.get(p, 0), self.end(p)) for p in partitions}

    async def check_source(self) -> None:
        if self.replaced:
            raise SourceReplaced("the topic was created again")

    async def confirm(self, batches: list[PreparedBatch]) -> None:
        """Any batch may be inserted."""

    async def publish_dead_letters(self, partition: int, letters: list[DeadLetter]) -> None:
        self.dead.extend((partition, letter) for letter in letters)

    async def fingerprints(self, stretches: Mapping[int, tuple[int, int]]) -> Mapping[int, Mapping[int, int]]:
        return {
            partition: {
                record.offset: fingerprint(record.timestamp, record.key, record.value)
                for record in self.partitions.get(partition, [])
                if start <= record.offset < end
            }
            for partition, (start, end) in stretches.items()
            if end <= self.end(partition) and partition not in self.slow
        }

    async def seek(self, positions: Mapping[int, FetchPosition]) -> None:
        self.sought.update(positions)

    def fetch(self, lease: Lease, most: int | None = None) -> FetchedBatch:
        """The result of a fetch from the lease's position, which it moves."""
        assert lease.position is not None
        start = lease.position.offset
        skip = start - self.first.get(lease.partition, 0)
        records = self.partitions.get(lease.partition, [])[skip:][:most]
        lease.position.offset = start + len(records)
        return FetchedBatch(lease.partition, lease.position, start, start + len(records), Records().add(records))

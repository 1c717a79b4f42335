"""The ledger against the log: its lag, and whether the log is still the one that was counted."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploy.settings import Settings
from ingest.kafka.admin import topic_identity
from ingest.kafka.reader import log_bounds, peek, raise_ends
from rollups.delivery.sources import source_number
from rollups.kafka_log.marks import fingerprint_of
from rollups.model import LATE_SECONDS

Marks = dict[int, dict[int, int]]  # CRCs by partition and offset


@dataclass(slots=True)
class LogView:
    """The topic as the broker reports it: its source, the bounds of its partitions, problems and notes.

    `bounds` are (first offset, end, offset committed by the group). `notes` are no problems.
    """

    source: int
    bounds: dict[int, tuple[int, int, int | None]]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def compare_with_log(settings: Settings, report: Mapping[str, Any]) -> LogView:
    """Compares the report of `GET /admin/audit` with the log. Raises KafkaError and ConnectionError."""
    cluster_id, topic_id = await topic_identity(settings, settings.topic)
    bounds = await log_bounds(settings, settings.topic)
    view = LogView(source_number(cluster_id, settings.topic, topic_id), bounds)
    accounts = {a["partition"]: a for a in report["partitions"] if a["source"] == view.source}
    watermarks = {p: accounts[p]["watermark"] if p in accounts else 0 for p in bounds}
    low = [partition for partition, (_, end, _) in bounds.items() if end < watermarks[partition]]
    await raise_ends(settings, settings.topic, bounds, low)
    view.problems += _bounds_problems(view, watermarks)
    view.problems += await _late(settings, view, accounts, watermarks)
    view.problems += _troubles(view, report["troubles"], watermarks)
    view.problems += await _marks_problems(settings, view, marks_of(report, view.source))
    view.notes += _growths(settings, view.source, report["growths"])
    return view


def _bounds_problems(view: LogView, watermarks: Mapping[int, int]) -> Iterable[str]:
    for partition, (first, end, _) in view.bounds.items():
        watermark = watermarks[partition]
        if watermark and first > watermark:
            yield (
                f"partition {partition}: offsets {watermark} to {first - 1} were lost to retention before they were "
                "counted"
            )
        if end < watermark:
            yield (
                f"partition {partition}: the log ends at {end}, before the watermark {watermark}: it is not the log "
                "that was counted (an older copy?)"
            )


async def _late(
    settings: Settings, view: LogView, accounts: Mapping[int, Any], watermarks: Mapping[int, int]
) -> list[str]:
    """Partitions with records that were not counted within a minute. Only those that are behind need a fetch."""
    behind = {}
    for partition, (first, end, _) in view.bounds.items():
        read_ms = accounts[partition]["as_of_ms"] if partition in accounts else 0
        if end > max(first, watermarks[partition]) and time.time() - read_ms / 1000 > LATE_SECONDS:
            behind[partition] = max(first, watermarks[partition])
    found = await peek(settings, settings.topic, behind)
    problems = [f"partition {partition} does not respond to a fetch" for partition in behind.keys() - found.keys()]
    for partition, found_at in found.items():
        age = time.time() - found_at.record.timestamp / 1000 if found_at.record else 0.0
        if age > LATE_SECONDS:
            records = view.bounds[partition][1] - behind[partition]
            note = "" if partition in accounts else "; no worker has counted anything of it"
            problems.append(
                f"partition {partition}: {records} records are not counted, the oldest for {age:.0f} s{note}"
            )
    return problems


def _troubles(view: LogView, troubles: Iterable[Mapping[str, Any]], watermarks: Mapping[int, int]) -> Iterable[str]:
    """Problems that workers report, except lateness that has ended since."""
    for trouble in troubles:
        partition, state = trouble["partition"], trouble["state"]
        if trouble["source"] != view.source or partition not in view.bounds:
            continue
        if state != "late" or view.bounds[partition][1] > watermarks[partition]:
            yield f"partition {partition} is {state} since {_utc(trouble['since_ms'])}: {trouble['why']}"


def marks_of(report: Mapping[str, Any], source: int) -> Marks:
    marks: Marks = defaultdict(dict)
    for found_in, partition, offset, crc in report["marks"]:
        if found_in == source:
            marks[partition][offset] = crc
    return marks


async def _marks_problems(settings: Settings, view: LogView, marks: Marks) -> list[str]:
    """Compares marks with the records at their offsets, where the log still has these."""
    there = {}
    for partition, crcs in marks.items():
        first, end, _ = view.bounds.get(partition, (0, 0, None))
        there[partition] = [offset for offset in sorted(crcs) if first <= offset < end]
    problems: dict[int, str] = {}
    while sampled := {partition: offsets.pop() for partition, offsets in there.items() if offsets}:
        for partition, found_at in (await peek(settings, settings.topic, sampled)).items():
            offset, record = sampled[partition], found_at.record
            if record is None or (record.offset, fingerprint_of(record)) != (offset, marks[partition][offset]):
                problems.setdefault(partition, another_log(partition, offset))
    return list(problems.values())


def another_log(partition: int, offset: int) -> str:
    return (
        f"partition {partition}: at offset {offset} the log has something else than what was counted: it was restored "
        "from an older copy, or records were removed"
    )


def _growths(settings: Settings, source: int, growths: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for growth in growths:
        if growth["source"] == source:
            yield (
                f"topic {settings.topic} has {growth['partitions']} partitions since {_utc(growth['noted_ms'])}, and "
                f"had another number before: clicks until {_utc(growth['unverified_until_ms'])} are unverified"
            )


def _utc(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"

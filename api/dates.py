"""Dates in requests, responses and the rollup, and the hours of a local day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

FIRST_DAY = date(1970, 1, 1)
LAST_DAY = date(2149, 6, 6)  # the range of ClickHouse's Date, so of all clicks

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_day(text: str | None) -> date | None:
    """The date of a strict `YYYY-MM-DD`, None for any other text."""
    if text is None or not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def stored_range(start: date, end: date) -> tuple[date, date] | None:
    """The part of a range that the rollup can hold, None if there is none."""
    if end < FIRST_DAY or start > LAST_DAY:
        return None
    return max(start, FIRST_DAY), min(end, LAST_DAY)


@dataclass(frozen=True, slots=True)
class LocalHour:
    """An hour, 0 to 23, of a local day: its start and end in seconds since 1970 (UTC).

    An hour that is repeated, or longer, because the clock is set back ends with its repetition.
    """

    hour: int
    starts: int
    ends: int


@lru_cache(maxsize=1024)
def local_hours(day: date, zone: ZoneInfo) -> tuple[LocalHour, ...]:
    """The hours of which at least a minute exists on that day; none for a day that the zone skipped."""
    return tuple(found for hour in range(24) if (found := _local_hour(day, hour, zone)))


def _local_hour(day: date, hour: int, zone: ZoneInfo) -> LocalHour | None:
    midnight = (day - FIRST_DAY).days * 86_400
    offsets = [_offsets(day, hour, minute, zone) for minute in (0, 59)]
    if len({offset for pair in offsets for offset in pair}) == 1:  # the clock does not change in this hour
        starts = midnight + hour * 3600 - offsets[0][0]
        return LocalHour(hour, starts, starts + 3600)
    moments = []
    for minute in range(60):
        before, after = _offsets(day, hour, minute, zone)
        if before >= after:  # otherwise it lies in the gap of a clock set forward (PEP 495)
            wall = midnight + hour * 3600 + minute * 60
            moments += [wall - before, wall - after]
    return LocalHour(hour, min(moments), max(moments) + 60) if moments else None


def _offsets(day: date, hour: int, minute: int, zone: ZoneInfo) -> tuple[int, int]:
    """The UTC offset of a wall clock time in seconds, at its first and at its second occurrence."""
    wall = datetime.combine(day, time(hour, minute), zone)
    before, after = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    return int(before.total_seconds()), int(after.total_seconds())


def iso_utc(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC with milliseconds: `2026-03-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""The hours of a local day, also of one on which the clock is set forward or back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from api.dates import FIRST_DAY


@dataclass(frozen=True, slots=True)
class LocalHour:
    """An hour, 0 to 23, of a local day: its start and end in seconds since 1970 (UTC).

    An hour that is repeated, or longer, because the clock is set back ends with its repetition, which begins at
    `repeated_at`.
    """

    hour: int
    starts: int
    ends: int
    repeated_at: int | None = None


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
    moments, repeated = [], []
    for minute in range(60):
        before, after = _offsets(day, hour, minute, zone)
        if before >= after:  # otherwise it lies in the gap of a clock set forward (PEP 495)
            wall = midnight + hour * 3600 + minute * 60
            moments += [wall - before, wall - after]
        if before > after:
            repeated.append(wall - after)
    return LocalHour(hour, min(moments), max(moments) + 60, min(repeated, default=None)) if moments else None


def _offsets(day: date, hour: int, minute: int, zone: ZoneInfo) -> tuple[int, int]:
    """The UTC offset of a wall clock time in seconds, at its first and at its second occurrence."""
    wall = datetime.combine(day, time(hour, minute), zone)
    before, after = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    return int(before.total_seconds()), int(after.total_seconds())

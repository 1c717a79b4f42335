"""The buckets of a series in local time, those that they are compared with, and where both are cut. Pure functions.

Times of the wall clock are *wall hours*, counted from 1970 in halves: 48 a day, even ones for its hours, and an odd one
after an hour for its repetition when the clock is set back. What the clock does not show has no length.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

from api.dates import FIRST_DAY
from api.local_hours import local_hours
from rollups.model import REPEATED

Interval = Literal["hour", "day", "week", "month"]
Comparison = Literal["previous", "weekday", "year"]


HOUR, DAY = 2, 48
# As the rollup has them: a repeated hour is REPEATED higher.
WALL_HOUR = f"toInt32(day) * {DAY} + hour % {REPEATED} * {HOUR} + intDiv(hour, {REPEATED})"


def wall_hour(day: date, hour: int = 0) -> int:
    return (day - FIRST_DAY).days * DAY + hour * HOUR


def day_of(wall: int) -> date:
    return FIRST_DAY + timedelta(days=wall // DAY)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets in a row: the first wall hour of each, and the one after the last."""

    starts: Sequence[int]
    end: int

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Start and end of each bucket. They are equal where a comparison has no such time."""
        return pairwise([*self.starts, self.end])

    def start_of(self, wall: int) -> int:
        """The start of the bucket that has this wall hour."""
        return self.starts[bisect_right(self.starts, wall) - 1]


def buckets(first: date, end: int, interval: Interval, zone: ZoneInfo) -> Buckets:
    """The buckets from the first day to a wall hour. Weeks begin on Mondays; the first and the last may be cut off."""
    days = [first + timedelta(days=number) for number in range(-(-(end - wall_hour(first)) // DAY))]
    match interval:
        case "hour":
            starts = [wall for day in days for wall in _hours(day, zone)][1:]
        case "day":
            starts = [wall_hour(day) for day in days]
        case "week":
            starts = [wall_hour(day) for day in days if day.weekday() == 0]
        case "month":
            starts = [wall_hour(day) for day in days if day.day == 1]
    inner = [start for start in starts if wall_hour(first) < start < end]
    return Buckets([wall_hour(first), *inner] if days else [], end)


def _hours(day: date, zone: ZoneInfo) -> Iterator[int]:
    for local in local_hours(day, zone):
        yield wall_hour(day, local.hour)
        if local.repeated_at is not None:
            yield wall_hour(day, local.hour) + 1


def compared(given: Buckets, first: date, last: date, comparison: Comparison) -> Buckets:
    """The buckets that those of the range from `first` to `last` are compared with, one for each."""
    length = (last - first).days + 1
    match comparison:
        case "previous":
            days = length
        case "weekday":
            days = -(-length // 7) * 7
        case "year":
            return Buckets([_a_year_before(start) for start in given.starts], _a_year_before(given.end))
    return Buckets([start - days * DAY for start in given.starts], given.end - days * DAY)


def _a_year_before(wall: int) -> int:
    """The same date of the year before. 29 February has none: its hours are the moment before 1 March."""
    day = day_of(wall)
    if (day.month, day.day) == (2, 29):
        return wall_hour(date(day.year - 1, 3, 1))
    return wall_hour(day.replace(year=day.year - 1)) + wall % DAY


def cut_hour(last: date, moment: float, zone: ZoneInfo, *, whole_days: bool) -> int | None:
    """The wall hour at which a comparison is cut, so that no hour, or day, is compared with a part of one.

    None for a range that has ended at that moment, in seconds since 1970.
    """
    local = datetime.fromtimestamp(moment, zone)
    if last < local.date():
        return None
    return wall_hour(local.date()) if whole_days else wall_hour(local.date(), local.hour) + local.fold


def instant(wall: int, zone: ZoneInfo) -> int:
    """When a wall hour begins, in seconds since 1970; for one that the clock skips, when the next one does."""
    day, hour, repeated = day_of(wall), wall % DAY // HOUR, wall % HOUR
    if wall % DAY == 0:
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
    midnight = instant(wall_hour(day + timedelta(days=1)), zone)
    for local in local_hours(day, zone):
        if repeated and local.hour == hour and local.repeated_at is not None:
            return min(local.repeated_at, midnight)  # a clock set back over midnight shows the rest of a day again
        if local.hour >= hour + repeated:
            return local.starts
    return midnight

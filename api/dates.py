"""Days as callers write them and as the rollup stores them, and the hours that a local day has."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

FIRST_DAY = date(1970, 1, 1)
LAST_DAY = date(2149, 6, 6)  # the range of ClickHouse's Date; outside of it there can be no clicks

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def parse_day(text: str | None) -> date | None:
    """The date of a strict `YYYY-MM-DD`, else None."""
    if text is None or not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def stored_range(start: date, end: date) -> tuple[date, date] | None:
    """The part of a range that the rollup can hold, None if it can hold nothing of it."""
    if end < FIRST_DAY or start > LAST_DAY:
        return None
    return max(start, FIRST_DAY), min(end, LAST_DAY)


def local_hours(day: date, zone: ZoneInfo) -> list[int]:
    """The hours 0-23 of which a minute exists on that local day; one that comes twice is listed once."""
    return [hour for hour in range(24) if any(_exists(day, hour, minute, zone) for minute in range(60))]


def _exists(day: date, hour: int, minute: int, zone: ZoneInfo) -> bool:
    """False in the gap of a clock set forward, where the offset before is less than after (PEP 495)."""
    wall = datetime.combine(day, time(hour, minute), zone)
    before, after = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    assert before is not None
    assert after is not None
    return before >= after


def iso_utc(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC with milliseconds: `2026-03-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

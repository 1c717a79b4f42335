"""Dates in requests, responses and the rollup."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

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


def iso_utc(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC with milliseconds: `2026-03-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Local hours, compared with an oracle that goes through a day minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.local_hours import LocalHour, local_hours

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
    "Pacific/Kiritimati",
]


def walked_hours(day: date, zone: ZoneInfo) -> list[LocalHour]:
    """Every minute of real time around the day, on a clock of the zone."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
    moments = [start + timedelta(minutes=minute) for minute in range(54 * 60)]
    hours: dict[int, list[int]] = {}
    repeated: dict[int, int] = {}
    for moment in moments:
        local = moment.astimezone(zone)
        if local.date() == day:
            hours.setdefault(local.hour, []).append(int(moment.timestamp()))
            if local.fold:
                repeated.setdefault(local.hour, int(moment.timestamp()))
    return [
        LocalHour(hour, min(minutes), max(minutes) + 60, repeated.get(hour)) for hour, minutes in sorted(hours.items())
    ]


@settings(max_examples=60)
@given(day=st.dates(date(1990, 1, 1), date(2037, 12, 31)), zone=st.sampled_from(ZONES))
def test_local_hours_of_any_day(day: date, zone: str) -> None:
    assert local_hours(day, ZoneInfo(zone)) == tuple(walked_hours(day, ZoneInfo(zone)))


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
        ("Australia/Lord_Howe", date(2026, 10, 4)),
        ("Australia/Lord_Howe", date(2026, 4, 5)),
        ("Africa/Cairo", date(2026, 4, 24)),
        ("Pacific/Apia", date(2011, 12, 30)),
        ("America/St_Johns", date(2006, 4, 2)),
        ("America/St_Johns", date(2006, 10, 28)),
        ("America/St_Johns", date(2006, 10, 29)),
        ("America/St_Johns", date(1988, 4, 3)),
        ("Antarctica/Troll", date(2026, 3, 29)),
        ("Asia/Gaza", date(2011, 4, 1)),
    ],
)
def test_local_hours_of_days_on_which_the_clock_changes(zone: str, day: date) -> None:
    assert local_hours(day, ZoneInfo(zone)) == tuple(walked_hours(day, ZoneInfo(zone)))

"""Buckets in local time: their ends, the days on which clocks change, alignment of comparisons, and the cut."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dates import FIRST_DAY
from api.insights.buckets import (
    DAY,
    HOUR,
    Buckets,
    Comparison,
    Interval,
    buckets,
    compared,
    cut_hour,
    day_of,
    instant,
    wall_hour,
)
from tests.support import some

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo"]
AUTUMN = date(2026, 10, 25)


def day(text: str) -> date:
    return date.fromisoformat(text)


def whole(first: str, last: str, interval: Interval, zone: ZoneInfo = BERLIN) -> Buckets:
    return buckets(day(first), wall_hour(day(last)) + DAY, interval, zone)


def days(found: Buckets) -> list[str]:
    return [str(day_of(start)) for start in found.starts]


@pytest.mark.parametrize(
    ("on", "count", "hours"),
    [
        pytest.param("2026-03-28", 24, 24, id="usual"),
        pytest.param("2026-03-29", 23, 23, id="forward"),
        pytest.param("2026-10-25", 25, 25, id="back"),
    ],
)
def test_hours_of_a_day(on: str, count: int, hours: int) -> None:
    found = whole(on, on, "hour")
    assert len(found.starts) == count
    assert instant(found.end, BERLIN) - instant(found.starts[0], BERLIN) == hours * 3600


def test_a_skipped_hour_belongs_to_the_hour_before() -> None:
    found = whole("2026-03-29", "2026-03-29", "hour")
    assert [start % DAY // HOUR for start in found.starts[:4]] == [0, 1, 3, 4]
    assert found.start_of(wall_hour(day("2026-03-29"), 2)) == wall_hour(day("2026-03-29"), 1)


def test_a_repeated_hour_is_two_buckets() -> None:
    found = whole(str(AUTUMN), str(AUTUMN), "hour")
    starts = [datetime.fromtimestamp(instant(start, BERLIN), BERLIN).isoformat()[11:] for start in found.starts[1:5]]
    assert starts == ["01:00:00+02:00", "02:00:00+02:00", "02:00:00+01:00", "03:00:00+01:00"]


def test_a_repeated_hour_is_compared_with_nothing() -> None:
    given = whole(str(AUTUMN), str(AUTUMN), "hour")
    before = compared(given, AUTUMN, AUTUMN, "previous")
    start, end = list(before.pairs())[3]
    assert instant(start, BERLIN) == instant(end, BERLIN)


@pytest.mark.parametrize(("moment", "starts"), [("00:30:00", 2), ("01:30:00", 3)])
def test_the_cut_of_a_day_on_which_the_clock_is_set_back(moment: str, starts: int) -> None:
    at = datetime.fromisoformat(f"{AUTUMN}T{moment}+00:00").timestamp()
    cut = cut_hour(AUTUMN, at, BERLIN, whole_days=False)
    assert cut is not None
    assert len(buckets(AUTUMN, cut, "hour", BERLIN).starts) == starts


def test_weeks_begin_on_mondays_and_months_on_the_first() -> None:
    assert days(whole("2026-03-25", "2026-04-07", "week")) == ["2026-03-25", "2026-03-30", "2026-04-06"]
    assert days(whole("2026-03-25", "2026-05-01", "month")) == ["2026-03-25", "2026-04-01", "2026-05-01"]


@pytest.mark.parametrize(
    ("comparison", "first", "last"),
    [
        ("previous", "2026-03-01", "2026-03-10"),
        ("weekday", "2026-02-25", "2026-03-06"),
        ("year", "2025-03-11", "2025-03-20"),
    ],
)
def test_what_ten_days_are_compared_with(comparison: Comparison, first: str, last: str) -> None:
    given = whole("2026-03-11", "2026-03-20", "day")
    found = compared(given, day("2026-03-11"), day("2026-03-20"), comparison)
    assert (days(found)[0], days(found)[-1], str(day_of(found.end - 1))) == (first, last, last)


def test_29_february_has_no_date_a_year_before() -> None:
    given = whole("2028-02-28", "2028-03-01", "hour")
    pairs = list(compared(given, day("2028-02-28"), day("2028-03-01"), "year").pairs())
    assert [pair for pair in pairs[24:48] if pair[0] != pair[1]] == []
    assert len(pairs) == 72
    assert sum(end - start for start, end in pairs) == 2 * DAY


@pytest.mark.parametrize(
    ("moment", "cut", "daily"),
    [
        ("2026-03-30T10:59:59+02:00", "2026-03-30 10", "2026-03-30 0"),
        ("2026-03-30T00:30:00+02:00", "2026-03-30 0", "2026-03-30 0"),
        ("2026-03-31T00:00:00+02:00", None, None),
    ],
)
def test_a_range_that_has_not_ended_is_cut(moment: str, cut: str | None, daily: str | None) -> None:
    at = datetime.fromisoformat(moment).timestamp()
    for expected, whole_days in ((cut, False), (daily, True)):
        found = cut_hour(day("2026-03-30"), at, BERLIN, whole_days=whole_days)
        assert expected == (None if found is None else f"{day_of(found)} {found % DAY // HOUR}")


@given(
    st.sampled_from(ZONES),
    st.sampled_from(get_args(Interval)),
    st.sampled_from([None, *get_args(Comparison)]),
    st.dates(date(2015, 1, 1), date(2030, 1, 1)),
    st.integers(1, 60),
    st.integers(1, 24 * 60),
)
def test_buckets_have_each_moment_once(
    name: str, interval: Interval, comparison: Comparison | None, first: date, length: int, hours: int
) -> None:
    zone, last = ZoneInfo(name), first + timedelta(days=length - 1)
    given = buckets(first, min(wall_hour(first) + hours * HOUR, wall_hour(last) + DAY), interval, zone)
    found = given if comparison is None else compared(given, first, last, comparison)
    assert len(found.starts) == len(given.starts)
    edges = [instant(wall, zone) for wall in [*found.starts, found.end]]
    assert edges == sorted(edges)
    assert [*found.starts, found.end] == sorted([*found.starts, found.end])
    if comparison is None:
        assert edges[0] == datetime(first.year, first.month, first.day, tzinfo=zone).timestamp()
    longest = {"hour": 3, "day": 1.1 * 24, "week": 7 * 24 + 2, "month": 31 * 24 + 2}[interval] * 3600
    leap = 24 * 3600 if comparison == "year" else 0
    assert all(b - a <= longest + leap for a, b in some(pairwise(edges)))


def test_wall_hours_count_from_1970() -> None:
    assert (wall_hour(FIRST_DAY, 5), day_of(29 * HOUR), day_of(-1)) == (5 * HOUR, date(1970, 1, 2), date(1969, 12, 31))

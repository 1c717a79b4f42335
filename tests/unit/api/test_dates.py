"""Dates in requests, responses and the rollup."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dates import FIRST_DAY, LAST_DAY, iso_utc, parse_day, stored_range


@given(day=st.dates())
def test_a_day_is_read_back_as_written(day: date) -> None:
    assert parse_day(day.isoformat()) == day


def test_the_stored_range_is_what_clickhouse_can_hold() -> None:
    one = timedelta(days=1)
    assert stored_range(FIRST_DAY - one, FIRST_DAY - one) is None
    assert stored_range(FIRST_DAY - one, FIRST_DAY) == (FIRST_DAY, FIRST_DAY)
    assert stored_range(LAST_DAY, LAST_DAY + one) == (LAST_DAY, LAST_DAY)
    assert stored_range(LAST_DAY + one, LAST_DAY + one) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_774_958_400.25, "2026-03-31T12:00:00.250Z"),
        (2**32 - 1, "2106-02-07T06:28:15.000Z"),
    ],
)
def test_iso_utc(seconds: float, text: str) -> None:
    assert iso_utc(seconds) == text

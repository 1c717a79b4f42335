"""Days that are counted from today: calendar weeks, months, quarters and years, and the last so many of them."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, timedelta

UNITS = ("hour", "day", "week", "month", "quarter", "year", "weekend")
YEARS = range(1990, 2101)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAY = timedelta(days=1)
_MAX_BACK = 4000  # units: more would leave the calendar
_FIRST_MONTH = 1900 * 12


@dataclass(slots=True)
class Period:
    """Days, both included, and the tokens that name them."""

    first: date
    last: date
    start: int
    end: int  # the token after
    has_year: bool = True
    unit: str = "day"

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def months_back(day: date, months: int) -> date:
    """The same day of an earlier month, or its last day."""
    month = max(_FIRST_MONTH, day.year * 12 + day.month - 1 - months)
    year, month = divmod(month, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def end_of_months(first: date, months: int) -> date:
    """The last day of so many months from the first of one."""
    month = first.year * 12 + first.month - 1 + months - 1
    year, month = divmod(month, 12)
    return date(year, month + 1, monthrange(year, month + 1)[1])


def last_so_many(unit: str, number: int, today: date, start: int, end: int) -> Period | None:
    """The last so many days or weeks, today included; of months and years, back to the day after the same date.

    The last so many hours are the days that they are part of.
    """
    number = min(number, _MAX_BACK)
    if unit in _MONTHS:
        first = months_back(today, number * _MONTHS[unit]) + _DAY
    elif unit == "hour":
        first = today - -(-number // 24) * _DAY
    else:
        first = today - (number * (1 if unit == "day" else 7) - 1) * _DAY
    return Period(first, today, start, end, unit="hour" if unit == "hour" else "day") if number else None


def calendar_unit(unit: str, back: int, today: date, start: int, end: int) -> Period:
    """The unit of the calendar so many before this one; this one ends today."""
    back = min(back, _MAX_BACK)
    if unit in ("hour", "day"):
        first = last = today - (back if unit == "day" else back // 24) * _DAY
    elif unit in _MONTHS:
        length = _MONTHS[unit]
        first = months_back(today.replace(day=1), (today.month - 1) % length + back * length)
        last = end_of_months(first, length)
    else:
        monday = today - (today.weekday() + 7 * back) * _DAY
        first, last = (monday + 5 * _DAY if unit == "weekend" else monday), monday + 6 * _DAY
    return Period(first, last if back else max(first, min(last, today)), start, end, unit=unit)

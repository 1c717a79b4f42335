"""Single dates in words and digits, by dateparser: names of months and weekdays, the order of day and month.

It is not asked for whole sentences, where it takes ids for days and years, and knows no ranges. It is imported upon
the first sentence with a date, as that takes a tenth of a second.
"""

from __future__ import annotations

from calendar import day_name
from datetime import date, datetime
from functools import cache
from typing import Literal, NamedTuple

from api.integration.folding import folded

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_WEEKDAYS = [name.lower() for name in day_name]
_NOT_MONTHS = {"ago", "set", "out", "dez"}  # other words, in Spanish and Portuguese
_MIN_MONTH, _MIN_WEEKDAY = 3, 5  # letters: German `mit` and `die` are no days, whatever the library says


class SingleDate(NamedTuple):
    day: date  # any day of the month or year if that is all that was said
    length: Literal["day", "month", "year"]
    has_year: bool


@cache
def date_names(language: str) -> dict[str, Literal["month_name", "weekday_name"]]:
    """Folded names of months and weekdays. Japanese and Korean months are numbers."""
    from dateparser.languages import default_loader

    info = default_loader.get_locale(language).info
    months = {folded(name) for month in _MONTHS for name in info[month]} - _NOT_MONTHS
    weekdays = {folded(name) for day in _WEEKDAYS for name in info[day]}
    names: dict[str, Literal["month_name", "weekday_name"]] = {}
    names.update(
        {name: "weekday_name" for name in weekdays if len(name) >= _MIN_WEEKDAY or "曜" in name or "요" in name}
    )
    names.update({name: "month_name" for name in months if len(name) >= _MIN_MONTH and name[0].isalpha()})
    return names


def read_date(text: str, language: str, today: date) -> SingleDate | None:
    """The latest such date up to today, unless a year is given. With dots the day comes first in any language."""
    from dateparser.date import DateDataParser

    dotted = text[:1].isdigit() and "." in text[:3]
    base = datetime(today.year, today.month, today.day)
    settings = {"RELATIVE_BASE": base, "PREFER_DATES_FROM": "past", "PREFER_DAY_OF_MONTH": "first"}
    data = DateDataParser(languages=["de" if dotted else language], settings=settings).get_date_data(text)
    if data.date_obj is None or data.period not in ("day", "month", "year"):
        return None
    return SingleDate(data.date_obj.date(), data.period, "year" in (data.parts or ()))

"""Joins the periods of a sentence to ranges: `1 to 15 March`, `3월 1일부터 15일까지`, `since Monday`."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import replace
from datetime import date, timedelta

from api.integration.calendar_units import YEARS, Period
from api.integration.periods import PeriodReader
from api.integration.sentence import Sentence, Token

_DASHES = frozenset("-–—~〜～")


def read_ranges(sentence: Sentence, today: date) -> tuple[list[Period], list[str]]:
    """The ranges in order, and what looks like a date and is none."""
    reader = PeriodReader(sentence, today)
    ranges: list[Period] = []
    for found in reader.read():
        period = _with_number_before(_with_number_after(found, sentence.tokens), sentence.tokens)
        if joined := ranges and _joined(ranges[-1], period, sentence, compared=sentence.has("compare")):
            ranges[-1] = joined
        else:
            ranges.append(period)
    return [_to_today(period, sentence, today) for period in ranges], reader.wrong


def _joined(first: Period, last: Period, sentence: Sentence, *, compared: bool) -> Period | None:
    """The range from one period to the next, or the date that both name; None if they are two."""
    between = sentence.tokens[first.end : last.start]
    if not all(_is_connector(token) or _is_glue(token) for token in between):
        return None
    if not any(map(_is_connector, between)) and [token.text for token in between] not in ([".", "."], ["."] * 3):
        return _part_of(first, last) or _part_of(last, first)
    if compared and (first.first >= last.first or any(token.means("and") for token in between)):
        return None  # both are compared
    found = _from_to(first, last)
    return found if found.first <= found.last else None


def _part_of(whole: Period, part: Period) -> Period | None:
    """`December` of `last year`, `Monday` of `last week`."""
    start, end = min(whole.start, part.start), max(whole.end, part.end)
    if whole.unit == "year" and not part.has_year:
        years = whole.first.year - part.first.year
        first, last = (_in_year(day, day.year + years) for day in (part.first, part.last))
        return Period(first, last, start, end, unit=part.unit)
    if whole.unit == "week" and part.unit == "weekday":
        day = whole.first + timedelta(days=part.first.weekday())
        return Period(day, day, start, end)
    return None


def _from_to(first: Period, last: Period) -> Period:
    start = first.first
    if not first.has_year and (last.has_year or start > last.last):
        years = (last.last.year, last.last.year - 1)
        start = next((day for year in years if (day := _in_year(start, year)) <= last.last), start)
    return Period(start, last.last, first.start, last.end, last.has_year)


def _in_year(day: date, year: int) -> date:
    """The same date of another year; 28 February where there is no 29th."""
    return day.replace(year=year, day=min(day.day, monthrange(year, day.month)[1]))


def _with_number_before(period: Period, tokens: list[Token]) -> Period:
    """`1 to` before `15 March`."""
    place = period.start - 1
    while place > 0 and not tokens[place].used and not _is_connector(tokens[place]) and _is_glue(tokens[place]):
        place -= 1
    if period.days > 1 or place < 1 or not _is_connector(tokens[place]):
        return period
    place -= 1
    while place > 0 and _is_glue(tokens[place]) and tokens[place].number is None:
        place -= 1
    day = tokens[place].number
    if tokens[place].used or day is None or not 1 <= day <= period.first.day:
        return period
    tokens[place].used = True
    return replace(period, first=period.first.replace(day=day), start=place)


def _with_number_after(period: Period, tokens: list[Token]) -> Period:
    """`to 15` after `March 1`; the day must be a later one of that month."""
    place, connected = period.end, False
    while place < len(tokens) and not tokens[place].used and (_is_connector(tokens[place]) or _is_glue(tokens[place])):
        connected = connected or _is_connector(tokens[place])
        place += 1
    if period.days > 1 or not connected or place >= len(tokens):
        return period
    day = tokens[place].number
    if tokens[place].used or day is None or not period.first.day < day <= 31:
        return period
    year = None if period.has_year else _year(tokens[place + 1 : place + 3])
    first = period.first if year is None else _in_year(period.first, year)
    last = first.replace(day=min(day, monthrange(first.year, first.month)[1]))
    tokens[place].used = True
    return replace(period, first=first, last=last, end=place + 1)


def _year(tokens: list[Token]) -> int | None:
    """The year behind a day: `March 1 to 15, 2025`."""
    for token in tokens:
        if token.number in YEARS:
            token.used = True
            return token.number
    return None


def _to_today(period: Period, sentence: Sentence, today: date) -> Period:
    """A range that begins with the period and has no end, `since Monday`, lasts until today; `the week of 2 March`."""
    tokens = sentence.tokens
    place = period.start - 1
    while place >= 0 and tokens[place].means("stop", "in") and not tokens[place].means("week"):
        place -= 1
    if period.days == 1 and 0 <= place < period.start - 1 and tokens[place].means("week"):
        monday = period.first - timedelta(days=period.first.weekday())
        return replace(period, first=monday, last=monday + timedelta(days=6))
    before = place >= 0 and tokens[place].means("since") and sentence.language not in ("ko", "ja")
    behind = ("since", "onward") if sentence.language in ("ko", "ja") else ("onward",)
    after = period.end < len(tokens) and tokens[period.end].means(*behind)
    return replace(period, last=today) if (before or after) and period.last < today else period


def _is_connector(token: Token) -> bool:
    return token.means("until", "and", "since") or token.text in _DASHES


def _is_glue(token: Token) -> bool:
    return token.means("in", "stop", "from", "between", "ordinal") or token.text in (".", ",", "일", "日")

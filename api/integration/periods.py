"""Which days a sentence names: single days, calendar weeks and months, the last so many days, ranges."""

from __future__ import annotations

from datetime import date, timedelta

from api.integration.calendar_units import UNITS, YEARS, Period, calendar_unit, end_of_months, last_so_many
from api.integration.sentence import Sentence, Token, number_word
from api.integration.single_dates import read_date

_DAY = timedelta(days=1)
_MAX_DATES = 8  # that are read of a sentence, as each takes a millisecond
_GLUE = ("in", "stop", "ordinal", "from")


class PeriodReader:
    """Reads the periods of one sentence, from left to right. Marks the tokens that it reads as used."""

    def __init__(self, sentence: Sentence, today: date) -> None:
        self._sentence = sentence
        self._tokens = sentence.tokens
        self._today = today
        self._asked = 0
        self.wrong: list[str] = []  # what looks like a date and is none

    def read(self) -> list[Period]:
        found: list[Period] = []
        index = 0
        while index < len(self._tokens):
            period = None if self._tokens[index].used else self._at(index)
            if period is None:
                index += 1
                continue
            found.append(period)
            index = period.end
        for period in found:
            for token in self._tokens[period.start : period.end]:
                token.used = True
        return found

    def _at(self, index: int) -> Period | None:
        return (
            self._relative_day(index)
            or self._ago(index)
            or self._last_or_this_in_a_word(index)
            or self._last_or_this(index)
            or self._quarter(index)
            or self._calendar_week(index)
            or self._numeric(index)
            or self._named(index)
        )

    def _relative_day(self, index: int) -> Period | None:
        for meaning, back in (("today", 0), ("yesterday", 1), ("before_yesterday", 2)):
            if self._tokens[index].means(meaning):
                day = self._today - back * _DAY
                return Period(day, day, index, index + 1)
        return None

    def _ago(self, index: int) -> Period | None:
        """`3 days ago`, `hace 3 días`, `3日前`."""
        before = self._tokens[index].means("ago_before")
        place = index + 1 if before else index
        number, unit_at = self._number_and_unit(place)
        if unit_at is None:
            return None
        end = unit_at + 1
        if not before and not (end < len(self._tokens) and self._tokens[end].means("ago")):
            return None
        if end < len(self._tokens) and self._tokens[end].means("ago"):
            end += 1
        unit = self._unit(unit_at)
        assert unit is not None
        return calendar_unit(unit, 1 if number is None else number, self._today, index, end)

    def _last_or_this_in_a_word(self, index: int) -> Period | None:
        """`지난달`, `今週`, `Vorwoche`."""
        for back, prefix in ((1, "last_"), (0, "this_")):
            for unit in UNITS:
                if self._tokens[index].means(prefix + unit):
                    return calendar_unit(unit, back, self._today, index, index + 1)
        return None

    def _last_or_this(self, index: int) -> Period | None:
        """`last week`, `semana pasada`, `las 2 últimas semanas`, `this month`."""
        token = self._tokens[index]
        if token.means("last", "previous", "this"):
            number, unit_at = self._number_and_unit(self._skip(index + 1, "in"))
            if unit_at is not None:
                return self._counted_back(token, number, unit_at, index, unit_at + 1)
            if token.means("last") and (named := self._named(index + 1)):
                named.start = index
                return named
        number, unit_at = self._number_and_unit(index)
        if unit_at is None:
            return None
        after = self._skip(unit_at + 1, "in")
        behind = after < len(self._tokens) and self._tokens[after].means("last", "previous", "this")
        if behind and not self._unit(after + 1):  # in `the month last year` it belongs to the year
            return self._counted_back(self._tokens[after], number, unit_at, index, after + 1)
        if number is not None and self._tokens[index + 1].means("last", "previous"):
            return self._counted_back(self._tokens[index + 1], number, unit_at, index, unit_at + 1)
        if self._unit(unit_at) == "weekend":
            return calendar_unit("weekend", 1, self._today, index, unit_at + 1)
        return None

    def _counted_back(self, token: Token, number: int | None, unit_at: int, start: int, end: int) -> Period | None:
        unit = self._unit(unit_at)
        assert unit is not None
        if number is not None and not token.means("this"):
            return last_so_many(unit, number, self._today, start, end)
        if unit == "day" and self._tokens[unit_at].text.lower().endswith("s"):
            return None  # it is not said how many
        return calendar_unit(unit, 0 if token.means("this") else 1, self._today, start, end)

    def _quarter(self, index: int) -> Period | None:
        """`Q1`, `1분기`, `第1四半期`, each with or without a year."""
        token, after = self._tokens[index], self._peek(index + 1)
        if token.text.lower() in ("q", "t") and after and after.number in range(1, 5) and after.start == token.end:
            number, end = after.number, index + 2
        elif (number := self._number(token)) in range(1, 5):
            end = self._skip(index + 1, "ordinal", "nth") + 1
            if end > len(self._tokens) or not self._tokens[end - 1].means("quarter"):
                return None
        else:
            return None
        assert number is not None
        year_at = self._skip(end, "in")
        year = self._year_at(year_at)
        end = end if year is None else year_at + 1
        first = date(year or self._today.year, number * 3 - 2, 1)
        if year is None and first > self._today:
            first = first.replace(year=first.year - 1)
        return Period(first, end_of_months(first, 3), index, end, year is not None, "quarter")

    def _calendar_week(self, index: int) -> Period | None:
        """`week 10`, `KW 10`: by ISO 8601, the latest one that has begun."""
        token, after = self._tokens[index], self._peek(index + 1)
        if not token.means("week", "calendar_week") or after is None or after.used or after.number is None:
            return None
        for year in (self._today.year, self._today.year - 1):
            try:
                monday = date.fromisocalendar(year, after.number, 1)
            except ValueError:
                continue
            if monday <= self._today:
                return Period(monday, monday + 6 * _DAY, index, index + 2)
        return None

    def _numeric(self, index: int) -> Period | None:
        text = self._tokens[index].text
        if len(text) == 8 and text.isdigit() and text.startswith("20"):
            return self._dated(f"{text[:4]}-{text[4:6]}-{text[6:]}", index, index + 1)
        if self._tokens[index].number is not None or not text[0].isdigit():
            return self._whole_year(index)
        if self._tokens[index].meanings:
            return None  # a phrase with a number
        return self._dated(text, index, index + 1)

    def _whole_year(self, index: int) -> Period | None:
        """`in 2025`, `2025년`; a bare number is none."""
        year, after = self._year_at(index), self._peek(index + 1)
        before = self._peek(index - 1)
        suffixed = after is not None and after.text in ("년", "年")
        if year is None or not (
            suffixed or (before is not None and before.means("in", "year", "from", "since", "this"))
        ):
            return None
        if after is not None and suffixed and (month := self._peek(index + 3)) and month.text in ("월", "月"):
            return None  # the year of a date
        return Period(date(year, 1, 1), date(year, 12, 31), index, index + (2 if suffixed else 1), unit="year")

    def _named(self, index: int) -> Period | None:
        """A date with the name of a month or weekday, in any order: `15. März 2025`, `3월 1일`."""
        words: dict[str, str] = {}
        end = place = index
        while (token := self._peek(place)) and not token.used:
            kind = self._kind(place)
            if kind is None or kind in words or (kind in ("month", "day") and "weekday" in words):
                break
            if kind == "day" and "month" not in words and not self._month_follows(place):
                break
            if kind != "glue":
                words[kind], end = self._text(place), place + self._width(place)
                place += self._width(place)
            else:
                place += 1
                if not words or (place - end) > 2:
                    break
        if not {"month", "weekday"} & words.keys():
            return None
        order = ("year", "month", "day") if self._sentence.language in ("ko", "ja") else ("day", "month", "year")
        text = words.get("weekday") or " ".join(words[part] for part in order if part in words)
        found = self._dated(text, index, end)
        if found and "weekday" in words:
            found.unit = "weekday"
        return found

    def _dated(self, text: str, start: int, end: int) -> Period | None:
        self._asked += 1
        if self._asked > _MAX_DATES:
            return None
        found = read_date(text, self._sentence.language, self._today)
        if found is None:
            written = self._tokens[start:end]
            self.wrong.append(self._sentence.text[written[0].start : written[-1].end])
            for token in written:
                token.used = True
            return None
        if found.length == "day":
            return Period(found.day, found.day, start, end, found.has_year)
        length = 1 if found.length == "month" else 12
        first = found.day.replace(day=1) if length == 1 else date(found.day.year, 1, 1)
        return Period(first, end_of_months(first, length), start, end, found.has_year, found.length)

    def _kind(self, place: int) -> str | None:
        """What a token is in a date: day, month, year, weekday, glue; None if it ends the date."""
        token, after = self._tokens[place], self._peek(place + 1)
        if token.number is not None:
            suffix = after.text if after else ""
            if suffix in ("월", "月"):
                return "month" if 1 <= token.number <= 12 else None
            if token.number in YEARS and (suffix in ("년", "年") or self._sentence.language not in ("ko", "ja")):
                return "year"
            if self._sentence.language in ("ko", "ja") and suffix not in ("일", "日"):
                return None
            return "day" if 1 <= token.number <= 31 else None
        for name in ("month", "weekday"):
            if token.means(f"{name}_name"):
                return name
        return "glue" if token.means(*_GLUE) or token.text in (".", ",") else None

    def _width(self, place: int) -> int:
        """A number of a Korean or Japanese date has its unit behind it."""
        after = self._peek(place + 1)
        return 2 if self._tokens[place].number is not None and after and after.text in tuple("년월일年月日") else 1

    def _text(self, place: int) -> str:
        return "".join(token.known or token.text for token in self._tokens[place : place + self._width(place)])

    def _month_follows(self, place: int) -> bool:
        """Whether the name of a month comes at most three tokens after a number."""
        for later in range(place + 1, min(place + 4, len(self._tokens))):
            kind = self._kind(later)
            if kind == "month":
                return True
            if kind != "glue":
                return False
        return False

    def _number_and_unit(self, place: int) -> tuple[int | None, int | None]:
        """The number before a unit of time, if any, and the place of the unit, None if there is no unit."""
        token = self._peek(place)
        if token is None or token.used:
            return None, None
        number = self._number(token)
        if number is None and token.means("stop") and self._unit(place + 1) and self._tokens[place].text != "일":
            return None, place + 1
        if number is None:
            return None, place if self._unit(place) else None
        unit_at = place + 1
        middle = self._peek(unit_at)
        if middle and middle.means("last", "previous") and not self._unit(unit_at):
            unit_at += 1
        return (number, unit_at) if self._unit(unit_at) else (None, None)

    def _number(self, token: Token) -> int | None:
        return token.number if token.number is not None else number_word(token)

    def _unit(self, place: int) -> str | None:
        token = self._peek(place)
        if token is None or (len(token.text) == 1 and self._peek(place - 1) and self._bare_cjk(place)):
            return None
        return next((unit for unit in UNITS if token.means(unit)), None)

    def _bare_cjk(self, place: int) -> bool:
        """A unit of one syllable counts only behind a number."""
        before = self._tokens[place - 1]
        return self._number(before) is None and not before.means("this", "last")

    def _year_at(self, place: int) -> int | None:
        token = self._peek(place)
        return token.number if token and token.number in YEARS else None

    def _peek(self, place: int) -> Token | None:
        return self._tokens[place] if 0 <= place < len(self._tokens) else None

    def _skip(self, place: int, *meanings: str) -> int:
        while (token := self._peek(place)) and token.means(*meanings) and not self._unit(place):
            place += 1
        return place

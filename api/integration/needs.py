"""From what was read to a call: which one, with which parameters, and what remains unclear. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

from api.integration.calendar_units import Period
from api.integration.calls import CALLS, Call
from api.integration.identifiers import Identifiers, read_identifiers
from api.integration.ranges import read_ranges
from api.integration.sentence import Sentence, read_sentence

Parameters = dict[str, str | int]

_DAY = timedelta(days=1)
_DEFAULT_DAYS = 30  # where a range is needed and none is named
_DIMENSIONS = ("link", "group", "advertiser", "network", "publisher")
_OF_ACCOUNTS = ("link", "group", "by_link", "by_group", "account", "user", "by_hour")
_OF_PUBLISHERS = ("publisher", "advertiser", "network", "by_publisher", "by_advertiser", "by_network")
_ID_PARAMETERS = {
    "publisher": "publisher_id",
    "advertiser": "advertiser_id",
    "network": "network_id",
    "account": "account_id",
    "group": "grpIdx",
}


@dataclass(slots=True)
class Need:
    """A need as it was understood. Without a call nothing was."""

    call: Call | None = None
    parameters: Parameters = field(default_factory=dict)
    format: str = "json"
    unclear: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Reading:
    """What the words say, before a call is chosen."""

    sentence: Sentence
    ids: Identifiers
    period: Period | None
    compared_to: Period | None
    today: date
    unclear: list[str]

    def has(self, *meanings: str) -> bool:
        return self.sentence.has(*meanings)

    @property
    def days(self) -> int:
        return self.period.days if self.period else 0

    @property
    def hourly(self) -> bool:
        return self.has("by_hour") or (self.period is not None and self.period.unit == "hour")

    @property
    def of_publishers(self) -> bool:
        return self.has(*_OF_PUBLISHERS) and not (self.ids.link or "group" in self.ids.ids)


def understand(text: str, today: date) -> Need:
    reading = read(text, today)
    call = choose(reading)
    if call is None:
        return Need(unclear=[*reading.unclear, "No call was recognised."])
    need = Need(call, unclear=reading.unclear)
    need.format = _format(reading, call, need.unclear)
    need.parameters = {
        **_days(reading, call, need.unclear),
        **_scope(reading, call, need.unclear),
        **_options(reading, call, need.unclear),
    }
    need.unclear += _left_over(reading.sentence)
    return need


def read(text: str, today: date) -> Reading:
    sentence = read_sentence(text)
    ids = read_identifiers(sentence)
    periods, wrong = read_ranges(sentence, today)
    unclear = [*ids.unclear, *(f"“{text}” is no date." for text in wrong)]
    basis = None
    if sentence.has("compare") and len(periods) > 1:
        basis = min(periods[:2], key=lambda period: period.first)  # the later is compared with the earlier
    elif sentence.has("compare") and periods and sentence.tokens[periods[0].start].means("before"):
        basis = periods[0]  # `compared with the week before`, in one word
    rest = [period for period in periods if period is not basis]
    if len(rest) > 1:
        unclear.append("More than one range of days is named; the first is filled in.")
    return Reading(sentence, ids, rest[0] if rest else None, basis, today, unclear)


def choose(reading: Reading) -> Call | None:
    """The call that gives what is asked for."""
    name = _chosen(reading)
    if name is None:
        return None
    if reading.has("version1") and f"{name}V1" in CALLS:
        name = f"{name}V1"
    return CALLS[name]


def _chosen(reading: Reading) -> str | None:
    has = reading.has
    counts = has("click", "user", "bot")
    changes = has("live") or (has("soon") and reading.period is None)  # `at once` may also mean the answer
    if changes and not has("top", "compare"):
        return "followChanges"
    if not counts and not reading.ids.ids:
        for meaning, name in (("schema", "getSchema"), ("tools", "listTools"), ("key", "getOwnKey")):
            if has(meaning):
                return name
    if has("top", "gain", "loss") and not (has("compare") and not has("top") and not _dimension(reading)):
        return "topValues"
    if has("compare", "same_weekday", "bot", "by_week", "by_month"):
        return "clickSeries"
    ranged = has("group", "by_group")
    if ranged and not counts and not has("by_hour", "by_day"):
        return "listGroups"
    if has("by_group") or len(reading.ids.ids.get("group", ())) > 1:
        return "clicksByGroup"
    if has("group") and counts and not reading.ids.ids.get("group") and not has("by_hour", "by_day"):
        return "clicksByGroup"
    return _over_time(reading, counts)


def _over_time(reading: Reading, counts: bool) -> str | None:
    """Clicks by hour or by day, by the call that has the scope, the length and the format."""
    has, ids = reading.has, reading.ids.ids
    table = has("csv", "ndjson", "excel")
    if ids.keys() & {"advertiser", "network", "account"}:
        return "clickSeries"
    if reading.hourly and not reading.of_publishers:
        if table or reading.days > CALLS["clicksByHourV3"].max_days:
            return "clickSeries"
        return "clicksByHour" if reading.days <= 1 else "clicksByHourV3"
    if not reading.of_publishers and (reading.ids.link or has(*_OF_ACCOUNTS)):
        too_long = reading.days > CALLS["clicksByDate"].max_days
        return "clickSeries" if table or too_long else "clicksByDate"
    if counts or has(*_OF_PUBLISHERS, "by_day"):
        return "listClicks"
    return None


def _dimension(reading: Reading) -> str | None:
    """What is ranked: the kind that is named without an id."""
    for dimension in _DIMENSIONS:
        if reading.has(f"by_{dimension}"):
            return dimension
    named = [each for each in _DIMENSIONS if reading.has(each) and each not in reading.ids.ids]
    return next((each for each in named if not (each == "link" and reading.ids.link)), None)


def _format(reading: Reading, call: Call, unclear: list[str]) -> str:
    if call.formats[0] == "events":
        return "events"
    asked = next((name for name in ("parquet", "ndjson", "csv", "excel", "json") if reading.has(name)), None)
    if asked is None:
        return call.formats[0]
    wanted = "csv" if asked == "excel" else asked
    if wanted not in call.formats:
        others = ", ".join(each.upper() for each in call.formats)
        unclear.append(f"This call does not give {asked}; it gives {others}.")
        return call.formats[0]
    if asked == "excel":
        unclear.append("There are no Excel files: CSV is filled in, which Excel opens.")
    return wanted


def _days(reading: Reading, call: Call, unclear: list[str]) -> Parameters:
    if not call.days:
        return {}
    period, today = reading.period, reading.today
    if period is None:
        one = len(call.days) == 1
        first = today if one else today - (_DEFAULT_DAYS - 1) * _DAY
        last = today
        what = f"today, {today}," if one else f"the last {_DEFAULT_DAYS} days, {first} to {today},"
        unclear.append(f"No day is named: {what} {'is' if one else 'are'} filled in.")
    else:
        first, last = period.first, period.last
        if first > last:
            unclear.append(f"{first} is after {last}: both are exchanged.")
            first, last = last, first
        if first > today:
            unclear.append(f"{first} is in the future: there are no clicks yet.")
        days = (last - first).days + 1
        if days > call.max_days:
            most = "one day" if call.max_days == 1 else f"at most {call.max_days} days"
            kept = last if call.max_days == 1 else last - (call.max_days - 1) * _DAY
            unclear.append(
                f"{first} to {last} are {days} days and this call takes {most}: {kept} to {last} is filled in."
            )
            first = kept
    if len(call.days) == 1:
        return {call.days[0]: last.isoformat()}
    return {call.days[0]: first.isoformat(), call.days[1]: last.isoformat()}


def _scope(reading: Reading, call: Call, unclear: list[str]) -> Parameters:
    found: Parameters = {}
    if reading.ids.link:
        if "linkId" in call.scope:
            found["linkId"], found["domain"] = reading.ids.link[1], reading.ids.link[0]
        else:
            unclear.append("This call cannot be narrowed to a link.")
    elif call.name.endswith("V1") and "linkId" in call.scope:
        unclear.append("This version needs a link, as in vvd.bz/hello.")
    for entity, ids in reading.ids.ids.items():
        name = _ID_PARAMETERS[entity]
        if name == "grpIdx" and "grpIdxList" in call.scope:
            found["grpIdxList"] = ",".join(map(str, ids))
        elif name in call.scope and not (name == "grpIdx" and "linkId" in found):
            found[name] = ids[0]
            if len(ids) > 1:
                unclear.append(f"This call takes one {entity}; {ids[0]} is filled in.")
        else:
            unclear.append(f"This call cannot be narrowed to {entity} {ids[0]}.")
    return found


def _options(reading: Reading, call: Call, unclear: list[str]) -> Parameters:
    found: Parameters = {}
    if reading.hourly and reading.of_publishers:
        unclear.append("Clicks of publishers are counted by day, not by hour.")
    if call.name == "topValues":
        found |= _ranking(reading, unclear)
    if call.name == "clickSeries":
        found |= _series(reading)
    if reading.has("every") and call.name in ("clicksByHour", "clicksByHourV3", "clicksByDate"):
        found["fill"] = "1"
    if call.name.startswith("listGroups") and reading.ids.name and call.name == "listGroups":
        found["nm"] = reading.ids.name
    ids = reading.ids
    if call.name == "listClicks":
        sizes = {"page": ids.page, "per_page": ids.per_page or ids.top}
        found |= {name: size for name, size in sizes.items() if size}
        if reading.has("cursor"):
            found["cursor"] = "start"
    elif "pages" in dict(call.most) and ids.page:
        found["pages"] = ids.page
    return _within_limits(found, call, unclear)


def _within_limits(found: Parameters, call: Call, unclear: list[str]) -> Parameters:
    for name, most in call.most:
        value = found.get(name)
        if isinstance(value, int) and value > most:
            unclear.append(f"{name} is at most {most}, not {value}: {most} is filled in.")
            found[name] = most
    return found


def _ranking(reading: Reading, unclear: list[str]) -> Parameters:
    dimension = _dimension(reading)
    if dimension is None:
        dimension = "advertiser" if reading.of_publishers else "link"
        unclear.append(f"It is not said what is ranked: {dimension}s are filled in.")
    found: Parameters = {"by": dimension}
    if reading.has("gain", "loss"):
        found["order"] = "gain" if reading.has("gain") else "loss"
    limit = reading.ids.top or reading.ids.per_page
    return found | ({"limit": limit} if limit else {})


def _series(reading: Reading) -> Parameters:
    has = reading.has
    interval = next((each for each in ("hour", "week", "month", "day") if has(f"by_{each}")), "day")
    found: Parameters = {"interval": "day" if interval == "hour" and reading.of_publishers else interval}
    if has("same_weekday"):
        found["compare"] = "weekday"
    elif has("compare") and not (has("bot") and not (reading.compared_to or has("before"))):  # not with each other
        period, basis = reading.period, reading.compared_to
        years = period is not None and "year" in (period.unit, basis.unit if basis else None)
        year = years or (basis and period and (period.first - basis.first).days in range(350, 380))
        found["compare"] = "year" if year else "previous"
    return found


def _left_over(sentence: Sentence) -> list[str]:
    """Words and numbers that nothing was made of."""
    runs: list[str] = []
    end = -1
    for token in sentence.tokens:
        if token.used or token.meanings or not token.text.isalnum():
            continue
        if token.start == end:
            runs[-1] += token.text  # characters of a Korean or Japanese word
        else:
            runs.append(token.text)
        end = token.end
    words = [run for run in runs if len(run) > 2 or run.isdigit()]
    return [f"Not understood: {', '.join(words)[:200]}."] if words else []

"""All endpoints of statistics against an oracle in plain Python: random events, from bytes in the log to the response.

The events take the real path: JSON, decode, filter, dedupe, one insert into the real engine, rollups, HTTP. The oracle
uses Python's sets and zone database, and none of the code.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rollups.clickhouse import ClickHouse
from tests.support.clock import Clock
from tests.support.memory_log import MemoryLog
from tests.support.seed import Callers, account_on, callers, upsert
from tests.support.worker import harness

HOUR_MS = 3_600_000
LINKS = (
    ("https://vvd.bz", "abc"),
    ("https://vvd.bz", "ABC"),
    ("https://vvd.im", "abc"),
    ("https://vvd.im", "스타/벅스"),
)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
NOT_PEOPLE: dict[str, dict[str, str]] = {
    "bot": {"user_agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
    "head": {"method": "HEAD", "user_agent": BROWSER},
    "prefetch": {"purpose": "prefetch", "user_agent": BROWSER},
}
PLACES = [  # a zone, and a local day near a clock change, if it has any
    ("UTC", date(2025, 6, 1)),
    ("Europe/Berlin", date(2025, 3, 30)),
    ("Europe/Berlin", date(2025, 10, 26)),
    ("America/New_York", date(2025, 11, 2)),
    ("Asia/Kolkata", date(2025, 6, 1)),
    ("Asia/Kathmandu", date(2025, 6, 1)),
    ("Australia/Lord_Howe", date(2025, 4, 6)),
    ("Australia/Lord_Howe", date(2025, 10, 5)),
    ("Pacific/Chatham", date(2025, 4, 6)),
    ("Antarctica/Troll", date(2025, 3, 30)),
    ("Africa/Cairo", date(2025, 4, 25)),
    ("America/St_Johns", date(2006, 4, 2)),
    ("America/St_Johns", date(2006, 10, 29)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Pacific/Kiritimati", date(1994, 12, 31)),
]
_numbers = itertools.count(1000)
_PHASES = [Phase.explicit, Phase.reuse, Phase.generate]  # no shrinking: it is slow, and worlds are small enough to read


@dataclass(frozen=True)
class Event:
    """A click, `at_ms` after the UTC midnight of the place's day; `user` None: without a visitor."""

    at_ms: int
    link: int
    user: int | None
    event_id: int
    kind: str

    @property
    def partition(self) -> int:
        return (self.user or 0) % 2


@dataclass(frozen=True)
class World:
    zone: str
    day: date
    groups: tuple[int, ...]  # of each link; 0 is none
    events: tuple[Event, ...]
    first: int  # days between `day` and the first day requested
    length: int
    fill: bool

    @property
    def days(self) -> list[date]:
        return [self.day + timedelta(days=self.first + number) for number in range(self.length)]

    def moment(self, event: Event) -> int:
        """Milliseconds since 1970."""
        return int(datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC).timestamp()) * 1000 + event.at_ms


moments = st.one_of(
    st.integers(-30 * HOUR_MS, 60 * HOUR_MS),
    st.builds(  # at and next to full hours, half hours and minutes, where clocks change
        lambda hour, beside: hour * HOUR_MS + beside,
        st.sampled_from([*range(-16, 34)]),
        st.sampled_from([-1, 0, 1, 59_999, 60_000, 900_000, 1_799_999, 1_800_000, 2_700_000]),
    ),
)
events = st.builds(
    Event,
    at_ms=moments,
    link=st.integers(0, len(LINKS) - 1),
    user=st.sampled_from([1, 2, 3, 1, 2, 3, None]),
    event_id=st.integers(1, 200),
    kind=st.sampled_from(["person"] * 6 + [*NOT_PEOPLE]),
)
worlds = st.builds(
    lambda place, **rest: World(*place, **rest),
    st.sampled_from(PLACES),
    groups=st.tuples(*[st.sampled_from([1, 1, 2, 0])] * len(LINKS)),
    events=st.lists(events, min_size=25, max_size=60).map(tuple),
    first=st.sampled_from([-1, 0, 0, -2, 1]),
    length=st.sampled_from([2, 3, 1, 4]),
    fill=st.booleans(),
)


def as_json(world: World, event: Event, account: int) -> dict[str, object]:
    domain, link_id = LINKS[event.link]
    user = {} if event.user is None else {"visitor_id": f"v{event.user}"}
    return {
        "event_id": f"e{event.event_id}",
        "clicked_at": world.moment(event),
        "account_id": account,
        "domain": domain,
        "link_id": link_id,
        **user,
        **NOT_PEOPLE.get(event.kind, {} if event.user is None else {"user_agent": BROWSER}),
    }


async def feed(db: ClickHouse, world: World, account: int) -> None:
    log = MemoryLog({0: [], 1: []})
    for event in world.events:
        log.append(event.partition, as_json(world, event, account))
    async with harness(db, log, source=account) as worker:
        await worker.claim({0, 1})
        await worker.consume(most=17)
        assert not worker.log.dead


Counted = list[tuple[date, int, int, int | None]]  # local day, local hour, link, user


def counted(world: World) -> Counted:
    """The counted clicks in their local hours: contract §3 in a few lines."""
    ids, repeats, found = set(), set(), []
    for event in world.events:
        identity = event.partition, event.event_id
        again = identity in ids
        ids.add(identity)
        if again or event.kind != "person":
            continue
        slot = event.user, event.link, world.moment(event) // 5000
        if event.user is not None and slot in repeats:
            continue
        repeats.add(slot)
        local = datetime.fromtimestamp(world.moment(event) / 1000, ZoneInfo(world.zone))
        found.append((local.date(), local.hour, event.link, event.user))
    return found


@lru_cache(maxsize=64)
def clock_hours(zone: str, day: date) -> frozenset[tuple[date, int]]:
    """The local hours of all days that may be requested, read off a clock minute by minute."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - 5 * 86_400
    locals_ = (datetime.fromtimestamp(start + 60 * minute, ZoneInfo(zone)) for minute in range(12 * 1440))
    return frozenset((local.date(), local.hour) for local in locals_)


def tally(clicks: Iterable[tuple[Any, int | None]], filled: Iterable[Any] = ()) -> list[tuple[Any, int, int]]:
    """(key, clicks, users) by key, ascending. Users are a set without None."""
    users: dict[Any, list[int | None]] = {key: [] for key in filled}
    for key, user in clicks:
        users.setdefault(key, []).append(user)
    return [(key, len(users[key]), len(set(users[key]) - {None})) for key in sorted(users)]


@dataclass
class Asker:
    api: Callers
    world: World
    clicks: Counted

    def ask(self, path: str, **parameters: Any) -> Any:
        fill = {"fill": 1} if self.world.fill else {}
        body = self.api.shortener(path, "oracle", **parameters, **fill).json()
        assert (body["code"], body["message"]) == (0, ""), body
        return body["result"]

    def check_hours(self, scope: dict[str, Any], links: set[int]) -> None:
        days = self.world.days
        filled = [hour for hour in clock_hours(self.world.zone, self.world.day) if hour[0] in days]
        wanted = tally(
            (((day, hour), user) for day, hour, link, user in self.clicks if day in days and link in links),
            filled if self.world.fill else (),
        )
        rows = self.ask("/api/statistics/v3/clicks-by-hour", startYmd=days[0], endYmd=days[-1], **scope)
        assert [_hour(row) for row in rows] == wanted
        assert all(("status" in row) == self.world.fill for row in rows)
        calls = ["v2", "v1"] if "linkId" in scope else ["v2"]
        for version, day in itertools.product(calls, days[:2]):
            rows = self.ask(f"/api/statistics/{version}/clicks-by-hour", ymd=day, **scope)
            assert [_hour(row) for row in rows] == [row for row in wanted if row[0][0] == day]

    def check_days(self, scope: dict[str, Any], links: set[int]) -> None:
        days = self.world.days
        filled = {day for day, _ in clock_hours(self.world.zone, self.world.day) if day in days}
        wanted = tally(
            ((day, user) for day, _, link, user in self.clicks if day in days and link in links),
            filled if self.world.fill else (),
        )
        for version in ("v2", "v1") if "linkId" in scope else ("v2",):
            path = f"/api/statistics/{version}/clicks-by-date"
            rows = self.ask(path, startYmd=days[0], endYmd=days[-1], **scope)
            assert [(date.fromisoformat(row["ymd"]), row["acesCnt"], row["pernCnt"]) for row in rows] == wanted

    def check_groups(self) -> None:
        days, groups = self.world.days, self.world.groups
        for asked, parameters in (
            (days, {"startYmd": days[0], "endYmd": days[-1]}),
            (days[:1], {"ymd": days[0]}),
        ):
            wanted = tally(
                ((groups[link], user) for day, _, link, user in self.clicks if day in asked and groups[link]),
                (1, 2, 3),
            )
            path = f"/api/link/{'v1' if 'ymd' in parameters else 'v2'}/clicks-by-group"
            for some in ("1,2,3", "2"):
                rows = self.ask(path, grpIdxList=some, **parameters)["list"]
                found = [(row["grpIdx"], row["acesCnt"], row["pernCnt"]) for row in rows]
                assert found == [row for row in wanted if str(row[0]) in some]


def _hour(row: dict[str, Any]) -> tuple[tuple[date, int], int, int]:
    return (date.fromisoformat(row["ymd"]), int(row["hour"])), row["acesCnt"], row["pernCnt"]


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def api(db: ClickHouse, clock: Clock) -> Callers:
    return callers(db, clock, rate_limits="off")


@settings(max_examples=20, phases=_PHASES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds)
def test_every_call_says_what_the_oracle_says(db: ClickHouse, api: Callers, clock: Clock, world: World) -> None:
    account = next(_numbers)
    account_on(db, "Business", world.zone, account)
    links = [{"account_id": account, "domain": domain, "link_id": link_id} for domain, link_id in LINKS]
    upsert(
        db,
        links=[{**link, "grp_idx": group} for link, group in zip(links, world.groups, strict=True)],
        groups=[{"account_id": account, "grp_idx": group, "name": f"g{group}"} for group in (1, 2, 3)],
    )
    api.keys["oracle"] = api.admin("POST", "/keys", {"role": "account", "account_id": account}).json()["key"]
    asyncio.run(feed(db, world, account))
    clock.now += 1

    asker = Asker(api, world, counted(world))
    everything = set(range(len(LINKS)))
    scopes: list[tuple[dict[str, Any], set[int]]] = [
        ({}, everything),
        ({"grpIdx": 1}, {link for link in everything if world.groups[link] == 1}),
        *(({"linkId": LINKS[link][1], "domain": LINKS[link][0]}, {link}) for link in (0, 3)),
    ]
    for scope, members in scopes:
        asker.check_hours(scope, members)
        asker.check_days(scope, members)
    asker.check_groups()

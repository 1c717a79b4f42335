"""`GET /api/insights/v1/series` against a model that counts events one by one, and its responses."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import date, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.insights.buckets import Comparison, Interval
from rollups.clickhouse import ClickHouse
from tests.conftest import emptied
from tests.support.seed import (
    ACCOUNT,
    DOMAIN,
    PUBLISHER,
    Callers,
    Daily,
    Hourly,
    account_on,
    callers,
    insert_daily,
    insert_hourly,
    insert_source,
    insert_watermark,
    upsert,
)
from tests.unit.api.insights.events import Event, counted, insert_account, insert_publisher

PATH = "/api/insights/v1/series"
AS_OF = "2026-11-20 10:59:59.000"
ZONES = {101: "Europe/Berlin", 102: "America/New_York", 103: "Asia/Kathmandu", 104: "Australia/Lord_Howe"}
FIRST_EVENT, LAST_EVENT = datetime(2025, 2, 1).timestamp(), datetime(2026, 11, 20, 10).timestamp()


def get(api: Callers, role: str = "account", accept: str = "application/json", **query: Any) -> Any:
    parameters = {name.removesuffix("_"): value for name, value in query.items()}
    return api.client.get(PATH, params=parameters, headers={"X-Api-Key": api.keys[role], "Accept": accept})


def make_events() -> list[Event]:
    """Sparse ones over two years, and many around the changes of clocks."""
    chance = random.Random(7)
    changes = [datetime(2025, 10, 26), datetime(2026, 3, 8), datetime(2026, 3, 29), datetime(2026, 4, 4)]
    moments = [chance.uniform(FIRST_EVENT, LAST_EVENT) for _ in range(400)]
    moments += [change.timestamp() + chance.uniform(-50_000, 120_000) for change in changes for _ in range(100)]
    return [
        Event(at, chance.randrange(30), chance.choice("ab"), chance.randrange(1, 4), chance.randrange(1, 3))
        for at in moments
    ]


EVENTS = make_events()


@pytest.fixture(scope="module")
def filled(engine: ClickHouse) -> Callers:
    db = emptied(engine)
    insert_source(db, 1, "2026-01-01 00:00:00")
    insert_watermark(db, 1, 0, AS_OF)
    for owner, zone in ZONES.items():
        account_on(db, "Personal", zone, owner)
        links = [{"account_id": owner, "domain": DOMAIN, "link_id": "b", "grp_idx": 5}]
        upsert(db, links=links, publishers=[{"publisher_id": owner, "name": "p", "time_zone": zone}])
        insert_account(db, owner, zone, EVENTS)
        insert_publisher(db, owner, zone, EVENTS)
    return callers(db, rate_limits="off")


SCOPES: dict[str, Any] = {
    "account": ({}, lambda event: True),
    "link": ({"linkId": "a", "domain": DOMAIN}, lambda event: event.link == "a"),
    "group": ({"grpIdx": 5}, lambda event: event.link == "b"),
    "publisher": ({}, lambda event: True),
    "advertiser": ({"advertiser_id": 2}, lambda event: event.advertiser == 2),
    "network": ({"network_id": 1, "advertiser_id": 3}, lambda event: (event.network, event.advertiser) == (1, 3)),
}


@settings(max_examples=60)
@given(
    owner=st.sampled_from(sorted(ZONES)),
    scope=st.sampled_from(sorted(SCOPES)),
    interval=st.sampled_from(get_args(Interval)),
    comparison=st.sampled_from([None, *get_args(Comparison)]),
    first=st.dates(date(2026, 2, 25), date(2026, 11, 25)) | st.dates(date(2026, 3, 25), date(2026, 4, 5)),
    length=st.integers(1, 12) | st.integers(13, 120),
)
def test_a_series_counts_what_the_model_counts(
    filled: Callers,
    owner: int,
    scope: str,
    interval: Interval,
    comparison: Comparison | None,
    first: date,
    length: int,
) -> None:
    parameters, chosen = SCOPES[scope]
    affiliate = scope in ("publisher", "advertiser", "network")
    interval = "day" if affiliate and interval == "hour" else interval
    last = first + timedelta(days=length - 1)
    whose: dict[str, Any] = {"publisher_id" if affiliate else "account_id": owner}
    compare: dict[str, Any] = {} if comparison is None else {"compare": comparison}
    answer = get(filled, "admin", from_=first, to=last, interval=interval, **whose, **parameters, **compare)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    events = [event for event in EVENTS if chosen(event)]
    compared = body["compare"] or []
    for row in [*body["data"], *compared]:
        clicks, users, bots = counted(events, row["start"], row["end"])
        assert (row["clicks"], row["users"], row["bots"]) == (clicks, None if affiliate else users, bots), row
    for rows in (body["data"], compared):
        assert [row["end"] for row in rows[:-1]] == [row["start"] for row in rows[1:]]
    if body["data"]:
        assert body["data"][0]["start"].startswith(f"{first}T0")
        end = body["meta"]["cut_at"] or f"{last + timedelta(days=1)}T00"
        assert body["data"][-1]["end"].startswith(end)
    if comparison is not None:
        assert len(compared) == len(body["data"])
        for row, before in zip(body["data"], compared, strict=True):
            aligned(comparison, row["start"], before["start"], length)


def aligned(comparison: Comparison, start: str, before: str, length: int) -> None:
    """The same hour of the wall clock, so many days before; a clock that is set forward moves it by an hour."""
    now, then = (datetime.fromisoformat(text).replace(tzinfo=None) for text in (start, before))
    days = {"previous": length, "weekday": -(-length // 7) * 7, "year": 365}[comparison]
    assert abs(now - then - timedelta(days=days)) <= timedelta(hours=1)
    assert comparison != "weekday" or (now + timedelta(hours=1)).weekday() == (then + timedelta(hours=1)).weekday()


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Personal", "Europe/Berlin")
    insert_source(db, 1, "2026-01-01 00:00:00")
    insert_watermark(db, 1, 0, "2026-03-31 08:20:00")  # 10:20 in Berlin
    return callers(db)


def clicks(rows: list[dict[str, Any]]) -> list[int]:
    return [row["clicks"] for row in rows]


def test_both_periods_are_cut_at_the_open_hour(db: ClickHouse, api: Callers) -> None:
    rows = [(day, hour) for day in ("2026-03-30", "2026-03-31") for hour in (9, 10, 11)]
    insert_hourly(db, [Hourly(day, hour, 10 + hour, [1], link="") for day, hour in rows])
    today = {"from_": "2026-03-31", "to": "2026-03-31"}
    body = get(api, **today, compare="previous").json()
    assert (clicks(body["data"]), clicks(body["compare"])) == ([19], [19])
    assert body["meta"]["cut_at"] == "2026-03-31T10:00:00+02:00"
    assert [row["end"] for row in body["data"]] == [body["meta"]["cut_at"]]
    whole = get(api, **today).json()
    assert (clicks(whole["data"]), whole["meta"]["cut_at"]) == ([60], None)
    assert whole["data"][0]["status"] == "open"
    hours = get(api, **today, interval="hour", compare="weekday").json()
    assert len(hours["data"]) == len(hours["compare"]) == 10


def test_days_of_a_publisher_are_compared_whole(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily(f"2026-03-{day}", day) for day in (28, 29, 30, 31)])
    body = get(api, "publisher", from_="2026-03-30", to="2026-03-31", compare="previous").json()
    assert (clicks(body["data"]), clicks(body["compare"])) == ([30], [28])
    assert body["meta"]["cut_at"] == "2026-03-31T00:00:00+00:00"


def test_hours_are_final_once_they_are_counted(api: Callers) -> None:
    body = get(api, from_="2026-03-31", to="2026-03-31", interval="hour").json()
    assert [row["status"] for row in body["data"]] == ["final"] * 10 + ["open"] * 14
    assert body["meta"] == {"time_zone": "Europe/Berlin", "cut_at": None, "as_of": "2026-03-31T08:20:00.000Z"}


def test_users_are_united_over_a_bucket(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly(f"2026-03-{day}", 3, 2, [1, day], link="") for day in (16, 17, 18)])
    days = get(api, from_="2026-03-16", to="2026-03-22").json()["data"]
    week = get(api, from_="2026-03-16", to="2026-03-22", interval="week").json()["data"]
    assert [row["users"] for row in days] == [2, 2, 2, 0, 0, 0, 0]
    assert [(row["clicks"], row["users"]) for row in week] == [(6, 4)]


def test_the_validator_holds_while_only_as_of_moves(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2026-03-30", 3, 2, [1], link="")])
    asked = {"from_": "2026-03-30", "to": "2026-03-30"}
    first = get(api, **asked)
    insert_watermark(db, 1, 0, "2026-03-31 09:40:00")
    headers = {"X-Api-Key": api.keys["account"], "If-None-Match": first.headers["ETag"]}
    days = {"from": "2026-03-30", "to": "2026-03-30"}
    again = api.client.get(PATH, params=days, headers=headers)
    assert (again.status_code, again.headers["X-Data-As-Of"]) == (304, "2026-03-31T09:40:00.000Z")
    insert_hourly(db, [Hourly("2026-03-30", 4, link="")])
    changed = api.client.get(PATH, params=days, headers=headers)
    assert (changed.status_code, clicks(changed.json()["data"])) == (200, [3])
    assert changed.json()["meta"]["as_of"] == changed.headers["X-Data-As-Of"]


def test_csv_and_ndjson_have_the_rows_of_json(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly(f"2026-03-{day}", 3, day, [1], link="") for day in (27, 28, 29, 30)])
    asked = {"from_": "2026-03-29", "to": "2026-03-30", "compare": "previous"}
    body = get(api, **asked).json()
    table = get(api, accept="text/csv", **asked)
    lines = get(api, accept="application/x-ndjson", **asked)
    assert table.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert lines.headers["content-type"] == "application/x-ndjson"
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert [int(row["clicks"]) for row in rows] == clicks(body["data"]) == [29, 30]
    assert [int(row["compare_clicks"]) for row in rows] == clicks(body["compare"]) == [27, 28]
    parsed = [json.loads(line) for line in lines.text.splitlines()]
    assert [{**row, "compare": None} for row in body["data"]] == [
        {**{name: row[name] for name in body["data"][0]}, "compare": None} for row in parsed
    ]
    assert table.headers["ETag"] != lines.headers["ETag"]


@pytest.mark.parametrize(
    ("role", "query", "field"),
    [
        ("account", {"from_": "2026-03-01"}, "to"),
        ("account", {"from_": "x", "to": "2026-03-01"}, "from"),
        ("account", {"from_": "2026-03-02", "to": "2026-03-01"}, "to"),
        ("account", {"from_": "2025-02-24", "to": "2026-03-31"}, "to"),
        ("account", {"from_": "9999-12-31", "to": "9999-12-31"}, "from"),
        ("account", {"interval": "year"}, "interval"),
        ("account", {"compare": "week"}, "compare"),
        ("account", {"interval": ["day", "hour"]}, "interval"),
        ("account", {"linkId": "a"}, "domain"),
        ("account", {"domain": DOMAIN}, "linkId"),
        ("account", {"linkId": "a", "domain": "no domain"}, "domain"),
        ("account", {"grpIdx": "x"}, "grpIdx"),
        ("account", {"advertiser_id": 1}, "advertiser_id"),
        ("publisher", {"interval": "hour"}, "interval"),
        ("publisher", {"grpIdx": 1}, "grpIdx"),
        ("publisher", {"network_id": 0}, "network_id"),
        ("admin", {"account_id": 1, "publisher_id": 1}, "publisher_id"),
        ("admin", {"account_id": "x"}, "account_id"),
    ],
)
def test_what_is_wrong_is_named(api: Callers, role: str, query: dict[str, Any], field: str) -> None:
    answer = get(api, role, **{"from_": "2026-03-01", "to": "2026-03-31", **query} if "from_" not in query else query)
    assert (answer.status_code, answer.json()["error"]["details"]) == (400, {"field": field})


@pytest.mark.parametrize("scope", [{"linkId": "nope", "domain": DOMAIN}, {"grpIdx": 99}])
def test_an_unknown_scope_is_404(api: Callers, scope: dict[str, Any]) -> None:
    assert get(api, from_="2026-03-01", to="2026-03-31", **scope).status_code == 404


def test_a_known_link_without_clicks_is_all_zeros(db: ClickHouse, api: Callers) -> None:
    upsert(db, links=[{"account_id": ACCOUNT, "domain": DOMAIN, "link_id": "new", "grp_idx": 0}])
    body = get(api, from_="2026-03-01", to="2026-03-31", linkId="new", domain="VVD.bz/").json()
    assert clicks(body["data"]) == [0] * 31


def test_a_plan_without_statistics_has_none_here(db: ClickHouse, api: Callers) -> None:
    account_on(db, "Free")
    assert get(api, from_="2026-03-01", to="2026-03-31").status_code == 403


@pytest.mark.parametrize(("role", "expected"), [("publisher", [2]), ("admin", [5])])
def test_a_scope_is_that_of_the_key(db: ClickHouse, api: Callers, role: str, expected: list[int]) -> None:
    insert_daily(db, [Daily("2026-03-30", 2), Daily("2026-03-30", 3, publisher=46)])
    body = get(api, role, from_="2026-03-30", to="2026-03-30").json()
    assert clicks(body["data"]) == expected
    foreign = get(api, role, from_="2026-03-30", to="2026-03-30", publisher_id=46 if role == "publisher" else PUBLISHER)
    assert clicks(foreign.json()["data"]) == [2]


def test_before_1970_there_is_nothing(api: Callers) -> None:
    body = get(api, from_="1970-01-01", to="1970-01-09", interval="week", compare="previous").json()
    assert [clicks(body[name]) for name in ("data", "compare")] == [[0, 0]] * 2

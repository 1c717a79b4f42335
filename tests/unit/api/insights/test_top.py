"""`GET /api/insights/v1/top` against a model that counts events one by one, and its responses."""

from __future__ import annotations

import csv
import io
import random
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.insights.parameters import OF_ACCOUNTS, OF_PUBLISHERS, Dimension, Order
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
from tests.unit.api.insights.events import Event, insert_account, insert_publisher

PATH = "/api/insights/v1/top"
OWNER, ZONE = 101, "America/New_York"
LINKS = ["a", "b", "c", "d/e", "é=1"]
GROUPS = {"a": 5, "b": 5, "c": 6}
MONTH = {"from_": "2026-03-01", "to": "2026-03-31"}


def get(api: Callers, role: str = "account", accept: str = "application/json", **query: Any) -> Any:
    parameters = {name.removesuffix("_"): value for name, value in query.items()}
    return api.client.get(PATH, params=parameters, headers={"X-Api-Key": api.keys[role], "Accept": accept})


def make_events() -> list[Event]:
    chance = random.Random(11)
    start = datetime(2026, 2, 1).timestamp()
    return [
        Event(
            start + chance.uniform(0, 60 * 86_400),
            chance.randrange(12),
            chance.choice(LINKS),
            chance.randrange(1, 9),
            chance.randrange(1, 4),
        )
        for _ in range(600)
    ]


EVENTS = make_events()
VALUES: dict[Dimension, Callable[[Event], int | str | None]] = {
    "link": lambda event: f"{DOMAIN}/{event.link}",
    "group": lambda event: GROUPS.get(event.link),
    "advertiser": lambda event: event.advertiser,
    "network": lambda event: event.network,
    "publisher": lambda event: OWNER,
}


@pytest.fixture(scope="module")
def filled(engine: ClickHouse) -> Callers:
    db = emptied(engine)
    insert_source(db, 1, "2026-01-01 00:00:00")
    insert_watermark(db, 1, 0, "2026-06-01 00:00:00")
    account_on(db, "Personal", ZONE, OWNER)
    links = [
        {"account_id": OWNER, "domain": DOMAIN, "link_id": link, "grp_idx": group} for link, group in GROUPS.items()
    ]
    upsert(db, links=links, publishers=[{"publisher_id": OWNER, "name": "p", "time_zone": ZONE}])
    insert_account(db, OWNER, ZONE, EVENTS)
    insert_publisher(db, OWNER, ZONE, EVENTS)
    return callers(db, rate_limits="off")


def days(first: date, length: int) -> Callable[[Event], bool]:
    last = first + timedelta(days=length)
    return lambda event: first <= datetime.fromtimestamp(event.at, ZoneInfo(ZONE)).date() < last


def expected(dimension: Dimension, order: Order, limit: int, first: date, length: int) -> list[dict[str, Any]]:
    value_of = VALUES[dimension]
    now = [event for event in EVENTS if days(first, length)(event)]
    before = [event for event in EVENTS if days(first - timedelta(days=length), length)(event)]
    clicks, bots, previous = (
        Counter(value_of(event) for event in events if bool(event.user) == person)
        for events, person in ((now, True), (now, False), (before, True))
    )
    users = {value: len({each.user for each in now if each.user and value_of(each) == value}) for value in clicks}
    rank: dict[Order, Callable[[Any], int]] = {
        "clicks": lambda value: clicks[value],
        "gain": lambda value: clicks[value] - previous[value],
        "loss": lambda value: previous[value] - clicks[value],
    }
    values = [value for value in {*clicks, *previous} if value is not None and rank[order](value) > 0]
    chosen = sorted(values, key=lambda value: (-rank[order](value), value))[:limit]
    affiliate = dimension in OF_PUBLISHERS
    rows = [
        {
            "value": value,
            "clicks": clicks[value],
            "users": None if affiliate else users.get(value, 0),
            "bots": bots[value],
            "previous": previous[value],
        }
        for value in chosen
    ]
    rest = [counts.total() - sum(counts[value] for value in chosen) for counts in (clicks, bots, previous)]
    other = {"value": "(other)", "clicks": rest[0], "users": None, "bots": rest[1], "previous": rest[2]}
    return [*rows, *([other] if any(rest) else [])]


@settings(max_examples=60)
@given(
    dimension=st.sampled_from(get_args(Dimension)),
    order=st.sampled_from(get_args(Order)),
    limit=st.integers(1, 9),
    first=st.dates(date(2026, 2, 1), date(2026, 4, 10)),
    length=st.integers(1, 40),
)
def test_top_counts_what_the_model_counts(
    filled: Callers, dimension: Dimension, order: Order, limit: int, first: date, length: int
) -> None:
    whose: dict[str, Any] = {"account_id" if dimension in OF_ACCOUNTS else "publisher_id": OWNER}
    last = first + timedelta(days=length - 1)
    answer = get(filled, "admin", by=dimension, order=order, limit=limit, from_=first, to=last, **whose)
    assert answer.status_code == 200, answer.text
    rows = [{name: value for name, value in row.items() if name != "label"} for row in answer.json()["data"]]
    assert rows == expected(dimension, order, limit, first, length)
    assert answer.json()["meta"]["cut_at"] is None


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Personal", "Europe/Berlin")
    insert_source(db, 1, "2026-01-01 00:00:00")
    insert_watermark(db, 1, 0, "2026-03-31 08:20:00")  # 10:20 in Berlin
    return callers(db)


def test_a_range_that_has_not_ended_is_compared_up_to_the_open_hour(db: ClickHouse, api: Callers) -> None:
    rows = [(day, hour) for day in ("2026-03-30", "2026-03-31") for hour in (9, 10, 11)]
    insert_hourly(db, [Hourly(day, hour, hour + int(day[-2:]), [1]) for day, hour in rows])
    today = {"from_": "2026-03-31", "to": "2026-03-31", "by": "link"}
    whole = get(api, **today).json()
    assert [(row["clicks"], row["previous"]) for row in whole["data"]] == [(40 + 41 + 42, 39)]
    gain = get(api, **today, order="gain").json()
    assert [(row["clicks"], row["previous"]) for row in gain["data"]] == [(40, 39)]
    assert whole["meta"]["cut_at"] == gain["meta"]["cut_at"] == "2026-03-31T10:00:00+02:00"


def test_names_are_labels(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2026-03-30", 3, 2, [1]), Hourly("2026-03-30", 3, 1, [1], link="x")])
    insert_daily(db, [Daily("2026-03-30", 2), Daily("2026-03-30", 1, advertiser=2)])
    links = [
        {"account_id": ACCOUNT, "domain": DOMAIN, "link_id": link, "grp_idx": n} for n, link in ((5, "abc"), (6, "x"))
    ]
    names = {
        "advertisers": [{"advertiser_id": 1, "name": "Shop", "slug": "shop"}],
        "networks": [{"network_id": 1, "name": "N"}],
    }
    upsert(
        db,
        links=links,
        groups=[{"account_id": ACCOUNT, "grp_idx": 5, "name": "spring"}],
        publishers=[{"publisher_id": PUBLISHER, "name": "P", "time_zone": "UTC"}],
        **names,
    )

    def labels(by: str, role: str) -> list[tuple[Any, Any]]:
        return [(row["value"], row["label"]) for row in get(api, role, by=by, **MONTH).json()["data"]]

    assert labels("link", "account") == [(f"{DOMAIN}/{link}", f"{DOMAIN}/{link}") for link in ("abc", "x")]
    assert labels("group", "account") == [(5, "spring"), (6, None)]
    assert labels("advertiser", "publisher") == [(1, "Shop"), (2, None)]
    assert labels("network", "publisher") == [(1, "N")]
    assert labels("publisher", "publisher") == [(PUBLISHER, "P")]


def test_an_admin_compares_all_publishers(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, [Daily("2026-03-30", 2), Daily("2026-03-30", 3, publisher=46)])
    rows = get(api, "admin", by="publisher", **MONTH).json()["data"]
    assert [(row["value"], row["clicks"]) for row in rows] == [(46, 3), (PUBLISHER, 2)]


def test_links_of_a_group_only(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2026-03-30", 3, 2, [1]), Hourly("2026-03-30", 3, 1, [1], link="x")])
    upsert(db, links=[{"account_id": ACCOUNT, "domain": DOMAIN, "link_id": "x", "grp_idx": 5}])
    rows = get(api, by="link", grpIdx=5, **MONTH).json()["data"]
    assert [(row["value"], row["clicks"]) for row in rows] == [(f"{DOMAIN}/x", 1)]
    assert get(api, by="link", grpIdx=6, **MONTH).status_code == 404


def test_csv_has_the_rows_of_json_and_no_formula(db: ClickHouse, api: Callers) -> None:
    insert_hourly(db, [Hourly("2026-03-30", 3, 2, [1])])
    upsert(db, links=[{"account_id": ACCOUNT, "domain": DOMAIN, "link_id": "abc", "grp_idx": 5}])
    upsert(db, groups=[{"account_id": ACCOUNT, "grp_idx": 5, "name": "=HYPERLINK(1)"}])
    table = get(api, by="group", accept="text/csv", **MONTH)
    [row] = csv.DictReader(io.StringIO(table.text, newline=""))
    assert row == {"value": "5", "label": "'=HYPERLINK(1)", "clicks": "2", "users": "1", "bots": "0", "previous": "0"}


@pytest.mark.parametrize(
    ("role", "query", "field"),
    [
        ("account", {"by": "country"}, "by"),
        ("account", {}, "by"),
        ("account", {"by": "advertiser"}, "by"),
        ("publisher", {"by": "link"}, "by"),
        ("account", {"by": "link", "limit": 0}, "limit"),
        ("account", {"by": "link", "limit": 201}, "limit"),
        ("account", {"by": "link", "order": "name"}, "order"),
    ],
)
def test_what_is_wrong_is_named(api: Callers, role: str, query: dict[str, Any], field: str) -> None:
    error = get(api, role, **MONTH, **query).json()["error"]
    assert (error["code"], error["details"]) == ("BAD_REQUEST", {"field": field})


@pytest.mark.parametrize(("role", "names"), [("account", OF_ACCOUNTS), ("publisher", OF_PUBLISHERS)])
def test_another_dimension_is_told_which_there_are(api: Callers, role: str, names: tuple[str, ...]) -> None:
    message = get(api, role, by="referrer", **MONTH).json()["error"]["message"]
    assert ", ".join(names) in message


def test_nothing_is_no_row(api: Callers) -> None:
    assert get(api, by="group", **MONTH).json()["data"] == []

"""Users never exceed clicks: what happens if they do in the rollups."""

from __future__ import annotations

import logging
from datetime import date

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from api.catalog.scopes import AccountScope
from api.statistics.queries import ClickCount, ClickCounts
from deploy.processes.metrics_listener import metrics_app
from deploy.settings import Settings
from rollups.clickhouse import ClickHouse
from tests.support.seed import ACCOUNT, Hourly, account_on, callers, insert_hourly

DAY = date(2026, 3, 31)


def above(registry: CollectorRegistry) -> dict[str, float]:
    return {
        cause: registry.get_sample_value("clickmill_users_above_clicks_total", {"cause": cause}) or 0
        for cause in ("estimate", "damage")
    }


def test_what_cannot_be_is_logged_counted_and_not_served(db: ClickHouse, caplog: pytest.LogCaptureFixture) -> None:
    insert_hourly(db, [Hourly("2026-03-31", 4, clicks=2, users=[1, 2, 3], link="")])
    insert_hourly(db, [Hourly("2026-03-31", 5, clicks=3, users=[1, 2, 3], link="")])
    registry = CollectorRegistry()
    with caplog.at_level(logging.ERROR):
        hours = ClickCounts(db, registry).by_hour(ACCOUNT, AccountScope(), DAY, DAY)
    assert hours == {(DAY, 4): ClickCount(clicks=2, users=2), (DAY, 5): ClickCount(clicks=3, users=3)}
    assert above(registry) == {"estimate": 0, "damage": 1}
    assert caplog.messages == [f"account {ACCOUNT}, 2026-03-31 4: 3 users of 2 clicks; run `clickmill audit`"]


def test_a_large_set_that_is_estimated_too_high_is_no_damage(db: ClickHouse, caplog: pytest.LogCaptureFixture) -> None:
    """100,000 users click once each: the estimate of some sets is higher."""
    db.command(
        "INSERT INTO rollup (grain, owner, day, hour, clicks, users) "
        "SELECT 'account_hour', 7, toDate('2026-03-31'), number, 100000, "
        "arrayReduce('uniqState', arrayMap(x -> sipHash64(x + number * 1000000), range(100000))) FROM numbers(12)"
    )
    registry = CollectorRegistry()
    hours = ClickCounts(db, registry).by_hour(ACCOUNT, AccountScope(), DAY, DAY)
    assert len(hours) == 12
    assert all(99_000 <= users <= clicks == 100_000 for clicks, users in hours.values())
    exceeded = sum(count.users == 100_000 for count in hours.values())
    assert 0 < above(registry)["estimate"] <= exceeded
    assert above(registry)["damage"] == 0
    assert not caplog.messages


def test_the_metric_is_told_to_prometheus(db: ClickHouse) -> None:
    account_on(db, "Enterprise")
    insert_hourly(db, [Hourly("2026-03-31", 4, clicks=1, users=[1, 2], link="")])
    api = callers(db)
    registry = api.client.app.state.metrics  # type: ignore[attr-defined]
    assert api.hourly().json()["result"][0]["pernCnt"] == 1
    text = TestClient(metrics_app(Settings(), registry)).get("/metrics").text
    assert 'clickmill_users_above_clicks_total{cause="damage"} 1.0' in text
    assert 'clickmill_users_above_clicks_total{cause="estimate"} 0.0' in text

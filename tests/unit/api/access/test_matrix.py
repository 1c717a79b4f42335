"""Every call with every kind of caller; no response mentions data of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Route

from api.access.keys import KeyRing
from api.app import create_app
from deploy.processes.collector import CollectorService
from deploy.settings import Settings
from rollups.clickhouse import ClickHouse
from tests.support.clock import Clock
from tests.support.seed import (
    ACCOUNT,
    ADMIN_KEY,
    PUBLISHER,
    UNKNOWN_KEY,
    Away,
    Daily,
    Hourly,
    account_on,
    insert_daily,
    insert_hourly,
    upsert,
)

ROLES = ("settings", "admin", "publisher", "account", "ingest", "none", "wrong", "expired", "revoked")
OTHER_ACCOUNT, OTHER_PUBLISHER = 8, 46
MINE, THEIRS = 1234, 987654  # clicks
THEIR_NAME = "nobody-elses-business"

# What a call asks of its caller. The first is let in, the second known and refused, anybody else unknown.
ANYBODY = (set(ROLES), set[str]())
ANY_KEY = ({"settings", "admin", "publisher", "account", "ingest"}, set[str]())
CLICKS = ({"settings", "admin", "publisher"}, {"account", "ingest"})
DATA = ({"settings", "admin", "publisher", "account"}, {"ingest"})
STATISTICS = ({"account"}, set[str]())  # with any other key a caller is nobody there
ADMIN = ({"settings", "admin"}, {"publisher", "account", "ingest"})
INGEST = ({"settings", "admin", "ingest"}, {"publisher", "account"})

CALLS = {
    ("GET", "/healthz"): ANYBODY,
    ("GET", "/readyz"): ANYBODY,
    ("GET", "/api/v1/schema"): ANYBODY,
    ("GET", "/api/v1/tools"): ANYBODY,
    ("GET", "/mcp/integration.json"): ANYBODY,
    ("GET", "/llms.txt"): ANYBODY,
    ("GET", "/mcp"): ANYBODY,
    ("POST", "/mcp"): ANYBODY,  # it lists what there is; its tools are the calls above, see mcp/test_tools.py
    ("GET", "/"): ANYBODY,
    ("GET", "/dashboard"): ANYBODY,
    ("GET", "/playground"): ANYBODY,
    ("GET", "/api/v1/integration"): ANYBODY,
    ("GET", "/assets/{name:path}"): ANYBODY,
    ("GET", "/demo-keys"): ANYBODY,  # none but in a demonstration
    ("GET", "/api/v1/key"): ANY_KEY,
    ("GET", "/api/v1/clicks"): CLICKS,
    ("GET", "/api/v1/live"): DATA,
    ("GET", "/api/insights/v1/series"): DATA,
    ("GET", "/api/insights/v1/top"): DATA,
    ("GET", "/api/statistics/v1/clicks-by-hour"): STATISTICS,
    ("GET", "/api/statistics/v2/clicks-by-hour"): STATISTICS,
    ("GET", "/api/statistics/v3/clicks-by-hour"): STATISTICS,
    ("GET", "/api/statistics/v1/clicks-by-date"): STATISTICS,
    ("GET", "/api/statistics/v2/clicks-by-date"): STATISTICS,
    ("GET", "/api/link/v1/clicks-by-group"): STATISTICS,
    ("GET", "/api/link/v2/clicks-by-group"): STATISTICS,
    ("GET", "/api/link-group/v1/list"): STATISTICS,
    ("GET", "/api/link-group/v2/list"): STATISTICS,
    ("PUT", "/admin/catalog"): ADMIN,
    ("POST", "/admin/keys"): ADMIN,
    ("GET", "/admin/keys"): ADMIN,
    ("DELETE", "/admin/keys/{key_id}"): ADMIN,
    ("POST", "/admin/keys/{key_id}/rotate"): ADMIN,
    ("GET", "/admin/audit"): ADMIN,
    ("GET", "/admin/accounts"): ADMIN,
    ("GET", "/admin/publishers"): ADMIN,
    ("GET", "/admin/lag"): ADMIN,
    ("GET", "/admin/dead-letters"): ADMIN,
    ("POST", "/ingest/events"): INGEST,
}
OF_ACCOUNTS = [path for (_, path), who in CALLS.items() if who is STATISTICS]


def whole(db: ClickHouse, ring: KeyRing) -> TestClient:
    """All that `clickmill up` serves on its port."""
    settings = Settings(admin_key=ADMIN_KEY, rate_limits="off")
    app = create_app(db, settings, keys=ring)
    app.router.routes.extend(CollectorService(settings).routes(ring))
    return TestClient(app, raise_server_exceptions=False)


def calls(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from calls(included.routes)
            continue
        assert isinstance(route, Route), f"{route} has calls that this test does not see"
        methods = route.methods or {"GET", "POST"}  # an application of its own, as MCP is, has none
        yield from ((method, route.path) for method in methods - {"HEAD"})


def test_every_call_is_in_the_matrix() -> None:
    client = whole(Away(), KeyRing(Away(), Settings(admin_key=ADMIN_KEY)))
    found = list(calls(client.app.routes))  # type: ignore[attr-defined]
    assert sorted(found) == sorted(CALLS), "each call has an entry that says who may make it"


class Everybody:
    """A client, and a key of each role; other accounts and publishers have data, too."""

    def __init__(self, db: ClickHouse) -> None:
        clock = Clock(1_800_000_000.0)
        ring = KeyRing(db, Settings(admin_key=ADMIN_KEY), clock)
        self.keys: dict[str, str | None] = {"settings": ADMIN_KEY, "wrong": UNKNOWN_KEY, "none": None}
        self.keys["admin"] = ring.create("admin")[1]
        self.keys["publisher"] = ring.create("publisher", publisher_id=PUBLISHER)[1]
        self.keys["account"] = ring.create("account", account_id=ACCOUNT)[1]
        self.keys["ingest"] = ring.create("ingest")[1]
        self.keys["expired"] = ring.create("admin", expires_at=int(clock.now) + 1)[1]
        revoked, self.keys["revoked"] = ring.create("admin")
        ring.revoke(revoked.id)
        clock.now += 2
        self.client = whole(db, ring)

    def call(self, role: str, method: str, path: str, parameters: dict[str, Any] | None = None) -> Any:
        key = self.keys[role]
        headers = {"Content-Type": "application/json", "Accept": "application/json"}  # or the live stream would not end
        if key is not None:
            header = "Authorization" if path in OF_ACCOUNTS else "X-Api-Key"
            headers[header] = f"APIKey {key}" if path in OF_ACCOUNTS else key
        path = path.replace("{key_id}", "nope")
        return self.client.request(method, path, params=parameters, headers=headers)


@pytest.fixture
def everybody(db: ClickHouse) -> Everybody:
    for account, clicks, name in ((ACCOUNT, MINE, "mine"), (OTHER_ACCOUNT, THEIRS, THEIR_NAME)):
        account_on(db, "Enterprise", account_id=account)
        link = {"account_id": account, "domain": "vvd.bz", "link_id": name, "grp_idx": account}
        upsert(db, links=[link], groups=[{"account_id": account, "grp_idx": account, "name": name}])
        rows = [Hourly("2026-03-31", 5, clicks, [1], link=link, account=account) for link in ("", name)]
        insert_hourly(db, rows)
    insert_daily(db, [Daily("2026-03-31", MINE), Daily("2026-03-31", THEIRS, publisher=OTHER_PUBLISHER)])
    upsert(db, publishers=[{"publisher_id": OTHER_PUBLISHER, "name": THEIR_NAME}])
    return Everybody(db)


@pytest.mark.parametrize("role", ROLES)
def test_matrix(everybody: Everybody, role: str) -> None:
    for (method, path), (let_in, refused) in CALLS.items():
        status = everybody.call(role, method, path).status_code
        if role in let_in:
            assert status not in (401, 403, 405, 500), (method, path, status)
        else:
            assert status == (403 if role in refused else 401), (method, path)


DAYS = {"ymd": "2026-03-31", "startYmd": "2026-03-31", "endYmd": "2026-03-31"}


@pytest.mark.parametrize("path", OF_ACCOUNTS)
@pytest.mark.parametrize(
    ("theirs", "nobodys"),
    [
        pytest.param({"linkId": THEIR_NAME, "domain": "vvd.bz"}, {"linkId": "nope", "domain": "vvd.bz"}, id="link"),
        pytest.param({"grpIdx": OTHER_ACCOUNT}, {"grpIdx": 999}, id="group"),
        pytest.param({"grpIdxList": f"{OTHER_ACCOUNT}"}, {"grpIdxList": "999"}, id="groups"),
        pytest.param({"nm": THEIR_NAME}, {"nm": "nope"}, id="name"),
    ],
)
def test_what_is_anothers_reads_like_what_is_not(
    everybody: Everybody, path: str, theirs: dict[str, Any], nobodys: dict[str, Any]
) -> None:
    foreign = everybody.call("account", "GET", path, {**DAYS, **theirs})
    unknown = everybody.call("account", "GET", path, {**DAYS, **nobodys})
    assert (foreign.status_code, foreign.text) == (unknown.status_code, unknown.text)
    assert foreign.headers.get("etag") == unknown.headers.get("etag")


@pytest.mark.parametrize("path", OF_ACCOUNTS)
def test_an_account_hears_of_itself_only(everybody: Everybody, path: str) -> None:
    link = {"linkId": "mine", "domain": "vvd.bz"}
    answers = [everybody.call("account", "GET", path, {**DAYS, **scope, "fill": "1"}) for scope in ({}, link)]
    assert any(str(MINE) in answer.text or '"mine"' in answer.text for answer in answers), "it hears of itself"
    for answer in answers:
        assert str(THEIRS) not in answer.text
        assert THEIR_NAME not in answer.text


@pytest.mark.parametrize("asked", [{}, {"publisher_id": OTHER_PUBLISHER}, {"publisher_id": 999}, {"per_page": 1}])
def test_a_publisher_hears_of_itself_only(everybody: Everybody, asked: dict[str, Any]) -> None:
    days = {"start_date": "2026-03-31", "end_date": "2026-03-31"}
    answer = everybody.call("publisher", "GET", "/api/v1/clicks", {**days, **asked})
    assert [row["click_count"] for row in answer.json()["data"]] == [MINE]
    assert (answer.json()["meta"]["total_count"], answer.json()["meta"]["publisher_id"]) == (1, PUBLISHER)
    assert str(THEIRS) not in answer.text
    assert THEIR_NAME not in answer.text

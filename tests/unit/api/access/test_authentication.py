"""Credentials, their order, and the access of each role to each family of calls."""

from __future__ import annotations

from typing import Any

import pytest

from api.access.keys import KeyRing
from api.settings import Settings
from rollups.clickhouse import ClickHouse
from tests.support.seed import UNKNOWN_KEY, Callers, Daily, account_on, callers, insert_daily

CLICKS = "/api/v1/clicks?start_date=2026-03-01&end_date=2026-03-31"
HOURLY = "/api/statistics/v2/clicks-by-hour?ymd=2026-03-31"
BAD, GOOD = UNKNOWN_KEY, "publisher"


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    return callers(db)


@pytest.mark.parametrize(
    ("role", "clicks", "hourly", "admin"),
    [
        pytest.param("settings", 200, 401, 200, id="admin-of-the-settings"),
        pytest.param("admin", 200, 401, 200, id="admin"),
        pytest.param("publisher", 200, 401, 403, id="publisher"),
        pytest.param("account", 403, 200, 403, id="account"),
        pytest.param("ingest", 403, 401, 403, id="ingest"),
        pytest.param("unknown", 401, 401, 401, id="unknown-key"),
    ],
)
def test_matrix(api: Callers, role: str, clicks: int, hourly: int, admin: int) -> None:
    assert api.clicks(role).status_code == clicks
    assert api.hourly(role).status_code == hourly
    assert api.admin("GET", "/keys", role=role).status_code == admin


@pytest.mark.parametrize(
    ("header", "bearer", "query", "status"),
    [
        pytest.param(GOOD, None, None, 200, id="header"),
        pytest.param(None, "Bearer {}", None, 200, id="bearer"),
        pytest.param(None, "bEARER  {}", None, 200, id="bearer-scheme-in-any-case"),
        pytest.param(None, None, GOOD, 200, id="query"),
        pytest.param(None, None, None, 401, id="none"),
        pytest.param(GOOD, "Bearer wrong", BAD, 200, id="header-decides-though-others-are-wrong"),
        pytest.param(BAD, "Bearer {}", GOOD, 401, id="header-wrong-no-fall-through"),
        pytest.param("", "Bearer {}", GOOD, 401, id="header-empty-no-fall-through"),
        pytest.param(None, "Bearer {}", BAD, 200, id="bearer-decides-over-query"),
        pytest.param(None, "Bearer wrong", GOOD, 401, id="bearer-wrong-no-fall-through"),
        pytest.param(None, "Bearer", GOOD, 401, id="bearer-without-a-key"),
        pytest.param(None, "Basic {}", GOOD, 401, id="other-scheme-no-fall-through"),
        pytest.param(None, None, BAD, 401, id="query-wrong"),
    ],
)
def test_credentials_of_the_clicks_api(
    api: Callers, header: str | None, bearer: str | None, query: str | None, status: int
) -> None:
    key = api.keys["publisher"]
    headers = {}
    if header is not None:
        headers["X-Api-Key"] = key if header is GOOD else header
    if bearer is not None:
        headers["Authorization"] = bearer.format(key)
    asked = "" if query is None else f"&api_key={key if query is GOOD else query}"
    answer = api.client.get(CLICKS + asked, headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"]["code"] == "UNAUTHORIZED"
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_admin_call_takes_a_bearer_but_no_key_in_the_query(api: Callers) -> None:
    key = api.keys["admin"]
    assert api.client.get("/admin/keys", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert api.client.get(f"/admin/keys?api_key={key}").status_code == 401


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param("APIKey {}", 200, id="apikey"),
        pytest.param("apikey {}", 200, id="scheme-lower-case"),
        pytest.param("APIKEY   {}", 200, id="more-spaces"),
        pytest.param("Bearer {}", 401, id="bearer-is-another-scheme"),
        pytest.param("{}", 401, id="no-scheme"),
        pytest.param("APIKey", 401, id="no-key"),
        pytest.param(None, 401, id="none"),
    ],
)
def test_credentials_of_the_statistics(api: Callers, authorization: str | None, status: int) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.format(api.keys["account"])}
    answer = api.client.get(HOURLY, headers=headers)
    assert answer.status_code == status
    assert answer.json()["code"] == (0 if status == 200 else 1401)


def test_the_statistics_take_no_other_credential(api: Callers) -> None:
    key = api.keys["account"]
    answer = api.client.get(f"{HOURLY}&api_key={key}", headers={"X-Api-Key": key})
    assert (answer.status_code, answer.json()["code"], answer.json()["result"]) == (401, 1401, None)


def hourly_as(api: Callers, agent: str | None) -> Any:
    headers = {"Authorization": f"APIKey {api.keys['account']}"}
    request = api.client.build_request("GET", HOURLY, headers=headers)
    del request.headers["User-Agent"]
    if agent is not None:
        request.headers["User-Agent"] = agent
    return api.client.send(request)


@pytest.mark.parametrize(
    ("agent", "status"),
    [
        pytest.param("curl/8", 200, id="any"),
        pytest.param(None, 403, id="missing"),
        pytest.param("", 403, id="empty"),
        pytest.param("  ", 403, id="blank"),
        pytest.param("Mozilla/5.0 (BadBot 1.0)", 403, id="blocked-part-in-any-case"),
        pytest.param("evil", 403, id="second-of-the-list"),
        pytest.param("Bad Bot", 200, id="not-the-blocked-part"),
    ],
)
def test_user_agent_of_the_statistics(db: ClickHouse, agent: str | None, status: int) -> None:
    account_on(db, "Enterprise")
    answer = hourly_as(callers(db, blocked_user_agents="badbot, Evil,,"), agent)
    assert answer.status_code == status
    if status == 403:
        assert (answer.json()["code"], answer.json()["result"]) == (1403, None)


def test_nothing_is_blocked_by_default(api: Callers) -> None:
    assert hourly_as(api, "anything").status_code == 200


def test_who_asks_is_known_before_what_is_asked(api: Callers) -> None:
    assert api.client.get("/api/v1/clicks").status_code == 401
    assert api.clicks("account", start_date="nonsense").status_code == 403
    assert api.client.put("/admin/catalog", content=b"{", headers={"X-Api-Key": BAD}).status_code == 401


def test_without_an_admin_key_in_the_settings_an_empty_key_is_nobody(db: ClickHouse) -> None:
    api = callers(db)
    for key in ("", " "):
        assert api.client.get("/admin/keys", headers={"X-Api-Key": key}).status_code == 401


def test_a_publishers_key_without_a_publisher_and_an_accounts_without_an_account_see_nobody(db: ClickHouse) -> None:
    """`create` makes no such key, but a row may have been written by hand."""
    insert_daily(db, [Daily("2026-03-31", 9)])
    ring = KeyRing(db, Settings())
    keys = {
        "nobody": ring.create("publisher")[1],
        "zero": ring.create("publisher", publisher_id=0)[1],
        "no-account": ring.create("account")[1],
        "publisher-with-account": ring.create("publisher", publisher_id=45, account_id=7)[1],
    }
    account_on(db, "Enterprise")
    api = callers(db)
    api.keys.update(keys)
    for role in ("nobody", "zero"):
        answer = api.clicks(role)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
        assert api.clicks(role, publisher_id=45).status_code == 403
    for role in ("no-account", "publisher-with-account"):
        assert (api.hourly(role).status_code, api.hourly(role).json()["code"]) == (401, 1401)

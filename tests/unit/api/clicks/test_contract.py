"""The rules of the contract, section 1, over HTTP. An id names the row of its table, then the side of the limit."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from rollups.clickhouse import ClickHouse
from tests.support import some
from tests.support.seed import ADMIN_KEY, UNKNOWN_KEY, Away, Callers, Daily, callers, insert_daily
from tests.unit.api.clicks.test_endpoint import META_KEYS, ROW_KEYS

PATH = "/api/v1/clicks"
MARCH = {"start_date": "2026-03-01", "end_date": "2026-03-31"}


@pytest.fixture(scope="module")
def api(engine: ClickHouse) -> Callers:
    """1,001 rows of publisher 45, five of them on a day of their own, and one row of publisher 46."""
    for (table,) in engine.query("SELECT name FROM system.tables WHERE name IN ('rollup', 'publishers')"):
        engine.command(f"TRUNCATE TABLE {table}")
    engine.command(
        "INSERT INTO rollup (grain, owner, day, advertiser_id, network_id, clicks) "
        "SELECT 'affiliate_day', 45, toDate('2026-03-05') + (number >= 996), number + 1, 1, 1 FROM numbers(1001)"
    )
    insert_daily(engine, [Daily("2026-03-07", clicks=3, publisher=46)])
    return callers(engine)


def error(answer: Any) -> tuple[int, str, str | None]:
    """Status, code and field of a documented error response."""
    body = answer.json()
    assert list(body) == ["error"]
    assert set(body["error"]) - {"details"} == {"code", "message", "timestamp", "request_id"}
    assert body["error"]["request_id"] == answer.headers["X-Request-Id"]
    written = datetime.fromisoformat(body["error"]["timestamp"])
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, body["error"]["code"], body["error"].get("details", {}).get("field")


X, BEARER, QUERY = "X-Api-Key", "Authorization", "api_key"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param({X: "publisher"}, 200, id="credentials: X-Api-Key"),
        pytest.param({BEARER: "publisher"}, 200, id="credentials: bearer"),
        pytest.param({QUERY: "publisher"}, 200, id="credentials: api_key"),
        pytest.param({}, 401, id="credentials: none"),
        pytest.param({X: "wrong"}, 401, id="credentials: wrong"),
        pytest.param({X: "account"}, 403, id="credentials: no publisher data"),
        pytest.param({X: "ingest"}, 403, id="credentials: no publisher data, ingest"),
        pytest.param({X: "wrong", BEARER: "publisher", QUERY: "publisher"}, 401, id="order: X-Api-Key, wrong, decides"),
        pytest.param({X: "publisher", BEARER: "wrong", QUERY: "wrong"}, 200, id="order: X-Api-Key, right, decides"),
        pytest.param({X: "account", BEARER: "publisher"}, 403, id="order: X-Api-Key, forbidden, decides"),
        pytest.param({X: "", BEARER: "publisher"}, 401, id="order: X-Api-Key, empty, decides"),
        pytest.param({BEARER: "wrong", QUERY: "publisher"}, 401, id="order: bearer, wrong, decides"),
        pytest.param({BEARER: "publisher", QUERY: "wrong"}, 200, id="order: bearer, right, decides"),
        pytest.param({BEARER: "", QUERY: "publisher"}, 401, id="order: bearer, empty, decides"),
    ],
)
def test_credentials(api: Callers, sent: dict[str, str], status: int) -> None:
    keys = {**api.keys, "wrong": UNKNOWN_KEY, "": ""}
    headers = {X: keys[sent[X]]} if X in sent else {}
    headers |= {BEARER: f"Bearer {keys[sent[BEARER]]}"} if BEARER in sent else {}
    query = MARCH | ({QUERY: keys[sent[QUERY]]} if QUERY in sent else {})
    answer = api.client.get(PATH, params=query, headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert error(answer) == (status, {401: "UNAUTHORIZED", 403: "FORBIDDEN"}[status], None)


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        pytest.param("2026-01-01", "2026-03-31", None, id="start_date, end_date: 90 days"),
        pytest.param("2026-01-01", "2026-04-01", "end_date", id="start_date, end_date: 91 days"),
        pytest.param("2026-03-05", "2026-03-05", None, id="start_date, end_date: one day"),
        pytest.param("2026-03-05", "2026-03-04", "end_date", id="start_date, end_date: inverted by a day"),
        pytest.param("2024-02-29", "2024-02-29", None, id="start_date, end_date: leap day"),
        pytest.param("2025-02-29", "2025-03-01", "start_date", id="start_date, end_date: no leap day"),
        pytest.param(None, "2026-03-05", "start_date", id="start_date: missing"),
        pytest.param("2026-03-05", None, "end_date", id="end_date: missing"),
        pytest.param("2026-3-5", "2026-03-05", "start_date", id="start_date: not strict"),
        pytest.param("2026-03-05", "05.03.2026", "end_date", id="end_date: another format"),
        pytest.param("2026-03-05", "2026-03-05T00:00:00", "end_date", id="end_date: with a time"),
    ],
)
def test_range(api: Callers, start: str | None, end: str | None, field: str | None) -> None:
    answer = api.clicks(start_date=start, end_date=end)
    if field:
        assert error(answer) == (400, "BAD_REQUEST", field)
    else:
        meta = answer.json()["meta"]
        assert (answer.status_code, meta["start_date"], meta["end_date"]) == (200, start, end)


def test_range_both_ends_belong_to_it_and_days_counts_them(api: Callers) -> None:
    answer = api.clicks("admin", start_date="2026-03-06", end_date="2026-03-07").json()
    assert {row["click_date"] for row in answer["data"]} == {"2026-03-06", "2026-03-07"}
    assert (answer["meta"]["total_count"], answer["meta"]["days"]) == (6, 2)


@pytest.mark.parametrize(
    ("role", "publisher_id", "total", "in_effect"),
    [
        pytest.param("admin", None, 1002, None, id="publisher_id: admin, omitted"),
        pytest.param("admin", "46", 1, 46, id="publisher_id: admin, filter"),
        pytest.param("admin", "47", 0, 47, id="publisher_id: admin, unknown"),
        pytest.param("publisher", None, 1001, 45, id="publisher_id: publisher, omitted"),
        pytest.param("publisher", "46", 1001, 45, id="publisher_id: publisher, another's"),
        pytest.param("publisher", "x", 1001, 45, id="publisher_id: publisher, no integer"),
    ],
)
def test_publisher_id(api: Callers, role: str, publisher_id: str | None, total: int, in_effect: int | None) -> None:
    answer = api.clicks(role, publisher_id=publisher_id)
    assert answer.status_code == 200
    assert (answer.json()["meta"]["total_count"], answer.json()["meta"]["publisher_id"]) == (total, in_effect)


@pytest.mark.parametrize("publisher_id", ["x", "", "1.0", "٤٥"])
def test_publisher_id_of_an_admin_that_is_no_integer(api: Callers, publisher_id: str) -> None:
    assert error(api.clicks("admin", publisher_id=publisher_id)) == (400, "BAD_REQUEST", "publisher_id")


@pytest.mark.parametrize(
    ("page", "current", "following", "previous", "rows"),
    [
        pytest.param(None, 1, 2, None, 100, id="page: default"),
        pytest.param("1", 1, 2, None, 100, id="page: 1"),
        pytest.param("0", 1, 2, None, 100, id="page: 0 counts as 1"),
        pytest.param("-1", 1, 2, None, 100, id="page: -1 counts as 1"),
        pytest.param("10", 10, 11, 9, 100, id="page: last but one"),
        pytest.param("11", 11, None, 10, 1, id="page: last"),
        pytest.param("12", 12, None, 11, 0, id="page: past the end"),
        pytest.param("999", 999, None, 11, 0, id="page: far past the end"),
    ],
)
def test_page(
    api: Callers, page: str | None, current: int, following: int | None, previous: int | None, rows: int
) -> None:
    answer = api.clicks(page=page)
    meta = answer.json()["meta"]
    assert answer.status_code == 200
    assert (meta["current_page"], meta["next_page"], meta["prev_page"]) == (current, following, previous)
    assert (meta["total_pages"], meta["total_count"], len(answer.json()["data"])) == (11, 1001, rows)


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        pytest.param({}, 100, id="per_page: default"),
        pytest.param({"per_page": "999"}, 999, id="per_page: 999"),
        pytest.param({"per_page": "1000"}, 1000, id="per_page: 1000"),
        pytest.param({"per_page": "1001"}, 1000, id="per_page: 1001 is clamped"),
        pytest.param({"per_page": "1"}, 1, id="per_page: 1"),
        pytest.param({"per_page": "0"}, 1, id="per_page: 0 is clamped"),
        pytest.param({"per_page": "-5"}, 1, id="per_page: negative is clamped"),
        pytest.param({"limit": "1000"}, 1000, id="limit: 1000"),
        pytest.param({"limit": "1001"}, 1000, id="limit: 1001 is clamped"),
        pytest.param({"limit": "0"}, 1, id="limit: 0 is clamped"),
        pytest.param({"limit": "3", "per_page": "7"}, 3, id="limit: the smaller of both, limit"),
        pytest.param({"limit": "7", "per_page": "3"}, 3, id="limit: the smaller of both, per_page"),
    ],
)
def test_page_size(api: Callers, sizes: dict[str, str], rows: int) -> None:
    answer = api.clicks(**sizes).json()
    assert len(answer["data"]) == rows
    assert answer["meta"]["total_count"] == 1001, "a page size, not a cap over all pages"
    assert answer["meta"]["total_pages"] == -(-1001 // rows)


@pytest.mark.parametrize("name", ["page", "per_page", "limit"])
@pytest.mark.parametrize("value", ["x", "", "1.5", "1e3"])
def test_numbers_that_are_none(api: Callers, name: str, value: str) -> None:
    assert error(api.clicks(**{name: value})) == (400, "BAD_REQUEST", name)


@pytest.mark.parametrize("name", ["dry_run", "format", "sort", "days"])
def test_others_are_ignored(api: Callers, name: str) -> None:
    assert api.clicks(**{name: "true"}).json() == api.clicks().json()


def test_meta_and_row_keys_are_always_there(api: Callers) -> None:
    for answer in (api.clicks(), api.clicks("admin", publisher_id=47), api.clicks(page=99)):
        assert list(answer.json()["meta"]) == META_KEYS
    assert all(
        list(row) == ROW_KEYS and row["click_count"] > 0 for row in some(api.clicks(per_page=1000).json()["data"])
    )


def test_total_pages_is_0_when_empty(api: Callers) -> None:
    meta = api.clicks("admin", publisher_id=47).json()["meta"]
    assert (meta["total_pages"], meta["total_count"], meta["next_page"], meta["prev_page"]) == (0, 0, None, None)


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/clicks/", "/api/v2/clicks"])
def test_errors_404(api: Callers, path: str) -> None:
    assert error(api.client.get(path, headers={"Accept": "text/html"})) == (404, "NOT_FOUND", None)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_errors_405(api: Callers, method: str) -> None:
    answer = api.client.request(method, PATH)
    assert error(answer) == (405, "METHOD_NOT_ALLOWED", None)
    assert answer.headers["Allow"] == "GET, HEAD"


def test_errors_503() -> None:
    away = TestClient(create_app(Away(), Settings(admin_key=ADMIN_KEY)), raise_server_exceptions=False)
    for accept in ("application/json", "text/csv"):
        answer = away.get(PATH, params=MARCH, headers={X: ADMIN_KEY, "Accept": accept})
        assert error(answer) == (503, "UNAVAILABLE", None)
        assert re.fullmatch("[1-9][0-9]*", answer.headers["Retry-After"])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param("mine-1.a:b_c", True, id="request id: sane"),
        pytest.param("x" * 128, True, id="request id: longest"),
        pytest.param("x" * 129, False, id="request id: too long"),
        pytest.param("a b", False, id="request id: with a space"),
    ],
)
def test_request_ids(api: Callers, sent: str, kept: bool) -> None:
    for query in (MARCH, {}):
        answer = api.client.get(PATH, params=query, headers={X: api.keys["admin"], "X-Request-Id": sent})
        assert (answer.headers["X-Request-Id"] == sent) is kept

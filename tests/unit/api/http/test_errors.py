"""Error responses: both envelopes, every status, a database that is away; no traceback and no HTML."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.keys import KeyRing
from api.app import create_app
from api.http.headers import choose_request_id
from api.settings import Settings
from rollups.clickhouse import ClickHouse, ClickHouseError
from tests.support.seed import ADMIN_KEY, UNKNOWN_KEY, Away, Callers, account_on, callers

CLICKS = "/api/v1/clicks?start_date=2026-03-01&end_date=2026-03-31"
HOURLY = "/api/statistics/v2/clicks-by-hour?ymd=2026-03-31"
HEADERS = {"X-Api-Key": ADMIN_KEY, "Authorization": f"APIKey {UNKNOWN_KEY}"}


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    return callers(db)


def away() -> TestClient:
    return TestClient(create_app(Away(), Settings(admin_key=ADMIN_KEY)), raise_server_exceptions=False)


def is_clicks_error(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) - {"details"} == {"code", "message", "timestamp", "request_id"}
    assert error["code"] == code
    assert error["message"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", error["timestamp"])
    assert error["request_id"] == answer.headers["X-Request-Id"]


def is_statistics_error(answer: Any, status: int, code: int) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"code", "message", "result"}
    assert (answer.json()["code"], answer.json()["result"]) == (code, None)
    assert answer.json()["message"]
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/nope", "/api/v1/clicks/", "/api/v1", "/docs", "/redoc", "/admin"])
def test_unknown_paths(api: Callers, path: str) -> None:
    is_clicks_error(api.client.get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_wrong_methods(api: Callers, method: str) -> None:
    answer = api.client.request(method, CLICKS)
    is_clicks_error(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_bad_parameter_names_its_field(api: Callers) -> None:
    answer = api.clicks(start_date="yesterday")
    is_clicks_error(answer, 400, "BAD_REQUEST")
    assert answer.json()["error"]["details"] == {"field": "start_date"}


def test_refused_callers(api: Callers) -> None:
    is_clicks_error(api.clicks("unknown"), 401, "UNAUTHORIZED")
    is_clicks_error(api.clicks("account"), 403, "FORBIDDEN")


def test_statistics_paths_have_their_own_envelope(api: Callers) -> None:
    is_statistics_error(api.client.get("/api/statistics/v2/nope"), 404, 1404)
    is_statistics_error(api.client.post(HOURLY), 405, 1405)
    is_statistics_error(api.hourly("unknown"), 401, 1401)


def test_a_business_error_is_http_200(api: Callers) -> None:
    is_statistics_error(api.hourly(ymd="yesterday"), 200, 1001)


def test_store_away() -> None:
    client = away()
    clicks, hourly = client.get(CLICKS, headers=HEADERS), client.get(HOURLY, headers=HEADERS)
    is_clicks_error(clicks, 503, "UNAVAILABLE")
    is_statistics_error(hourly, 503, 1503)
    is_clicks_error(client.get("/admin/keys", headers=HEADERS), 503, "UNAVAILABLE")
    is_clicks_error(client.get(CLICKS, headers={"X-Api-Key": UNKNOWN_KEY}), 503, "UNAVAILABLE")
    for answer in (clicks, hourly):
        assert int(answer.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize("path", [CLICKS, HOURLY, "/admin/keys"])
def test_a_database_that_is_away_is_logged_once_for_each_response_without_traceback(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = away().get(path, headers=HEADERS)
    assert answer.status_code == 503
    [record] = [record for record in caplog.records if record.name.startswith("api.")]  # not of drivers
    assert "127.0.0.1:1" in record.getMessage()
    assert answer.headers["X-Request-Id"] in record.getMessage()
    assert record.exc_info is None


def test_wrong_parameters_are_told_even_while_the_store_is_away() -> None:
    assert away().get("/api/v1/clicks", headers=HEADERS).status_code == 400


class Refusing(ClickHouse):
    """A database that responds to every statement with this error."""

    def __init__(self, error: Exception) -> None:
        super().__init__("clickhouse://127.0.0.1:1/none")
        self._error = error

    def separate_connection(self, timeout: float) -> ClickHouse:
        return self

    def query(self, *args: Any, **kwargs: Any) -> Any:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ClickHouseError("secret SQL", 47), id="refused"),
        pytest.param(ZeroDivisionError("secret"), id="bug"),
        pytest.param(RuntimeError("secret"), id="bug-that-libraries-raise-too"),
    ],
)
def test_what_nobody_expected_is_logged_and_told_without_details(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Refusing(error), Settings(admin_key=ADMIN_KEY))
    client = TestClient(app, raise_server_exceptions=False)
    with caplog.at_level(logging.ERROR):
        answer = client.get(CLICKS, headers=HEADERS)
        is_clicks_error(answer, 500, "INTERNAL_ERROR")
        is_statistics_error(client.get(HOURLY, headers=HEADERS), 500, 1500)
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["X-Request-Id"] in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param("abc-123_4.5:6", True, id="sane"),
        pytest.param("x" * 128, True, id="longest"),
        pytest.param("x" * 129, False, id="too-long"),
        pytest.param("", False, id="empty"),
        pytest.param("a b", False, id="space"),
        pytest.param('"><script>', False, id="markup"),
        pytest.param(None, False, id="none"),
    ],
)
def test_request_ids(given: str | None, kept: bool) -> None:
    chosen = choose_request_id(given)
    assert (chosen == given) is kept
    assert re.fullmatch(r"[\w.:-]{1,128}", chosen)


def test_a_callers_request_id_comes_back_in_header_and_body(api: Callers) -> None:
    answer = api.client.get("/nope", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["X-Request-Id"] == answer.json()["error"]["request_id"] == "mine-1"
    assert api.clicks().headers["X-Request-Id"] != api.clicks().headers["X-Request-Id"]


def test_the_openapi_document_describes_both_calls_and_promises_no_422(api: Callers) -> None:
    document = api.client.get("/api/v1/schema").json()
    clicks = document["paths"]["/api/v1/clicks"]["get"]
    assert clicks["operationId"] == "listClicks"
    required = {p["name"]: p["required"] for p in clicks["parameters"] if p["in"] == "query"}
    assert required == {
        "start_date": True,
        "end_date": True,
        "publisher_id": False,
        "page": False,
        "per_page": False,
        "limit": False,
        "cursor": False,
        "after": False,
    }
    assert document["paths"]["/api/statistics/v2/clicks-by-hour"]["get"]["operationId"] == "clicksByHour"
    assert '"422"' not in api.client.get("/api/v1/schema").text


def test_bounds_of_integers_are_whole_and_the_largest_id_is_one_that_is_taken(api: Callers) -> None:
    document = api.client.get("/api/v1/schema").json(parse_float=lambda text: pytest.fail(f"{text} is no integer"))
    entry = document["components"]["schemas"]["PublisherEntry"]["properties"]["publisher_id"]
    assert (entry["minimum"], entry["maximum"]) == (1, 2**63 - 1)
    for publisher_id, status in ((entry["maximum"], 200), (entry["maximum"] + 1, 400)):
        answer = api.admin("PUT", "/catalog", {"publishers": [{"publisher_id": publisher_id, "name": "Last"}]})
        assert answer.status_code == status
    [key_id, _] = document["components"]["schemas"]["KeyRequest"]["properties"]["account_id"]["anyOf"]
    assert key_id["maximum"] == 2**63 - 1


def test_one_key_ring_can_be_shared_with_another_part(db: ClickHouse) -> None:
    settings = Settings(admin_key=ADMIN_KEY)
    ring = KeyRing(db, settings)
    client = TestClient(create_app(db, settings, keys=ring))
    record, key = ring.create("ingest")
    assert asyncio.run(ring.resolve(key)) is not None
    assert client.delete(f"/admin/keys/{record.id}", headers={"X-Api-Key": ADMIN_KEY}).status_code == 204
    assert asyncio.run(ring.resolve(key)) is None

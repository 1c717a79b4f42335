"""Common to all endpoints of statistics: keys, plans, error responses, odd parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from rollups.clickhouse import ClickHouse
from tests.support import some
from tests.support.seed import (
    ACCOUNT,
    DOMAIN,
    UNKNOWN_KEY,
    Away,
    Callers,
    Hourly,
    account_on,
    callers,
    insert_hourly,
    insert_source,
    insert_watermark,
    upsert,
)

DAY = "2026-03-31"
DAYS = {"startYmd": "2026-03-30", "endYmd": DAY}
LINK = {"linkId": "abc", "domain": DOMAIN}
PLANS = ["Free", "Personal", "Premium", "Business", "Business Plus", "Enterprise"]

# Parameters that are valid on any plan that includes the endpoint.
CALLS: dict[str, dict[str, Any]] = {
    "/api/statistics/v1/clicks-by-hour": {"ymd": DAY, **LINK},
    "/api/statistics/v2/clicks-by-hour": {"ymd": DAY, **LINK},
    "/api/statistics/v3/clicks-by-hour": {**DAYS, **LINK},
    "/api/statistics/v1/clicks-by-date": {**DAYS, **LINK},
    "/api/statistics/v2/clicks-by-date": {**DAYS, **LINK},
    "/api/link/v1/clicks-by-group": {"ymd": DAY, "grpIdxList": "5"},
    "/api/link/v2/clicks-by-group": {**DAYS, "grpIdxList": "5"},
    "/api/link-group/v1/list": {},
    "/api/link-group/v2/list": {},
}
FIRST_PLAN = {
    "/api/statistics/v1/clicks-by-hour": "Business",
    "/api/statistics/v2/clicks-by-hour": "Personal",
    "/api/statistics/v3/clicks-by-hour": "Personal",
    "/api/statistics/v1/clicks-by-date": "Business",
    "/api/statistics/v2/clicks-by-date": "Personal",
    "/api/link/v1/clicks-by-group": "Premium",
    "/api/link/v2/clicks-by-group": "Premium",
    "/api/link-group/v1/list": "Free",
    "/api/link-group/v2/list": "Free",
}


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    upsert(
        db,
        links=[{"account_id": ACCOUNT, **_link("abc"), "grp_idx": 5}],
        groups=[{"account_id": ACCOUNT, "grp_idx": 5, "name": "Five"}],
    )
    insert_hourly(db, [Hourly(DAY, 4, clicks=3, users=[1, 2])])
    return callers(db)


def _link(link_id: str) -> dict[str, str]:
    return {"domain": DOMAIN, "link_id": link_id}


@pytest.mark.parametrize("path", [pytest.param(path, id=f"{plan}-and-up-{path}") for path, plan in FIRST_PLAN.items()])
def test_a_plan_has_the_call_or_1003(db: ClickHouse, api: Callers, path: str) -> None:
    for plan in PLANS:
        account_on(db, plan)
        body = api.shortener(path, **CALLS[path]).json()
        if PLANS.index(plan) >= PLANS.index(FIRST_PLAN[path]):
            assert (body["code"], body["message"]) == (0, "")
            assert body["result"]
        else:
            assert (body["code"], body["result"]) == (1003, None)
            assert plan in body["message"]


@pytest.mark.parametrize("path", CALLS)
def test_free_is_told_of_its_plan_before_its_parameters(db: ClickHouse, api: Callers, path: str) -> None:
    if FIRST_PLAN[path] != "Free":
        account_on(db, "Free")
        assert api.shortener(path).json()["code"] == 1003


@pytest.mark.parametrize("path", CALLS)
def test_a_key_of_an_account_is_needed_or_1401(api: Callers, path: str) -> None:
    for role in ("unknown", "publisher", "admin", "ingest"):
        answer = api.shortener(path, role, **CALLS[path])
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "APIKey"
        assert (answer.json()["code"], answer.json()["result"]) == (1401, None)
    bearer = {"Authorization": f"Bearer {api.keys['account']}"}
    assert api.client.get(path, headers=bearer).status_code == 401


@pytest.mark.parametrize("path", CALLS)
def test_a_user_agent_is_needed_or_403(api: Callers, path: str) -> None:
    headers = {"Authorization": f"APIKey {api.keys['account']}", "User-Agent": ""}
    answer = api.client.get(path, params=CALLS[path], headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.json()["result"]) == (403, 1403, None)


@pytest.mark.parametrize("path", CALLS)
def test_a_store_that_is_away_is_1503(path: str) -> None:
    client = TestClient(create_app(Away(), Settings()), raise_server_exceptions=False)
    answer = client.get(path, params=CALLS[path], headers={"Authorization": f"APIKey {UNKNOWN_KEY}"})
    assert (answer.status_code, answer.json()["code"], answer.json()["result"]) == (503, 1503, None)
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("path", CALLS)
def test_answers_say_up_to_when_and_have_a_validator(db: ClickHouse, api: Callers, path: str) -> None:
    insert_source(db, 1, "2026-04-01 00:00:00")
    insert_watermark(db, 1, 0, "2026-04-01 10:00:00")
    answer = api.shortener(path, **CALLS[path])
    assert answer.headers["X-Data-As-Of"] == "2026-04-01T10:00:00.000Z"
    headers = {"Authorization": f"APIKey {api.keys['account']}", "If-None-Match": answer.headers["ETag"]}
    assert api.client.get(path, params=CALLS[path], headers=headers).status_code == 304


@pytest.mark.parametrize("path", CALLS)
def test_only_get_is_answered(api: Callers, path: str) -> None:
    answer = api.client.post(path)
    assert (answer.status_code, answer.json()["code"]) == (405, 1405)


@pytest.mark.parametrize("path", ["/api/link/v2/nope", "/api/link-group/v2/nope", "/api/statistics/v4/clicks-by-hour"])
def test_an_unknown_path_has_the_envelope_of_its_neighbours(api: Callers, path: str) -> None:
    assert api.client.get(path).json() == {"code": 1404, "message": "Not Found", "result": None}


ODD = [
    pytest.param("", id="empty"),
    pytest.param(" ", id="space"),
    pytest.param("\0", id="nul"),
    pytest.param("a\0b", id="nul-inside"),
    pytest.param("\\", id="backslash"),
    pytest.param("'; DROP TABLE rollup --", id="sql"),
    pytest.param("{link:String}", id="placeholder"),
    pytest.param("\t\r\n", id="control-characters"),
    pytest.param("\u202e\u200d", id="direction-and-joiner"),
    pytest.param("\U0001f600", id="emoji"),
    pytest.param("%00%ff%", id="percent"),
    pytest.param("9" * 30, id="30-digits"),
    pytest.param("9" * 5000, id="5000-digits"),
    pytest.param("-1", id="minus-1"),
    pytest.param("1e5", id="exponent"),
    pytest.param("NaN", id="nan"),
    pytest.param("null", id="null"),
    pytest.param(["1", "1"], id="given-twice"),
    pytest.param("x" * 20_000, id="20000-characters"),
]


@pytest.mark.parametrize("odd", ODD)
def test_no_parameter_however_odd_breaks_a_call(api: Callers, odd: Any) -> None:
    """The response is data or a business error, never 400 or 500."""
    document = api.client.get("/api/v1/schema").json()
    for path, question in CALLS.items():
        for name in some(parameter["name"] for parameter in document["paths"][path]["get"]["parameters"]):
            answer = api.shortener(path, **{**question, name: odd})
            body = answer.json()
            assert answer.status_code == 200, (name, body)
            assert (body["code"] == 0) == (body["result"] is not None)
            assert (body["code"] == 0) == (body["message"] == "")
            assert body["code"] in (0, 1001, 1002, 1004), (name, body)
            assert body["code"] != 1001 or "grpIdx" in body["message"] or name in body["message"]


@pytest.mark.parametrize("path", CALLS)
def test_bytes_that_are_no_text_are_no_link(api: Callers, path: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in CALLS[path].items() if name != "linkId")
    answer = api.client.get(
        f"{path}?{query}&linkId=%ff%fe%ed%a0%80", headers={"Authorization": f"APIKey {api.keys['account']}"}
    )
    assert answer.status_code == 200
    assert answer.json()["code"] == (1004 if "linkId" in CALLS[path] else 0)


def test_the_openapi_document_has_every_call_with_its_errors_and_an_example(api: Callers) -> None:
    document = api.client.get("/api/v1/schema").json()
    names = set()
    for path, question in CALLS.items():
        call = document["paths"][path]["get"]
        names.add(call["operationId"])
        assert set(question) <= {parameter["name"] for parameter in call["parameters"]}
        assert {"200", "304", "401", "403", "429", "503"} <= set(call["responses"])
        body = call["responses"]["200"]["content"]["application/json"]
        assert body["schema"]["$ref"].endswith("Answer")
        assert body["examples"]["0"]["value"]["result"]
        assert {"1001", "1004"} <= set(body["examples"])
        assert ("1003" in body["examples"]) == (FIRST_PLAN[path] != "Free")
        assert ("1005" in body["examples"]) == ("startYmd" in question)
        assert call["security"] == [{"APIKey": []}]
    assert len(names) == len(CALLS)


@pytest.mark.parametrize("path", CALLS)
def test_each_call_has_a_line_that_can_be_copied(path: str) -> None:
    page = (Path(__file__).parents[4] / "docs" / "statistics.md").read_text()
    assert f"\nget {path}" in page

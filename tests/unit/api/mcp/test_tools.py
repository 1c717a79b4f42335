"""Tools over the real application and engine: the same data as REST, for the same keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.mcp.rest_calls import FORWARDED_HEADERS, NO_KEY
from api.mcp.tools import BY_NAME
from rollups.clickhouse import ClickHouse
from tests.conftest import emptied
from tests.support import some
from tests.support.mcp_client import RawMcp
from tests.support.seed import (
    ACCOUNT,
    DOMAIN,
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

DAY = "2026-03-31"
RANGE = {"start_date": "2026-03-01", "end_date": DAY}
LINK = {"linkId": "abc", "domain": "VVD.bz"}


@pytest.fixture(scope="module")
def api(engine: ClickHouse) -> Iterator[Callers]:
    """Data for all tests, which only read."""
    db = emptied(engine)
    account_on(db, "Business")
    upsert(db, links=[{"account_id": 7, "domain": DOMAIN, "link_id": "abc", "grp_idx": 5}])
    upsert(db, publishers=[{"publisher_id": 45, "name": "Zoë & “Söhne” \u2028 名前 😀"}])
    insert_daily(db, [Daily(DAY, 9, publisher=p, advertiser=a) for p in (45, 46) for a in (1, 2, 3)])
    for link in ("abc", ""):
        insert_hourly(db, [Hourly(DAY, hour, 3, users=[1, 2], link=link) for hour in (0, 4, 23)])
    insert_source(db, 1, "2026-03-01 00:00:00.000")
    insert_watermark(db, 1, 0, "2026-03-31 12:00:00.000")
    made = callers(db, rate_limits="off")
    with made.client:
        yield made


@pytest.fixture(scope="module")
def mcp(api: Callers) -> RawMcp:
    return RawMcp(api.client)


def key(api: Callers, role: str) -> dict[str, str]:
    return {"X-Api-Key": api.keys[role]}


DAYS = st.sampled_from(["2026-03-01", DAY, "2026-04-01", "2026-01-01", "2026-3-1", "", "x"])
NUMBERS = st.sampled_from([-1, 0, 1, 2, 5, 45, 46, 10**6, 10**30, 2.5, True, "1", "x", ""])
CLICKS = st.fixed_dictionaries(
    {}, optional={"start_date": DAYS, "end_date": DAYS, **dict.fromkeys(["publisher_id", "page", "per_page"], NUMBERS)}
)
SCOPE = {
    "linkId": st.sampled_from(["abc", "ABC", "名前/?&=%", ""]),
    "domain": st.sampled_from([DOMAIN, "VVD.bz", "other.example", "no domain", ""]),
    "grpIdx": NUMBERS,
}
HOURS = st.fixed_dictionaries({}, optional={"ymd": DAYS, **SCOPE, "fill": st.sampled_from([0, "", "x"])})
DATES = st.fixed_dictionaries({}, optional={"startYmd": DAYS, "endYmd": DAYS, **SCOPE})
FROM_TO = {"from": DAYS, "to": DAYS, "account_id": st.just(ACCOUNT), **SCOPE}
SERIES = st.fixed_dictionaries({}, optional={**FROM_TO, "compare": st.sampled_from(["previous", "x"])})
TOP = st.fixed_dictionaries({"by": st.sampled_from(["link", "network", ""])}, optional={**FROM_TO, "limit": NUMBERS})
QUESTIONS = st.one_of(
    st.tuples(st.just("get_clicks"), CLICKS),
    st.tuples(st.just("get_clicks_by_hour"), HOURS),
    st.tuples(st.just("get_clicks_by_date"), DATES),
    st.tuples(st.just("get_click_series"), SERIES),
    st.tuples(st.just("get_top_clicks"), TOP),
)
ROLES = st.sampled_from(["publisher", "admin", "account", "ingest", "unknown", None])


def as_query(arguments: dict[str, Any]) -> dict[str, str]:
    return {name: str(int(value)) if isinstance(value, bool) else str(value) for name, value in arguments.items()}


def without_time(body: Any) -> Any:
    return {**body, "error": {**body["error"], "timestamp": ""}} if "error" in body else body


def assert_the_same(api: Callers, mcp: RawMcp, role: str | None, rest: tuple[str, Any], tool: tuple[str, Any]) -> None:
    """REST and MCP with one key: the same body, the same error, the same forwarded headers."""
    name = {"X-Request-Id": "the-same"}
    key = api.keys[role] if role else None
    scheme = {"Authorization": f"APIKey {key}"} if rest[0].startswith("/api/statistics/") else {"X-Api-Key": key or ""}
    answer = api.client.get(rest[0], params=as_query(rest[1]), headers={**name, **(scheme if key else {})})
    called = mcp.call(*tool, headers={**name, **({"X-Api-Key": key} if key else {})})
    body = answer.json()
    if called.failed:
        message = body["error"]["message"] if "error" in body else body["message"]
        assert answer.status_code >= 400 or body["code"] != 0
        message = NO_KEY if answer.status_code == 401 and role is None else message
        assert without_time(called.body) == {**without_time(body), "status": answer.status_code, "message": message}
        assert json.loads(called.text) == called.body
    else:
        assert answer.status_code == 200
        assert body.get("code", 0) == 0
        assert called.text.encode() == answer.content
        assert called.body == body
    forwarded = {header: value for header, value in answer.headers.items() if header in FORWARDED_HEADERS}
    counted_down = {"x-ratelimit-remaining", "x-ratelimit-reset"}
    assert called.result.get("_meta", {}).get("headers", {}).keys() == forwarded.keys()
    for header, value in forwarded.items():
        assert header in called.headers
        assert called.headers[header] == value or header in counted_down


@settings(max_examples=80, deadline=None)
@given(question=QUESTIONS, role=ROLES, generic=st.booleans())
@example(question=("get_clicks", {**RANGE, "per_page": 2, "page": 2}), role="publisher", generic=False)
@example(question=("get_clicks", RANGE), role="admin", generic=True)
@example(
    question=("get_clicks_by_hour", {"ymd": DAY, "linkId": "abc", "domain": "VVD.bz"}), role="account", generic=False
)
@example(question=("get_clicks_by_hour", {"ymd": DAY, "grpIdx": 5}), role="account", generic=True)
@example(question=("get_clicks_by_date", {"startYmd": "2026-03-01", "endYmd": DAY}), role="account", generic=False)
@example(question=("get_click_series", {"from": "2026-03-01", "to": DAY}), role="account", generic=False)
@example(question=("get_top_clicks", {"from": DAY, "to": DAY, "by": "advertiser"}), role="admin", generic=False)
def test_mcp_answers_what_rest_answers(
    api: Callers, mcp: RawMcp, question: tuple[str, dict[str, Any]], role: str | None, generic: bool
) -> None:
    tool, arguments = question
    path = BY_NAME[tool].paths[0]
    called = ("api_request", {"path": path, "query": arguments}) if generic else (tool, arguments)
    assert_the_same(api, mcp, role, (path, arguments), called)


@pytest.mark.parametrize("scope", [{}, {"grpIdx": 5}, LINK, {"grpIdx": 6}])
def test_filled_hours_are_those_of_v3_with_their_status(api: Callers, mcp: RawMcp, scope: dict[str, Any]) -> None:
    rest = ("/api/statistics/v3/clicks-by-hour", {"startYmd": DAY, "endYmd": DAY, **scope, "fill": "1"})
    assert_the_same(api, mcp, "account", rest, ("get_clicks_by_hour", {"ymd": DAY, **scope, "fill": 1}))


def test_numbers_that_rest_answers_reach_the_client(api: Callers, mcp: RawMcp) -> None:
    clicks = mcp.call("get_clicks", RANGE, headers=key(api, "admin"))
    assert [row["click_count"] for row in clicks.body["data"]] == [9] * 6
    assert clicks.body["data"][0]["publisher_name"] == "Zoë & “Söhne” \u2028 名前 😀"
    hours = mcp.call("get_clicks_by_hour", {"ymd": DAY}, headers=key(api, "account"))
    assert [(row["hour"], row["acesCnt"], row["pernCnt"]) for row in hours.body["result"]] == [
        (0, 3, 2),
        (4, 3, 2),
        (23, 3, 2),
    ]
    assert hours.result["_meta"]["headers"]["x-data-as-of"] == "2026-03-31T12:00:00.000Z"


def test_every_hour_of_a_filled_day_has_a_status(api: Callers, mcp: RawMcp) -> None:
    rows = mcp.call("get_clicks_by_hour", {"ymd": DAY, "fill": "1"}, headers=key(api, "account")).body["result"]
    assert [row["hour"] for row in rows] == list(range(24))
    assert [row["status"] for row in rows] == ["final"] * 12 + ["open"] * 12  # the watermark is at 12:00


@pytest.mark.parametrize("path", ["/api/v1/clicks/", "/api/nothing", "/api/link-group/v2/list", "/api/v1/schema"])
def test_other_calls_by_api_request(api: Callers, mcp: RawMcp, path: str) -> None:
    role = "account" if "link" in path else "publisher"
    key = {"Authorization": f"APIKey {api.keys[role]}"}
    answer = api.client.get(path, headers={**key, "X-Request-Id": "the-same"})
    called = mcp.call("api_request", {"path": path}, headers={**key, "X-Request-Id": "the-same"})
    assert called.failed == (answer.status_code == 404)
    assert called.body["error"]["message"] if called.failed else called.body == answer.json()


def test_a_publisher_sees_its_own_clicks_whatever_it_asks_for(api: Callers, mcp: RawMcp) -> None:
    called = mcp.call("get_clicks", {**RANGE, "publisher_id": 46}, headers=key(api, "publisher"))
    assert {row["publisher_id"] for row in called.body["data"]} == {45}


# Keys


@pytest.mark.parametrize("form", ["X-Api-Key: {}", "Authorization: Bearer {}", "Authorization: APIKey {}"])
@pytest.mark.parametrize(
    ("tool", "arguments", "role"),
    [("get_clicks", RANGE, "publisher"), ("get_clicks_by_hour", {"ymd": DAY}, "account")],
)
def test_a_key_in_any_form_opens_every_call_of_its_owner(
    api: Callers, mcp: RawMcp, form: str, tool: str, arguments: dict[str, Any], role: str
) -> None:
    name, _, value = form.format(api.keys[role]).partition(": ")
    assert not mcp.call(tool, arguments, headers={name: value}).failed
    assert not mcp.call(tool, arguments, path=f"/mcp?api_key={api.keys[role]}").failed
    assert mcp.call(tool, arguments, headers={name: value + "x"}).body["status"] == 401


@pytest.mark.parametrize(
    ("tool", "arguments", "role", "status"),
    [
        ("get_clicks", RANGE, "account", 403),
        ("get_clicks", RANGE, "ingest", 403),
        ("get_clicks_by_hour", {"ymd": DAY}, "publisher", 401),
        ("api_request", {"path": "/api/v1/clicks"}, "unknown", 401),
    ],
)
def test_a_key_opens_nothing_else(
    api: Callers, mcp: RawMcp, tool: str, arguments: dict[str, Any], role: str, status: int
) -> None:
    called = mcp.call(tool, arguments, headers=key(api, role))
    assert (called.failed, called.body["status"]) == (True, status)


HEADERS = ("X-Api-Key", "Authorization", "Bearer", "APIKey")


@pytest.mark.parametrize("form", ["X-Api-Key: {}", "Authorization: Bearer {}", "Authorization: APIKey {}"])
@pytest.mark.parametrize(
    ("tool", "arguments", "role"),
    [
        ("get_clicks_by_hour", {"ymd": DAY}, "publisher"),
        ("get_clicks_by_hour", {"ymd": DAY}, "unknown"),
        ("get_clicks", RANGE, "account"),
        ("get_clicks", RANGE, "unknown"),
    ],
)
def test_a_key_that_came_is_not_told_to_come_otherwise(
    api: Callers, mcp: RawMcp, form: str, tool: str, arguments: dict[str, Any], role: str
) -> None:
    name, _, value = form.format(api.keys[role]).partition(": ")
    message = mcp.call(tool, arguments, headers={name: value}).body["message"]
    assert not any(header in message for header in HEADERS), message
    assert role in message or role == "unknown"


@pytest.mark.parametrize(("tool", "arguments"), [("get_clicks_by_hour", {"ymd": DAY}), ("get_clicks", RANGE)])
def test_who_sends_no_key_is_told_how_a_connection_carries_one(mcp: RawMcp, tool: str, arguments: Any) -> None:
    called = mcp.call(tool, arguments)
    assert called.body["status"] == 401
    assert "this connection" in called.body["message"]
    assert "X-Api-Key" in called.body["message"]


def test_strange_keys_are_wrong_keys(mcp: RawMcp) -> None:
    for query in ("%E5%90%8D", "a%0d%0aX-Api-Key:%20b", "%00", "x" * 30_000):
        called = mcp.call("get_clicks", RANGE, path=f"/mcp?api_key={query}")
        assert called.body["status"] == 401


def test_without_a_key_tools_are_listed_and_do_nothing(mcp: RawMcp) -> None:
    for tool in some(mcp.result("tools/list")["tools"]):
        called = mcp.call(tool["name"], {"path": "/api/v1/clicks", **RANGE})
        assert called.failed
        assert called.body["status"] == 401
        assert isinstance(called.body["message"], str)


def test_a_blocked_or_missing_user_agent_is_refused_as_by_rest(api: Callers, mcp: RawMcp) -> None:
    called = mcp.call("get_clicks_by_hour", {"ymd": DAY}, headers={**key(api, "account"), "User-Agent": ""})
    assert called.body["status"] == 403


@pytest.mark.parametrize(
    "arguments",
    [
        {"path": "/api/%2e%2e/admin/keys"},
        {"path": "http://localhost/api/v1/clicks"},
        {"path": "/api/v1/clicks", "method": "POST"},
        {"path": "/api/v1/clicks", "query": {"start_date": ["2026-03-01"]}},
        {"path": "/api/v1/clicks", "query": {"start_date": "x" * 100_000}},
        {},
    ],
)
def test_what_api_request_refuses_is_a_failed_tool(api: Callers, mcp: RawMcp, arguments: dict[str, Any]) -> None:
    called = mcp.call("api_request", arguments, headers=key(api, "admin"))
    assert called.failed
    assert called.body["status"] in (400, 405)
    assert called.body["message"]


def test_answers_fit_the_schemas_that_the_tools_declare(api: Callers, mcp: RawMcp) -> None:
    tools = {tool["name"]: tool for tool in mcp.result("tools/list")["tools"]}
    for name, role, arguments in (
        ("get_clicks", "publisher", RANGE),
        ("get_clicks_by_hour", "account", {"ymd": DAY}),
        ("get_clicks_by_hour", "account", {"ymd": DAY, "fill": "1"}),
        ("get_clicks_by_date", "account", {"startYmd": "2026-03-01", "endYmd": DAY}),
        ("get_click_series", "account", {"from": "2026-03-01", "to": DAY, "compare": "year"}),
        ("get_top_clicks", "publisher", {"by": "advertiser", "from": "2026-03-01", "to": DAY}),
        ("api_request", "publisher", {"path": "/api/v1/clicks", "query": RANGE}),
    ):
        schema = jsonschema.Draft202012Validator(tools[name]["outputSchema"])
        jsonschema.Draft202012Validator(tools[name]["inputSchema"]).validate(arguments)
        for given_key in (key(api, role), {}):
            called = mcp.call(name, arguments, headers=given_key)
            assert called.failed == (not given_key)
            schema.validate(called.body)
        if name != "api_request":
            with pytest.raises(jsonschema.ValidationError):
                schema.validate({"something": "else"})
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.Draft202012Validator(tools[name]["inputSchema"]).validate({})


def test_every_tool_only_reads(mcp: RawMcp) -> None:
    for tool in some(mcp.result("tools/list")["tools"]):
        assert tool["annotations"]["readOnlyHint"] is True
        assert tool["annotations"]["destructiveHint"] is False
        assert tool["description"]

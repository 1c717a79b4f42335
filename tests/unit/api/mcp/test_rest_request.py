"""Which REST call a tool call becomes; that it stays a GET below /api/, with a key of the connection."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from api.http.errors import BadRequest
from api.mcp.rest_request import RestCall, connection_key, credentials, rest_call
from api.mcp.tools import API_REQUEST, ToolView


def view(tool: str, *properties: str) -> ToolView:
    return {
        "name": tool,
        "title": "",
        "description": "",
        "inputSchema": {"properties": {name: {} for name in properties}},
        "outputSchema": {},
        "annotations": {},
    }


ANY = view(API_REQUEST)
CLICKS = view("get_clicks", "start_date", "page")
HOURS = view("get_clicks_by_hour", "ymd", "fill", "grpIdx")


@pytest.mark.parametrize(
    ("value", "text"), [("a b", "a b"), (7, "7"), (7.0, "7"), (7.5, "7.5"), (True, "1"), (False, "0"), ("", "")]
)
def test_an_argument_is_written_as_a_query_parameter(value: Any, text: str) -> None:
    assert rest_call(CLICKS, {"page": value}).query == (("page", text),)


def test_null_and_unknown_arguments_are_left_out() -> None:
    assert rest_call(CLICKS, {"page": None, "api_key": "cm_x", "nonsense": [1]}) == RestCall("/api/v1/clicks", ())


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_an_argument_that_is_no_single_value_is_refused_by_name(value: Any) -> None:
    with pytest.raises(BadRequest, match="page must be"):
        rest_call(CLICKS, {"page": value})


@pytest.mark.parametrize("fill", ["1", 1, True])
def test_filled_hours_come_from_the_call_that_has_their_status(fill: Any) -> None:
    call = rest_call(HOURS, {"ymd": "2026-03-31", "grpIdx": 5, "fill": fill})
    assert call.path == "/api/statistics/v3/clicks-by-hour"
    assert dict(call.query) == {"startYmd": "2026-03-31", "endYmd": "2026-03-31", "grpIdx": "5", "fill": "1"}


@pytest.mark.parametrize(
    "arguments", [{"ymd": "2026-03-31"}, {"ymd": "2026-03-31", "fill": 0}, {"ymd": "31.3.2026", "fill": 1}, {}]
)
def test_other_hours_come_from_the_call_that_is_named_like_the_argument(arguments: dict[str, Any]) -> None:
    assert rest_call(HOURS, arguments).path == "/api/statistics/v2/clicks-by-hour"


def test_a_path_may_carry_its_query() -> None:
    call = rest_call(ANY, {"path": "/api/v1/clicks?start_date=2026-03-01&page=", "query": {"limit": 5}})
    assert call == RestCall("/api/v1/clicks", (("start_date", "2026-03-01"), ("page", ""), ("limit", "5")))


@pytest.mark.parametrize("arguments", [{"path": "/api/v1/clicks", "method": "get", "body": {}, "query": None}])
def test_a_get_in_any_case_with_a_body_that_is_ignored(arguments: dict[str, Any]) -> None:
    assert rest_call(ANY, arguments) == RestCall("/api/v1/clicks", ())


@pytest.mark.parametrize("method", ["POST", "DELETE", "HEAD", "CONNECT", 7])
def test_no_other_method(method: Any) -> None:
    with pytest.raises(HTTPException) as refused:
        rest_call(ANY, {"path": "/api/v1/clicks", "method": method})
    assert refused.value.status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/api",
        "api/v1/clicks",
        "/admin/keys",
        "/mcp",
        "//host/api/v1/clicks",
        "http://host/api/v1/clicks",
        "/api/../admin/keys",
        "/api/v1/..",
        "/api/./v1",
        "/api/%2e%2e/admin/keys",
        "/api/%2E%2e/admin/keys",
        "/api/.%2e/admin/keys",
        "/api/%252e%252e/admin/keys",
        "/api/%25252e%25252e/admin/keys",
        "/api/..%2fadmin/keys",
        "/api/..%5cadmin",
        "/api\\..\\admin",
        "/%61pi/v1/clicks",
        "/api/v1/clicks#x",
        "/api/v1/clicks%3Fpage=2",
        "/api/v1/cl\nicks",
        "/api/v1/cl%0d%0aicks",
        "/api/v1/clicks%00",
        "/api/" + "x" * 2000,
        "/api/%" + "25" * 600 + "2e%2e",
        None,
        7,
    ],
)
def test_no_way_out_of_api(path: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        rest_call(ANY, {"path": path})
    assert refused.value.field == "path"


PIECES = st.lists(st.sampled_from(["/", ".", "..", "%2e", "%252e", "%2f", "\\", "api", "admin", "v1", "?", "#", "@"]))


@given(PIECES.map("".join))
@example("api/v1/../../admin")
def test_what_is_allowed_is_below_api_however_it_is_decoded(rest: str) -> None:
    try:
        path = rest_call(ANY, {"path": f"/api/{rest}"}).path
    except BadRequest:
        return
    for _ in range(10):
        assert path.startswith("/api/")
        assert not {"..", "."} & set(path.split("/"))
        assert not set("\\?#") & set(path)
        path = unquote(path)


@pytest.mark.parametrize("arguments", [{"path": "/api/v1/clicks?api_key=cm_x"}, {"query": {"api_key": "cm_x"}}])
def test_no_key_comes_out_of_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="belongs to the connection"):
        rest_call(ANY, {"path": "/api/v1/clicks", **arguments})


@pytest.mark.parametrize("query", ["page=2", [["page", 2]], 7])
def test_a_query_is_an_object(query: Any) -> None:
    with pytest.raises(BadRequest, match="query must be"):
        rest_call(ANY, {"path": "/api/v1/clicks", "query": query})


@given(st.text(min_size=1, max_size=20))
def test_an_encoded_segment_is_passed_on_as_it_came(name: str) -> None:
    path = f"/api/{quote(name, safe='')}"
    try:
        assert rest_call(ANY, {"path": path}).path == path
    except BadRequest:
        assert set("/\\.?#%") & set(name) or not name.isprintable()


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({"x-api-key": "a", "authorization": "Bearer b"}, {"api_key": "c"}, "a"),
        ({"x-api-key": ""}, {"api_key": "c"}, ""),
        ({"authorization": "Bearer b"}, {"api_key": "c"}, "b"),
        ({"authorization": "APIKey b"}, {}, "b"),
        ({"authorization": "Basic b"}, {"api_key": "c"}, None),
        ({}, {"api_key": "c"}, "c"),
        ({}, {}, None),
    ],
)
def test_the_first_credential_of_the_connection_decides(
    headers: dict[str, str], query: dict[str, str], key: str | None
) -> None:
    assert connection_key(headers, query) == key


def test_the_key_takes_the_form_that_the_call_wants() -> None:
    assert credentials(RestCall("/api/v1/clicks", ()), "k") == {"x-api-key": "k"}
    assert credentials(RestCall("/api/statistics/v2/clicks-by-hour", ()), "k") == {"authorization": "APIKey k"}
    assert credentials(RestCall("/api/v1/clicks", ()), None) == {}

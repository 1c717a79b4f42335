"""The REST call of a tool call: a GET below /api/ with the key, address and User-Agent of the connection."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.http.errors import BadRequest
from api.http.headers import ANY_SCHEME, presented_key
from api.mcp.rest_calls import RestCall, call_tool, credentials, rest_call
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
SENT = {
    "x-api-key": "cm_k",
    "user-agent": "curious/1.0",
    "accept": "application/json, text/event-stream",
    "cookie": "a=b",
    "if-none-match": "*",
    "content-type": "application/json",
    "x-forwarded-for": "6.6.6.6",
    "host": "localhost",
}


def incoming(headers: dict[str, str]) -> Request:
    return Request(
        {
            "type": "http",
            "method": "POST",
            "path": "/mcp",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("203.0.113.9", 4711),
            "state": {"request_id": "r-1"},
        }
    )


def called(tool: Any, arguments: Any, content: bytes = b"{}", status: int = 200, **headers: str) -> tuple[Scope, Any]:
    """The scope that the application received, and the result of the tool."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await Response(content, status, media_type="application/json")(scope, receive, send)

    result = asyncio.run(call_tool(app, tool, arguments, incoming(SENT | headers)))
    return seen[0], result


def test_address_agent_key_and_id_are_passed_on_and_nothing_else() -> None:
    scope, _ = called(CLICKS, {"start_date": "2026-03-01", "page": 2})
    assert (scope["method"], scope["path"], scope["query_string"]) == (
        "GET",
        "/api/v1/clicks",
        b"start_date=2026-03-01&page=2",
    )
    assert scope["client"] == ("203.0.113.9", 4711)
    assert {name.decode(): value.decode() for name, value in scope["headers"]} == {
        "host": "localhost",
        "accept": "application/json",
        "x-request-id": "r-1",
        "x-api-key": "cm_k",
        "user-agent": "curious/1.0",
    }


def test_the_query_is_encoded_once() -> None:
    scope, _ = called(HOURS, {"ymd": "名前/?&=%41 +"})
    assert scope["query_string"] == b"ymd=%E5%90%8D%E5%89%8D%2F%3F%26%3D%2541+%2B"


def test_half_a_character_is_a_question_mark() -> None:
    scope, _ = called(CLICKS, {"page": "\ud800"})
    assert scope["query_string"] == b"page=%3F"


def test_a_path_is_decoded_once() -> None:
    scope, _ = called(ANY, {"path": "/api/v1/a%20b%2541"})
    assert scope["path"] == "/api/v1/a b%41"


@pytest.mark.parametrize("content", [b"", b"[]", b"1,2\n", b'"text"', b"\xff"])
def test_an_answer_that_is_no_object_is_a_failure(content: bytes) -> None:
    _, result = called(ANY, {"path": "/api/v1/other"}, content)
    assert result.is_error
    assert result.structured_content["status"] == 200
    assert "over HTTP" in result.structured_content["message"]


def test_a_refusal_without_words_has_those_of_its_status() -> None:
    _, result = called(CLICKS, {}, b"{}", 502)
    assert result.structured_content == {"status": 502, "message": "Bad Gateway"}


def test_the_message_of_a_failure_is_a_text() -> None:
    _, result = called(HOURS, {"ymd": "2026-03-31"}, b'{"code": 1001, "message": null, "result": null}')
    assert result.is_error
    assert result.structured_content == {"code": 1001, "result": None, "status": 200, "message": "OK"}


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
    assert presented_key(headers, query, *ANY_SCHEME) == key


def test_the_key_takes_the_form_that_the_call_wants() -> None:
    assert credentials(RestCall("/api/v1/clicks", ()), "k") == {"x-api-key": "k"}
    assert credentials(RestCall("/api/statistics/v2/clicks-by-hour", ()), "k") == {"authorization": "APIKey k"}
    assert credentials(RestCall("/api/v1/clicks", ()), None) == {}

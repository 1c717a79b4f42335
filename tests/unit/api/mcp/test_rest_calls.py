"""What a tool call sends to the application: the caller's address, agent and key, and nothing else of its request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.mcp.rest_calls import call_tool
from tests.unit.api.mcp.test_rest_request import ANY, CLICKS, HOURS

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
    """The request that the application got, and the tool's result."""
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

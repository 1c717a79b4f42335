"""`/mcp` over HTTP: what clients may send and omit, documents, and rejected requests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from starlette.types import Message

from api.mcp.endpoint import MAX_BODY_BYTES
from rollups.clickhouse import ClickHouse
from tests.support.mcp_client import RawMcp
from tests.support.seed import Callers, callers


@pytest.fixture(scope="module")
def api(engine: ClickHouse) -> Iterator[Callers]:
    made = callers(engine)
    with made.client:
        yield made


@pytest.fixture(scope="module")
def mcp(api: Callers) -> RawMcp:
    return RawMcp(api.client)


# Requests and responses


def test_the_vendors_initialize_with_nothing_but_a_version(mcp: RawMcp) -> None:
    result = mcp.result("initialize", {"protocolVersion": "2025-11-25"})
    assert result["protocolVersion"] == "2025-11-25"
    assert {"tools", "resources", "prompts"} <= result["capabilities"].keys()


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_older_revisions(mcp: RawMcp, version: str) -> None:
    who = {"capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    assert mcp.result("initialize", {"protocolVersion": version, **who})["protocolVersion"] == version
    assert mcp.result("tools/list", headers={"MCP-Protocol-Version": version})["tools"]


def test_no_session_is_given_and_one_that_is_sent_does_not_matter(mcp: RawMcp) -> None:
    answer = mcp.answer("initialize", {"protocolVersion": "2025-11-25"}, headers={"Mcp-Session-Id": "made-up"})
    assert "mcp-session-id" not in answer.headers
    assert mcp.result("ping", headers={"Mcp-Session-Id": "made-up"}) == {}


def test_templates_of_resources_are_listed_although_there_are_none(mcp: RawMcp) -> None:
    assert mcp.result("resources/templates/list") == {"resourceTemplates": []}


def test_a_notification_is_accepted(mcp: RawMcp) -> None:
    answer = mcp.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (answer.status_code, answer.content) == (202, b"")


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/event-stream", "*/*", ""])
def test_any_accept_that_takes_json(mcp: RawMcp, accept: str) -> None:
    mcp.client.headers.pop("accept", None)
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"Host": "localhost", **({"Accept": accept} if accept else {})}
    answer = mcp.client.post("/mcp", json=message, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_an_unknown_tool_resource_or_prompt_says_what_there_is(mcp: RawMcp) -> None:
    for method, params in (
        ("tools/call", {"name": "drop_tables"}),
        ("resources/read", {"uri": "clickmill://secrets"}),
        ("prompts/get", {"name": "write_integration"}),
    ):
        error = mcp.answer(method, params).json()["error"]
        assert error["code"] == -32602
        assert "tools/list" in error["message"] or "resources/list" in error["message"] or "need" in error["message"]


# Documents


def test_resources_are_the_documents_that_rest_serves(api: Callers, mcp: RawMcp) -> None:
    uris = [resource["uri"] for resource in mcp.result("resources/list")["resources"]]
    for uri, path in zip(uris, ["/api/v1/schema", "/api/v1/tools"], strict=True):
        (content,) = mcp.result("resources/read", {"uri": uri})["contents"]
        assert content["text"].encode() == api.client.get(path).content


def test_rest_and_mcp_list_the_same_tools(api: Callers, mcp: RawMcp) -> None:
    assert api.client.get("/api/v1/tools").json()["tools"] == mcp.result("tools/list")["tools"]


def test_the_prompt_holds_the_need_and_every_call(api: Callers, mcp: RawMcp) -> None:
    arguments = {"need": "Clicks of last week by network, as CSV.", "language": "Ruby"}
    (message,) = mcp.result("prompts/get", {"name": "write_integration", "arguments": arguments})["messages"]
    text = message["content"]["text"]
    paths = [path for path in api.client.get("/api/v1/schema").json()["paths"] if path.startswith("/api/")]
    assert {path for path in paths if f"GET {path}" not in text} == set()
    assert all(
        part in text for part in ("by network, as CSV", "in Ruby", "X-Api-Key", "start_date", "http://localhost/")
    )


def test_the_prompt_holds_what_the_server_makes_of_the_need(mcp: RawMcp) -> None:
    for language, code in (("Python", "urlopen"), ("Ruby", "curl -")):
        arguments = {"need": "clicks of group 12 per hour", "language": language}
        (message,) = mcp.result("prompts/get", {"name": "write_integration", "arguments": arguments})["messages"]
        assert "clicksByHour" in message["content"]["text"]
        assert code in message["content"]["text"]
        assert "http://localhost/api/statistics/v2/clicks-by-hour" in message["content"]["text"]
    long = {"need": "clicks " * 200}
    (message,) = mcp.result("prompts/get", {"name": "write_integration", "arguments": long})["messages"]
    assert "alternatives" not in message["content"]["text"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "application/json, text/event-stream"])
def test_get_tells_the_version(api: Callers, accept: str) -> None:
    answer = api.client.get("/mcp", headers={"Accept": accept})
    assert answer.json()["protocolVersion"] == "2025-11-25"
    assert answer.json()["endpoint"] == "http://testserver/mcp"


def test_there_is_no_stream_to_get_and_no_session_to_delete(api: Callers) -> None:
    for answer in (
        api.client.get("/mcp", headers={"Accept": "text/event-stream"}),
        api.client.delete("/mcp"),
        api.client.put("/mcp", content="{}"),
    ):
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD, POST"
        assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


def test_integration_json_names_endpoint_credentials_and_tools(api: Callers) -> None:
    found = api.client.get("/mcp/integration.json").json()
    assert found["endpoint"] == "http://testserver/mcp"
    assert found["auth"]["name"] == "X-Api-Key"
    assert found["tools"] == api.client.get("/api/v1/tools").json()["tools"]
    assert found["client"]["mcpServers"]["clickmill"]["url"] == found["endpoint"]


def test_llms_txt_names_every_call_and_document(api: Callers) -> None:
    answer = api.client.get("/llms.txt")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith("# Clickmill\n\n> ")
    for path in ("/api/v1/clicks", "/api/statistics/v2/clicks-by-hour", "/api/v1/schema", "/mcp", "/api/v1/tools"):
        assert path in answer.text


# Guards


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example:80"}, 421),
        ({"Host": "localhost:9999"}, 200),
        ({"Host": "127.0.0.1:8080"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:6274"}, 200),
        ({"Content-Type": "text/plain"}, 400),
    ],
)
def test_pages_of_other_hosts_are_turned_away(mcp: RawMcp, headers: dict[str, str], status: int) -> None:
    answer = mcp.answer("ping", headers=headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["message"].endswith(("CLICKMILL_MCP_HOSTS.", "CLICKMILL_CORS_ORIGINS.", "json."))


def test_hosts_and_origins_are_settings(engine: ClickHouse) -> None:
    chosen = callers(engine, mcp_hosts="Clicks.example, testserver", cors_origins="https://app.example")
    with chosen.client:
        mcp = RawMcp(chosen.client)
        assert mcp.answer("ping", headers={"Host": "clicks.example"}).status_code == 200
        assert (
            mcp.answer("ping", headers={"Host": "clicks.example", "Origin": "https://app.example"}).status_code == 200
        )
        assert mcp.answer("ping", headers={"Host": "localhost"}).status_code == 421
    anywhere = callers(engine, mcp_hosts="*")
    with anywhere.client:
        assert RawMcp(anywhere.client).answer("ping", headers={"Host": "any.example"}).status_code == 200


@pytest.mark.parametrize("allowed", ["https://app.example", "*"])
def test_a_page_that_may_call_the_api_may_call_mcp(engine: ClickHouse, allowed: str) -> None:
    chosen = callers(engine, cors_origins=allowed)
    page = {"Origin": "https://app.example"}
    sent = "content-type,mcp-method,mcp-name,mcp-protocol-version,mcp-session-id,x-api-key"
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": sent}
    with chosen.client:
        preflight = chosen.client.options("/mcp", headers={**page, **asked})
        mcp = RawMcp(chosen.client)
        answer = mcp.answer("ping", headers=page)
        other = mcp.answer("ping", headers={"Origin": "https://evil.example"})
        elsewhere = mcp.answer("ping", headers={**page, "Host": "evil.example"})
    assert [found.status_code for found in (preflight, answer, elsewhere)] == [200, 200, 421]
    assert {found.headers["Access-Control-Allow-Origin"] for found in (preflight, answer)} == {allowed}
    assert other.status_code == (200 if allowed == "*" else 403)


def test_a_message_has_a_greatest_size(mcp: RawMcp) -> None:
    for size, status in ((MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)):
        ping = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        assert mcp.post(ping.ljust(size)).status_code == status


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", '"initialize"', '{"method":"initialize"}', "[" * 100_000, '"initialize"' * 2, b"\xff"],
)
def test_what_is_no_message_is_refused(mcp: RawMcp, body: str | bytes) -> None:
    answer = mcp.post(body)
    assert answer.status_code == 400
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        '[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]',
        "[]",
        "7",
        '{"method": "ping"}',
        '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": [3]}',
    ],
)
def test_json_that_is_no_message_is_refused_in_our_words(mcp: RawMcp, body: str) -> None:
    answer = mcp.post(body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32600
    assert "one by one" in answer.json()["error"]["message"]
    assert "pydantic" not in answer.text


def test_a_client_that_leaves_in_the_middle_of_its_message_is_no_fault(
    api: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    messages: list[Message] = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"{", "more_body": True}]
    answers: list[Message] = []

    async def receive() -> Message:
        return messages.pop()

    async def send(message: Message) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}
    assert api.client.portal is not None
    api.client.portal.call(api.client.app, scope, receive, send)
    assert (answers, caplog.text) == ([], "")


def test_a_fault_of_ours_goes_to_the_log(
    engine: ClickHouse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("api.mcp.server.call_tool", fails)
    made = callers(engine)
    with made.client:
        answer = RawMcp(made.client).answer("tools/call", {"name": "get_clicks"}, headers={"X-Request-Id": "find-me"})
    assert answer.json()["error"]["code"] == -32603
    assert "secret" not in answer.text
    assert "find-me" in caplog.text
    assert "a secret of ours" in caplog.text


def test_outside_its_lifespan_it_says_that_it_is_away(engine: ClickHouse) -> None:
    answer = RawMcp(callers(engine).client).answer("ping")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_an_application_can_be_started_again(engine: ClickHouse) -> None:
    made = callers(engine)
    for _ in range(2):
        with made.client:
            assert RawMcp(made.client).result("ping") == {}

"""MCP over a socket to a running `clickmill up`: the official Python client, the inspector, the conformance suite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent, TextResourceContents

from tests.integration.conftest import started
from tests.support import some
from tests.support.kafka_broker import require
from tests.support.mcp_clients import CONFORMANCE, inspector, missing_reason, node
from tests.support.stack import ADMIN_KEY, Stack

DAY = {"ymd": "2026-03-31"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with started("embedded", tmp_path_factory.mktemp("up")) as stack:
        entries = {"accounts": [{"account_id": 1, "plan": "Business", "time_zone": "Europe/Berlin"}]}
        stack.admin("PUT", "/admin/catalog", entries)
        clicks = [
            {"clicked_at": f"2026-03-31T0{n}:30:00Z", "account_id": 1, "domain": "a.example", "link_id": "x"}
            | {"publisher_id": 2, "advertiser_id": n + 1, "network_id": 1}
            for n in range(5)
        ]
        stack.send(clicks).raise_for_status()
        stack.wait_counted()
        yield stack


@pytest.fixture(scope="module")
def clients() -> None:
    require(missing_reason())


@pytest.mark.parametrize(
    ("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28"), ("2026-07-28", "2026-07-28")]
)
def test_the_official_python_client(up: Stack, mode: Any, version: str) -> None:
    account = up.key("account", account_id=1)
    rest = up.http.get(
        f"{up.api}/api/statistics/v2/clicks-by-hour", params=DAY, headers={"Authorization": f"APIKey {account}"}
    )

    async def talk() -> None:
        headers = {"Authorization": f"Bearer {account}"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{up.api}/mcp", http_client=http), mode=mode) as client,
        ):
            assert client.protocol_version == version
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools][:2] == ["get_clicks", "get_clicks_by_hour"]
            hours = await client.call_tool("get_clicks_by_hour", DAY)
            assert hours.structured_content == rest.json()
            assert len(rest.json()["result"]) == 5
            refused = await client.call_tool("get_clicks", {})
            assert refused.is_error
            assert refused.structured_content["status"] == 403
            for resource in some((await client.list_resources()).resources):
                (document,) = (await client.read_resource(resource.uri)).contents
                assert isinstance(document, TextResourceContents)
                assert json.loads(document.text)
            prompt = await client.get_prompt("write_integration", {"need": "clicks of today"})
            assert isinstance(prompt.messages[0].content, TextContent)
            assert "clicks of today" in prompt.messages[0].content.text

    asyncio.run(talk())


@pytest.mark.usefixtures("clients")
def test_the_inspector_finds_nothing_wrong_with_the_tools(up: Stack) -> None:
    status, answer = inspector(f"{up.api}/mcp", "tools/list", "--strict")
    assert status == 0
    assert {tool["name"] for tool in answer["tools"]} >= {"get_clicks", "get_clicks_by_date", "api_request"}


@pytest.mark.usefixtures("clients")
def test_the_inspector_calls_a_tool(up: Stack) -> None:
    arguments = ["--tool-name", "get_clicks", "--tool-arg", "start_date=2026-03-31", "end_date=2026-03-31"]
    status, answer = inspector(f"{up.api}/mcp", "tools/call", *arguments, key=ADMIN_KEY)
    assert status == 0
    assert answer["structuredContent"]["data"] == up.clicks("2026-03-31", "2026-03-31")
    assert len(answer["structuredContent"]["data"]) == 5


@pytest.mark.usefixtures("clients")
def test_the_inspector_reads_resources_and_the_prompt(up: Stack) -> None:
    status, answer = inspector(f"{up.api}/mcp", "resources/read", "--uri", "clickmill://openapi")
    assert status == 0
    assert json.loads(answer["contents"][0]["text"])["openapi"].startswith("3.")
    need = ["--prompt-name", "write_integration", "--prompt-args", "need=clicks"]
    assert inspector(f"{up.api}/mcp", "prompts/get", *need)[0] == 0


OF_ANY_REVISION = ["tools-list", "resources-list", "prompts-list", "dns-rebinding-protection"]
OF_2025 = [*OF_ANY_REVISION, "server-initialize", "ping"]
OF_2026 = [*OF_ANY_REVISION, "http-header-validation", "server-stateless", "caching", "sep-2164-resource-not-found"]
UNTESTABLE = "Not testable: "  # checks of features that Clickmill lacks: the suite's own tools, sampling, logging


@pytest.mark.usefixtures("clients")
@pytest.mark.parametrize(
    ("revision", "scenario"),
    [*(("2025-11-25", name) for name in OF_2025), *(("2026-07-28", name) for name in OF_2026)],
)
def test_conformance(up: Stack, tmp_path: Path, revision: str, scenario: str) -> None:
    chosen = ("--scenario", scenario, "--spec-version", revision, "--output-dir", str(tmp_path))
    done = node(CONFORMANCE, "server", "--url", f"{up.api}/mcp", *chosen)
    found = list(tmp_path.rglob("checks.json"))
    assert found, done.stdout + done.stderr
    checks = json.loads(found[0].read_text())
    assert any(check["status"] == "SUCCESS" for check in checks)
    wrong = [check for check in checks if check["status"] in ("FAILURE", "WARNING")]
    assert [check for check in wrong if not check["errorMessage"].startswith(UNTESTABLE)] == []


def test_the_log_has_no_line_for_each_message(up: Stack) -> None:
    assert "INFO mcp" not in up.processes["up"].output

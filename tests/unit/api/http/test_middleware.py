"""HEAD for every GET, and `Allow` with all methods of a path."""

from __future__ import annotations

import pytest

from rollups.clickhouse import ClickHouse
from tests.support.seed import Callers, account_on, callers

CLICKS = "/api/v1/clicks?start_date=2026-03-01&end_date=2026-03-31"


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    return callers(db)


@pytest.mark.parametrize(
    "path",
    [
        *("/healthz", "/readyz", "/api/v1/schema", "/api/v1/tools", "/llms.txt", "/mcp", "/mcp/integration.json"),
        *(CLICKS, "/api/v1/clicks", "/api/statistics/v2/clicks-by-hour?ymd=2026-03-31", "/admin/keys", "/nope"),
    ],
)
def test_head_is_get_without_the_body(api: Callers, path: str) -> None:
    account = {"Authorization": f"APIKey {api.keys['account']}"}
    headers = account if "statistics" in path else {"X-Api-Key": api.keys["admin"]}
    headers |= {"X-Request-Id": "same", "Host": "localhost"}
    get, head = (api.client.request(method, path, headers=headers) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    changing = {"x-ratelimit-remaining"}
    kept = {name: value for name, value in head.headers.items() if name not in changing}
    assert kept == {name: value for name, value in get.headers.items() if name not in changing}
    assert int(head.headers["Content-Length"]) == len(get.content) > 0


def test_head_of_what_has_no_get(api: Callers) -> None:
    answer = api.client.head("/admin/catalog")
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (405, "PUT", b"")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/admin/keys", "GET, HEAD, POST"),
        ("/admin/keys/some-id", "DELETE"),
        ("/admin/keys/some-id/rotate", "POST"),
        ("/api/v1/clicks", "GET, HEAD"),
        ("/mcp", "GET, HEAD, POST"),
        ("/healthz", "GET, HEAD"),
    ],
)
def test_allow_names_every_method_of_the_path(api: Callers, path: str, allowed: str) -> None:
    answer = api.client.patch(path, headers={"Host": "localhost"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)

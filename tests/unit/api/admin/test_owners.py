"""Lists of accounts and publishers, over HTTP and the real engine."""

from __future__ import annotations

from typing import Any

import pytest

from rollups.clickhouse import ClickHouse
from tests.support.seed import Callers, callers, upsert


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    names = ["", "Müller & Söhne", "<img onerror>", *(f"shop {number}" for number in range(4, 131))]
    upsert(
        db,
        accounts=[{"account_id": number, "name": name, "plan": "Premium"} for number, name in enumerate(names, 1)],
        publishers=[{"publisher_id": 45, "name": "P", "time_zone": "Europe/Berlin"}],
    )
    return callers(db)


def ids(api: Callers, **query: Any) -> list[int]:
    return [row["account_id"] for row in page(api, **query)["data"]]


def page(api: Callers, path: str = "/admin/accounts", **query: Any) -> Any:
    answer = api.client.get(path, params=query, headers={"X-Api-Key": api.keys["admin"]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_accounts_are_listed_by_page(api: Callers) -> None:
    assert ids(api) == list(range(1, 101))
    assert ids(api, page=2) == list(range(101, 131))
    assert page(api, page=2)["total"] == 130
    assert page(api, page=3) == {"data": [], "page": 3, "total": 0}


def test_publishers_are_listed_with_their_zone(api: Callers) -> None:
    row = {"publisher_id": 45, "name": "P", "time_zone": "Europe/Berlin"}
    assert page(api, "/admin/publishers") == {"data": [row], "page": 1, "total": 1}


@pytest.mark.parametrize(
    ("search", "found"),
    [("MÜLLER", [2]), ("<IMG", [3]), ("130", [130]), ("shop 1", [10, *range(11, 20), *range(100, 131)])],
)
def test_search_is_part_of_a_name_or_an_id(api: Callers, search: str, found: list[int]) -> None:
    assert ids(api, search=search) == found


@pytest.mark.parametrize("query", [{"page": 0}, {"page": 10_001}, {"page": "x"}, {"search": "x" * 101}])
def test_what_is_refused(api: Callers, query: dict[str, Any]) -> None:
    answer = api.client.get("/admin/accounts", params=query, headers={"X-Api-Key": api.keys["admin"]})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/accounts", "/publishers", "/lag", "/dead-letters"])
@pytest.mark.parametrize(("role", "status"), [("publisher", 403), ("account", 403), ("unknown", 401)])
def test_only_admins_may_ask(api: Callers, path: str, role: str, status: int) -> None:
    assert api.admin("GET", path, role=role).status_code == status


@pytest.mark.parametrize("path", ["/lag", "/dead-letters"])
def test_without_kafka_it_is_a_503(db: ClickHouse, path: str) -> None:
    answer = callers(db, kafka_url="127.0.0.1:1").admin("GET", path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")

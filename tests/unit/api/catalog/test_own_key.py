"""`GET /api/v1/key`."""

from __future__ import annotations

from typing import Any

import pytest

from rollups.clickhouse import ClickHouse
from tests.support.seed import ACCOUNT, PUBLISHER, account_on, callers, upsert

NOTHING = {"publisher_id": None, "account_id": None, "expires_at": None, "plan": None, "time_zone": None}


@pytest.mark.parametrize(
    ("role", "known"),
    [
        ("admin", {}),
        ("publisher", {"publisher_id": PUBLISHER, "time_zone": "Europe/Berlin"}),
        ("account", {"account_id": ACCOUNT, "plan": "Business", "time_zone": "Asia/Seoul"}),
        ("ingest", {}),
    ],
)
def test_a_key_learns_its_role_and_scope(db: ClickHouse, role: str, known: dict[str, Any]) -> None:
    account_on(db, "Business", "Asia/Seoul")
    upsert(db, publishers=[{"publisher_id": PUBLISHER, "name": "Example", "time_zone": "Europe/Berlin"}])
    asked = callers(db)
    answer = asked.client.get("/api/v1/key", headers={"X-Api-Key": asked.keys[role]})
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert body == {"id": body["id"], "role": role, **NOTHING, **known}
    assert asked.keys[role] not in answer.text


@pytest.mark.parametrize("header", ["X-Api-Key: {}", "Authorization: Bearer {}", "Authorization: APIKey {}"])
def test_a_key_is_taken_in_every_header_that_the_document_names(db: ClickHouse, header: str) -> None:
    asked = callers(db)
    name, _, value = header.format(asked.keys["account"]).partition(": ")
    assert asked.client.get("/api/v1/key", headers={name: value}).json()["account_id"] == ACCOUNT


def test_it_counts_as_a_call(db: ClickHouse) -> None:
    asked = callers(db, requests_per_hour=1)
    headers = {"X-Api-Key": asked.keys["publisher"]}
    assert [asked.client.get("/api/v1/key", headers=headers).status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("headers", [{}, {"X-Api-Key": "wrong"}])
def test_no_key_no_answer(db: ClickHouse, headers: dict[str, str]) -> None:
    answer = callers(db).client.get("/api/v1/key", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")

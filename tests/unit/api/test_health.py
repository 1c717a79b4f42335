"""`/healthz` and `/readyz`."""

from __future__ import annotations

import logging
import socket
import time

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from rollups.clickhouse import ClickHouse
from tests.support.seed import Away


def test_alive_though_everything_is_away() -> None:
    client = TestClient(create_app(Away(), Settings(), ready=lambda: {"worker": False}))
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("parts", "away"),
    [
        pytest.param(None, [], id="store-alone"),
        pytest.param({}, [], id="no-other-parts"),
        pytest.param({"worker": True, "collector": True}, [], id="all-there"),
        pytest.param({"worker": False, "collector": True}, ["worker"], id="one-away"),
    ],
)
def test_ready(db: ClickHouse, parts: dict[str, bool] | None, away: list[str]) -> None:
    client = TestClient(create_app(db, Settings(), ready=None if parts is None else lambda: parts))
    answer = client.get("/readyz")
    assert answer.status_code == (503 if away else 200)
    assert answer.json()["away"] == away
    assert answer.json()["parts"] == {"store": True, **(parts or {})}


def test_not_ready_with_the_reason(db: ClickHouse) -> None:
    reason = "worker: partition 3 is not counted: its oldest unapplied record has waited for at least 90 s"
    answer = TestClient(create_app(db, Settings(), ready=lambda: {"worker": reason, "collector": False})).get("/readyz")
    assert (answer.status_code, answer.json()["away"]) == (503, ["worker", "collector"])
    assert answer.json()["reasons"] == [reason]


def test_not_ready_without_the_store(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "api.health"):
        answer = TestClient(create_app(Away(), Settings())).get("/readyz")
    assert "not ready: ClickHouse at clickhouse://127.0.0.1:1/none is not reachable" in caplog.text
    assert (answer.status_code, answer.json()["away"]) == (503, ["store"])


def test_not_ready_while_the_reading_user_is_turned_away(db: ClickHouse) -> None:
    answer = TestClient(create_app(db, Settings(), reader=Away())).get("/readyz")
    assert (answer.status_code, answer.json()["away"]) == (503, ["store"])


def test_not_ready_while_the_store_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        db = ClickHouse(f"clickhouse://127.0.0.1:{silent.getsockname()[1]}/none")
        client = TestClient(create_app(db, Settings()))
        began = time.monotonic()
        answer = client.get("/readyz")
        took = time.monotonic() - began
    assert (answer.status_code, answer.json()["away"]) == (503, ["store"])
    assert took < 10, "a query is given a minute"

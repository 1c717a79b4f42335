"""The read-only client: no writes, limits of queries, and the error of each limit."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.query.executor import read_only_client
from api.settings import Settings
from rollups.clickhouse import (
    CancelScope,
    ClickHouse,
    ClickHouseBusy,
    ClickHouseError,
    ClickHouseUnavailable,
    QueryCancelled,
    QueryTooLarge,
)
from tests.support.seed import ADMIN_KEY, Daily, Hourly, account_on, callers, insert_daily, insert_hourly

LISTING = "/api/v1/clicks?start_date=2026-03-01&end_date=2026-03-31"
HEAVY = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"


def reader_of(db: ClickHouse, **settings: Any) -> ClickHouse:
    return read_only_client(Settings(clickhouse_url=db.url, **settings))


def test_it_cannot_write(db: ClickHouse) -> None:
    reader = reader_of(db)
    for sql in ("INSERT INTO networks (network_id) VALUES (1)", "TRUNCATE TABLE rollup", "SET readonly = 0"):
        with pytest.raises(ClickHouseError) as refused:
            reader.command(sql)
        assert refused.value.code == 164
    assert reader.query("SELECT count() FROM networks") == [(0,)]
    reader.close()


def test_the_reading_user_is_another_one_if_the_settings_name_it() -> None:
    main = "clickhouse://root:secret@h/db"
    assert read_only_client(Settings(clickhouse_url=main)).url == main
    reader = read_only_client(Settings(clickhouse_url=main, clickhouse_read_url="clickhouse://reader@h/db"))
    assert reader.url == "clickhouse://reader@h/db"


@pytest.mark.parametrize(
    ("settings", "sql", "refusal", "code"),
    [
        pytest.param({"query_seconds": 0.3, "query_rows": 10**15}, HEAVY, ClickHouseBusy, 159, id="time"),
        pytest.param({"query_rows": 1000}, "SELECT sum(number) FROM numbers(1001)", QueryTooLarge, 158, id="rows"),
        pytest.param(
            {"query_memory_mb": 20},
            "SELECT groupArray(number) FROM numbers(10000000)",
            ClickHouseBusy,
            241,
            id="memory",
        ),
    ],
)
def test_a_question_that_is_too_heavy(
    db: ClickHouse, settings: dict[str, Any], sql: str, refusal: type[ClickHouseError], code: int
) -> None:
    reader = reader_of(db, **settings)
    began = time.monotonic()
    with pytest.raises(refusal) as refused:
        reader.query(sql)
    assert refused.value.code == code
    assert time.monotonic() - began < 3
    assert reader.query("SELECT 1") == [(1,)], "the connection is as good as before"
    reader.close()


def test_when_no_connection_is_free_it_says_so(db: ClickHouse) -> None:
    reader = ClickHouse(db.url, connections=1, acquire_timeout=0.05)
    holder = threading.Thread(target=reader.query, args=["SELECT sleep(1)"])
    holder.start()
    time.sleep(0.3)
    with pytest.raises(ClickHouseBusy):
        reader.query("SELECT 1")
    holder.join()
    assert issubclass(ClickHouseBusy, ClickHouseUnavailable)
    reader.close()


def test_too_large_is_told_in_both_envelopes(db: ClickHouse) -> None:
    insert_daily(db, [Daily("2026-03-05", network=n) for n in range(1, 40)])
    insert_hourly(db, [Hourly("2026-03-31", hour) for hour in range(24)])
    account_on(db, "Enterprise")
    api = callers(db)
    app = create_app(db, Settings(admin_key=ADMIN_KEY), reader=reader_of(db, query_rows=20))
    client = TestClient(app, raise_server_exceptions=False)
    listing = client.get(LISTING, headers={"X-Api-Key": ADMIN_KEY})
    assert (listing.status_code, listing.json()["error"]["code"]) == (400, "BAD_REQUEST")
    assert "fewer days" in listing.json()["error"]["message"]
    hours = client.get(
        "/api/statistics/v2/clicks-by-hour",
        params={"ymd": "2026-03-31", "linkId": "abc", "domain": "vvd.bz"},
        headers={"Authorization": f"APIKey {api.keys['account']}"},
    )
    assert (hours.status_code, hours.json()["code"], hours.json()["result"]) == (200, 1005, None)


def test_too_busy_is_told_with_retry_after(db: ClickHouse) -> None:
    class Busy(ClickHouse):
        def query(self, *_: Any, **__: Any) -> Any:
            raise ClickHouseBusy("secret", 202)

    client = TestClient(create_app(db, Settings(admin_key=ADMIN_KEY), reader=Busy(db.url)))
    answer = client.get(LISTING, headers={"X-Api-Key": ADMIN_KEY})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) > 0
    assert "secret" not in answer.text


def test_a_scope_can_be_killed_and_starts_nothing_more(db: ClickHouse) -> None:
    scope, ended = CancelScope(), list[BaseException]()

    def run() -> None:
        try:
            scope.run(lambda: db.query(HEAVY))
        except ClickHouseError as error:
            ended.append(error)

    running = threading.Thread(target=run)
    running.start()
    deadline = time.monotonic() + 20
    while running.is_alive():
        assert time.monotonic() < deadline
        db.kill(scope.comment)
        running.join(0.1)
    [error] = ended
    assert isinstance(error, ClickHouseBusy)
    assert error.code == 394
    scope.cancelled = True
    with pytest.raises(QueryCancelled):
        scope.run(lambda: db.query("SELECT 1"))
    assert db.query("SELECT 1") == [(1,)], "nobody else is concerned"

"""What the API may ask of the database: it only reads, within limits, and is told which one it met."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from api.query.executor import read_only_client
from ingest.settings import Settings
from rollups.clickhouse import Store, StoreBusy, StoreError, StoreTooLarge, StoreUnavailable
from rollups.errand import CalledOff, Errand
from tests.support.seed import ADMIN_KEY, Daily, Hourly, account_on, callers, insert_daily, insert_hourly

LISTING = "/api/v1/clicks?start_date=2026-03-01&end_date=2026-03-31"
HEAVY = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"


def reader_of(store: Store, **settings: Any) -> Store:
    return read_only_client(Settings(clickhouse_url=store.url, **settings))


def test_it_cannot_write(store: Store) -> None:
    reader = reader_of(store)
    for sql in ("INSERT INTO networks (network_id) VALUES (1)", "TRUNCATE TABLE rollup", "SET readonly = 0"):
        with pytest.raises(StoreError) as refused:
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
        pytest.param({"query_seconds": 0.3, "query_rows": 10**15}, HEAVY, StoreBusy, 159, id="time"),
        pytest.param({"query_rows": 1000}, "SELECT sum(number) FROM numbers(1001)", StoreTooLarge, 158, id="rows"),
        pytest.param(
            {"query_memory_mb": 20}, "SELECT groupArray(number) FROM numbers(10000000)", StoreBusy, 241, id="memory"
        ),
    ],
)
def test_a_question_that_is_too_heavy(
    store: Store, settings: dict[str, Any], sql: str, refusal: type[StoreError], code: int
) -> None:
    reader = reader_of(store, **settings)
    began = time.monotonic()
    with pytest.raises(refusal) as refused:
        reader.query(sql)
    assert refused.value.code == code
    assert time.monotonic() - began < 3
    assert reader.query("SELECT 1") == [(1,)], "the connection is as good as before"
    reader.close()


def test_when_no_connection_is_free_it_says_so(store: Store) -> None:
    reader = Store(store.url, connections=1, patience=0.05)
    with reader._client(), pytest.raises(StoreBusy):
        reader.query("SELECT 1")
    assert issubclass(StoreBusy, StoreUnavailable)
    reader.close()


def test_too_large_is_told_in_both_envelopes(store: Store) -> None:
    insert_daily(store, [Daily("2026-03-05", network=n) for n in range(1, 40)])
    insert_hourly(store, [Hourly("2026-03-31", hour) for hour in range(24)])
    account_on(store, "Enterprise")
    api = callers(store)
    app = create_app(store, Settings(admin_key=ADMIN_KEY), reader=reader_of(store, query_rows=20))
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


def test_too_busy_is_told_with_retry_after(store: Store) -> None:
    class Busy(Store):
        def query(self, *_: Any, **__: Any) -> Any:
            raise StoreBusy("secret", 202)

    client = TestClient(create_app(store, Settings(admin_key=ADMIN_KEY), reader=Busy(store.url)))
    answer = client.get(LISTING, headers={"X-Api-Key": ADMIN_KEY})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["Retry-After"]) > 0
    assert "secret" not in answer.text


def test_an_errand_can_be_killed_and_starts_nothing_more(store: Store) -> None:
    errand, ended = Errand(), list[BaseException]()

    def run() -> None:
        try:
            errand.call(lambda: store.query(HEAVY))
        except StoreError as error:
            ended.append(error)

    running = threading.Thread(target=run)
    running.start()
    deadline = time.monotonic() + 20
    while running.is_alive():
        assert time.monotonic() < deadline
        store.kill(errand.comment)
        running.join(0.1)
    [error] = ended
    assert isinstance(error, StoreBusy)
    assert error.code == 394
    errand.called_off = True
    with pytest.raises(CalledOff):
        errand.call(lambda: store.query("SELECT 1"))
    assert store.query("SELECT 1") == [(1,)], "nobody else is concerned"

"""The listing as a stream of CSV, NDJSON or Parquet: rows, scope, order, and a failure on the way."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
import time
import tracemalloc
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet

from api.catalog.catalog import Catalog
from api.clicks import export
from api.clicks.export import Exports
from api.clicks.parameters import ClicksQuery
from api.clicks.queries import read_chunk
from api.http import middleware
from api.query.executor import QueryExecutor
from rollups.clickhouse import ClickHouse, ClickHouseBusy, ClickHouseUnavailable, scope_settings
from tests.support.http_server import running
from tests.support.seed import Callers, Daily, callers, insert_daily, insert_source, insert_watermark, upsert
from tests.unit.api.clicks.test_endpoint import ROW_KEYS

CSV, NDJSON, PARQUET = "text/csv", "application/x-ndjson", "application/vnd.apache.parquet"
FORMATS = [pytest.param(name, id=name) for name in (CSV, NDJSON, PARQUET)]
MARCH = "/api/v1/clicks?start_date=2026-03-01&end_date=2026-03-31"
ROWS = [
    Daily("2026-03-02", clicks=9, advertiser=10, publisher=45),
    Daily("2026-03-02", clicks=5, advertiser=2, publisher=46, network=3),
    Daily("2026-03-02", clicks=7, advertiser=2, publisher=46, network=20),
    Daily("2026-03-31", clicks=1, advertiser=99),
    Daily("2026-03-30", clicks=0, bots=9),
    Daily("2026-04-01"),
]


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    return callers(db)


def get(api: Callers, accept: str, role: str = "admin", **parameters: Any) -> Any:
    query = {"start_date": "2026-03-01", "end_date": "2026-03-31", **parameters}
    headers = {"X-Api-Key": api.keys[role], "Accept": accept}
    return api.client.get("/api/v1/clicks", params=query, headers=headers)


def read_csv(body: bytes) -> list[dict[str, Any]]:
    """Rows with their types restored; CSV has no null."""
    lines = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    return [
        {k: v or None if k.endswith(("name", "slug", "date")) else int(v) for k, v in line.items()} for line in lines
    ]


def read_parquet(body: bytes) -> list[dict[str, Any]]:
    rows = parquet.read_table(io.BytesIO(body)).to_pylist()
    return [{**row, "click_date": row["click_date"].isoformat()} for row in rows]


PARSERS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    CSV: read_csv,
    NDJSON: lambda body: [json.loads(line) for line in body.splitlines()],
    PARQUET: read_parquet,
}


def by_identity(row: dict[str, Any]) -> Any:
    return (
        -date.fromisoformat(row["click_date"]).toordinal(),
        row["advertiser_id"],
        row["publisher_id"],
        row["network_id"],
    )


@pytest.mark.parametrize("accept", FORMATS)
@pytest.mark.parametrize(
    ("role", "parameters"),
    [
        pytest.param("admin", {}, id="admin-all"),
        pytest.param("admin", {"publisher_id": 46}, id="admin-filters"),
        pytest.param("admin", {"publisher_id": -1}, id="admin-impossible-publisher"),
        pytest.param("publisher", {"publisher_id": 46}, id="publisher-sees-own"),
        pytest.param("publisher", {"start_date": "2026-03-03", "end_date": "2026-03-30"}, id="no-rows"),
        pytest.param("admin", {"start_date": "9999-12-01", "end_date": "9999-12-31"}, id="no-such-days"),
    ],
)
def test_the_rows_of_the_listing_by_identity(
    db: ClickHouse, api: Callers, accept: str, role: str, parameters: dict[str, Any]
) -> None:
    insert_daily(db, ROWS)
    upsert(
        db,
        advertisers=[{"advertiser_id": 2, "name": 'Wörld, "quoted"\r\nand 한글', "slug": "w"}],
        publishers=[{"publisher_id": 46, "name": "P"}],
        networks=[{"network_id": 20, "name": "N"}],
    )
    answer = get(api, accept, role, per_page=1, page=7, **parameters)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == accept
    listing = api.clicks(role, per_page=1000, **parameters).json()["data"]
    rows = PARSERS[accept](answer.content)
    assert rows == sorted(listing, key=by_identity)
    assert all(list(row) == ROW_KEYS for row in rows)


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("accept", FORMATS)
def test_chunks_do_not_show(
    db: ClickHouse, api: Callers, accept: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_daily(db, ROWS)
    whole = PARSERS[accept](get(api, accept).content)
    monkeypatch.setattr(export, "CHUNK_ROWS", chunk)
    assert PARSERS[accept](get(api, accept).content) == whole
    assert len(whole) == 4


def test_an_empty_listing_is_a_file_without_rows(api: Callers) -> None:
    assert get(api, CSV).text == ",".join(ROW_KEYS) + "\r\n"
    assert get(api, NDJSON).content == b""
    assert parquet.read_table(io.BytesIO(get(api, PARQUET).content)).column_names == ROW_KEYS


def test_parquet_has_types(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, ROWS)
    schema = parquet.read_schema(io.BytesIO(get(api, PARQUET).content))
    types = {field.name: str(field.type) for field in schema}
    assert types == {
        **dict.fromkeys(ROW_KEYS, "string"),
        **dict.fromkeys(("advertiser_id", "publisher_id", "network_id", "click_count"), "int64"),
        "click_date": "date32[day]",
    }


@pytest.mark.parametrize("name", ['=HYPERLINK("x")', "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1"])
def test_no_spreadsheet_runs_a_name(db: ClickHouse, api: Callers, name: str) -> None:
    insert_daily(db, [Daily("2026-03-02", advertiser=2)])
    upsert(db, advertisers=[{"advertiser_id": 2, "name": name, "slug": "a=b"}])
    row = read_csv(get(api, CSV).content)[0]
    assert (row["advertiser_name"], row["advertiser_slug"]) == (f"'{name}", "a=b")
    assert PARSERS[NDJSON](get(api, NDJSON).content)[0]["advertiser_name"] == name


@pytest.mark.parametrize("accept", FORMATS)
def test_headers(db: ClickHouse, api: Callers, accept: str) -> None:
    insert_source(db, 1, "2026-04-01 00:00:00")
    insert_watermark(db, 1, 0, "2026-04-01 10:00:00")
    headers = get(api, accept).headers
    assert headers["X-Data-As-Of"] == "2026-04-01T10:00:00.000Z"
    assert headers["Vary"] == "Accept, X-Api-Key, Authorization"
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["X-Request-Id"]
    assert "ETag" not in headers


@pytest.mark.parametrize("accept", FORMATS)
def test_refusals_are_the_same_json(api: Callers, accept: str) -> None:
    for answer, status in (
        (get(api, accept, "unknown"), 401),
        (get(api, accept, "account"), 403),
        (get(api, accept, start_date="x"), 400),
        (get(api, accept, per_page="x"), 400),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"


def test_a_stream_goes_on_from_a_cursor(db: ClickHouse, api: Callers) -> None:
    insert_daily(db, ROWS)
    cursor = api.clicks("admin", cursor="start", per_page=3).json()["meta"]["next_cursor"]
    assert [row["advertiser_id"] for row in read_csv(get(api, CSV, cursor=cursor).content)] == [10]
    assert len(read_csv(get(api, CSV, cursor="start").content)) == 4
    assert get(api, CSV, cursor="A" * 64).status_code == 400


def test_many_ids_find_their_names(db: ClickHouse, api: Callers) -> None:
    db.command(
        "INSERT INTO rollup (grain, owner, day, advertiser_id, network_id, clicks) "
        "SELECT 'affiliate_day', 45, '2026-03-05', 9000000000000000000 + number, 7, 1 "
        "FROM numbers(3000)"
    )
    db.command(
        "INSERT INTO advertisers (advertiser_id, name) "
        "SELECT 9000000000000000000 + number, toString(number) FROM numbers(3000)"
    )
    names = [row["advertiser_name"] for row in PARSERS[NDJSON](get(api, NDJSON).content)]
    assert names == [str(number) for number in range(3000)]


def breaking(monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    """The database fails after `good` chunks of one row."""
    read, calls = read_chunk, iter(range(100))

    def fails_later(*arguments: Any) -> Any:
        if next(calls) >= good:
            raise ClickHouseUnavailable("gone")
        return read(*arguments)

    monkeypatch.setattr(export, "CHUNK_ROWS", 1)
    monkeypatch.setattr(export, "read_chunk", fails_later)


@pytest.mark.parametrize("accept", FORMATS)
def test_a_failure_on_the_way_is_no_complete_file(
    db: ClickHouse, api: Callers, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_daily(db, ROWS)
    breaking(monkeypatch, good=2)
    with running(api) as url, httpx.Client() as client:
        headers = {"X-Api-Key": api.keys["admin"], "Accept": accept}
        with client.stream("GET", url + MARCH, headers=headers) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                answer.read()


@pytest.mark.parametrize("accept", FORMATS)
def test_a_failure_before_the_first_chunk_is_an_ordinary_503(
    db: ClickHouse, api: Callers, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_daily(db, ROWS)
    breaking(monkeypatch, good=0)
    answer = get(api, accept)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")


def many(db: ClickHouse, rows: int) -> None:
    """Rows over three days, of a thousand advertisers."""
    db.command(
        "INSERT INTO rollup (grain, owner, day, advertiser_id, network_id, clicks) "
        "SELECT 'affiliate_day', 45, toDate('2026-03-01') + number % 3, 1 + number % 1000, 1 + intDiv(number, 1000), 1 "
        "FROM numbers({rows:UInt64})",
        {"rows": rows},
    )


@pytest.mark.parametrize("accept", FORMATS)
def test_hundreds_of_thousands_of_rows_take_bounded_memory(db: ClickHouse, api: Callers, accept: str) -> None:
    rows, lines, tail = 200_000, 0, b""
    many(db, rows)
    headers = {"X-Api-Key": api.keys["admin"], "Accept": accept}
    with running(api) as url, httpx.Client(timeout=60) as client:
        client.get(url + MARCH, headers=headers | {"Accept": "application/json"})
        before_arrow = pa.total_allocated_bytes()
        tracemalloc.start()
        try:
            with client.stream("GET", url + MARCH, headers=headers) as answer:
                for piece in answer.iter_raw(1 << 20):
                    lines += piece.count(b"\n")
                    tail = (tail + piece)[-(1 << 20) :]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    counted = {CSV: lines - 1, NDJSON: lines}
    assert (len(read_parquet(tail)) if accept == PARQUET else counted[accept]) == rows
    assert peak < 25 << 20, "all rows as Python objects would be 150 MB"
    assert pa.total_allocated_bytes() - before_arrow < 1 << 20


def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the chunks that are read from the database, in a list that grows."""
    chunks: list[int] = []

    def counted(*arguments: Any) -> Any:
        rows = read_chunk(*arguments)
        chunks.append(len(rows))
        return rows

    monkeypatch.setattr(export, "read_chunk", counted)
    return chunks


def settled(chunks: list[int]) -> int:
    """Waits until no more chunks are read; returns how many were."""
    count = -1
    while count != len(chunks):
        count = len(chunks)
        time.sleep(0.3)
    return count


def test_a_slow_reader_is_waited_for_and_one_that_leaves_is_not_read_for(
    db: ClickHouse, api: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(db, 200_000)
    chunks = reads(monkeypatch)
    headers = {"X-Api-Key": api.keys["admin"], "Accept": NDJSON}
    with running(api) as url, httpx.Client(timeout=60) as client:
        with client.stream("GET", url + MARCH, headers=headers) as answer:
            pieces = answer.iter_raw(1 << 20)
            next(pieces)
            standing = settled(chunks)
            assert standing < 12, "the socket is full, so nothing more is read"
            for _ in range(4):
                next(pieces)
            going_on = settled(chunks)
            assert going_on > standing
            assert client.get(url + "/healthz").status_code == 200
        assert settled(chunks) <= going_on + 1
        assert client.get(url + MARCH, headers=headers | {"Accept": CSV}).text.count("\r\n") == 200_001


def test_a_reader_that_stands_still_is_given_up(db: ClickHouse, api: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    many(db, 200_000)
    monkeypatch.setattr(middleware, "READ_TIMEOUT_SECONDS", 0.5)
    headers = {"X-Api-Key": api.keys["admin"], "Accept": NDJSON}
    with (
        running(api) as url,
        httpx.Client(timeout=60) as client,
        client.stream("GET", url + MARCH, headers=headers) as answer,
    ):
        pieces = answer.iter_raw(1 << 16)
        next(pieces)
        time.sleep(1.5)
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)


def test_a_chunk_that_nobody_wants_keeps_its_place_until_its_reading_is_over(
    db: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_daily(db, ROWS)
    reading, go_on = threading.Semaphore(0), threading.Event()
    comments: list[str] = []

    def slow(*arguments: Any) -> Any:
        comments.append(scope_settings()["log_comment"])
        reading.release()
        assert go_on.wait(20)
        return read_chunk(*arguments)

    monkeypatch.setattr(export, "read_chunk", slow)
    exports = Exports(db, Catalog(db), QueryExecutor(db))
    query = ClicksQuery(start=date(2026, 3, 1), end=date(2026, 3, 31), publisher_id=None, page=1, per_page=100)

    def start() -> asyncio.Task[Any]:
        return asyncio.ensure_future(exports.start(query, CSV, {}, "request"))

    async def leave_and_come_back() -> None:
        leaving = [start() for _ in range(export.MAX_READERS)]
        for _ in leaving:
            await asyncio.to_thread(reading.acquire)
        for _ in range(3):  # servers and libraries cancel again and again until their task is over
            for task in leaving:
                task.cancel()
            await asyncio.sleep(0.05)
        await asyncio.wait(leaving)
        with monkeypatch.context() as impatient:
            impatient.setattr(export, "START_TIMEOUT_SECONDS", 0.2)
            with pytest.raises(ClickHouseBusy):
                await start()
        monkeypatch.setattr(export, "START_TIMEOUT_SECONDS", 20)
        go_on.set()
        await start()

    asyncio.run(leave_and_come_back())
    assert len(set(comments)) == len(comments) == export.MAX_READERS + 1

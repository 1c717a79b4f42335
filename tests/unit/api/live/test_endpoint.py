"""`GET /api/v1/live` behind a real socket: what a stream tells, to whom, how many there are, and how they end."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from api.access.keys import KeyRing
from api.live import streams
from deploy.settings import Settings
from rollups.clickhouse import ClickHouse
from tests.support.event_stream import EventStream, event_stream
from tests.support.http_server import running
from tests.support.seed import (
    ADMIN_KEY,
    PUBLISHER,
    Callers,
    Daily,
    Hourly,
    account_on,
    callers,
    insert_daily,
    insert_hourly,
    insert_source,
    insert_watermark,
    upsert,
)

PATH = "/api/v1/live"
DAY, EARLIER = "2026-03-31", "2026-03-30"


@pytest.fixture
def api(db: ClickHouse) -> Callers:
    account_on(db, "Enterprise")
    insert_source(db, 1, "2026-04-01 00:00:00")
    insert_watermark(db, 1, 0, "2026-04-01 10:00:00.250")
    return callers(db, time.monotonic, live_streams=6)


@pytest.fixture
def url(api: Callers) -> Iterator[str]:
    with running(api) as address:
        yield address


def metric(api: Callers, name: str, **labels: str) -> float:
    registry: CollectorRegistry = api.client.app.state.metrics  # type: ignore[attr-defined]
    return registry.get_sample_value(name, labels) or 0.0


def wait_for_streams(api: Callers, count: int) -> None:
    """Comes sooner than the next comment, which would tell the server at the latest that a client has left."""
    started = time.monotonic()
    while metric(api, "clickmill_live_streams") != count:
        assert time.monotonic() < started + 10
        time.sleep(0.01)


def get(url: str, key: str, accept: str = "text/event-stream") -> httpx.Response:
    return httpx.get(f"{url}{PATH}", headers={"X-Api-Key": key, "Accept": accept})


def test_a_stream_begins_with_what_is_counted_up_to_now(url: str, api: Callers) -> None:
    headers = {"X-Api-Key": api.keys["publisher"]}
    with httpx.stream("GET", f"{url}{PATH}", headers=headers) as response:
        events = EventStream(response)
        assert events.next() == ("as_of", {"as_of": "2026-04-01T10:00:00.250Z", "changed_from": None})
        assert events.fields["id"] == "2026-04-01T10:00:00.250Z"
    assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert int(response.headers["x-ratelimit-remaining"]) == int(response.headers["x-ratelimit-limit"]) - 1


def test_a_stream_says_when_to_come_again(url: str, api: Callers) -> None:
    with httpx.stream("GET", f"{url}{PATH}", headers={"X-Api-Key": api.keys["publisher"]}) as response:
        assert next(response.iter_lines()) == f"retry: {streams.RETRY_MILLISECONDS}"


def test_a_click_is_told_with_its_day(url: str, api: Callers, db: ClickHouse) -> None:
    with event_stream(url, api.keys["publisher"]) as events:
        for day in (DAY, EARLIER):
            insert_daily(db, [Daily(day)])
            while (told := events.next())[1]["changed_from"] != day:  # a merge of parts tells a day again
                pass
            assert told == ("as_of", {"as_of": "2026-04-01T10:00:00.250Z", "changed_from": day})


def test_who_asks_upon_an_event_gets_the_new_click(url: str, api: Callers, db: ClickHouse) -> None:
    def clicks() -> int:
        headers = {"X-Api-Key": api.keys["publisher"]}
        days = {"start_date": DAY, "end_date": DAY}
        answer = httpx.get(f"{url}/api/v1/clicks", headers=headers, params=days).json()
        return sum(int(row["click_count"]) for row in answer["data"])

    with event_stream(url, api.keys["publisher"]) as events:
        for count in range(1, 6):
            insert_daily(db, [Daily(DAY)])
            while clicks() != count:
                assert events.next()[0] == "as_of"


@pytest.mark.parametrize(
    ("role", "parameters", "told"),
    [
        ("publisher", {}, [EARLIER]),
        ("publisher", {"publisher_id": 46}, [EARLIER]),
        ("account", {}, ["2026-03-28"]),
        ("admin", {}, ["2026-03-27", EARLIER, "2026-03-29", "2026-03-28"]),
        ("admin", {"publisher_id": PUBLISHER}, [EARLIER]),
        ("admin", {"account_id": 8}, ["2026-03-29"]),
    ],
)
def test_a_stream_tells_of_its_scope_only(
    url: str, api: Callers, db: ClickHouse, role: str, parameters: dict[str, Any], told: list[str]
) -> None:
    with event_stream(url, api.keys[role], **parameters) as events, event_stream(url, ADMIN_KEY) as everything:
        for daily in (Daily("2026-03-27", publisher=46), Daily(EARLIER)):
            insert_daily(db, [daily])
            everything.next()
        for hourly in (Hourly("2026-03-29", 3, link="", account=8), Hourly("2026-03-28", 3, link="")):
            insert_hourly(db, [hourly])
            everything.next()
        upsert(db, networks=[{"network_id": 1, "name": "n"}])
        found = []
        while (day := events.next()[1]["changed_from"]) is not None:
            found.append(day)
        assert set(found) <= set(told), "days of others are not told"
        assert min(found) == min(told)


def test_silence_has_comments(url: str, api: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.2)
    with event_stream(url, api.keys["publisher"]) as events:
        assert [events.next() for _ in range(3)] == [("", None)] * 3


def test_a_key_has_four_streams_and_a_process_as_many_as_set(url: str, api: Callers) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(4):
            opened.enter_context(event_stream(url, api.keys["publisher"]))
        refused = get(url, api.keys["publisher"])
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert int(refused.headers["retry-after"]) > 0
        for _ in range(2):
            opened.enter_context(event_stream(url, api.keys["account"]))
        refused = get(url, api.keys["admin"])
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "UNAVAILABLE")
        assert int(refused.headers["retry-after"]) > 0


def test_a_client_that_leaves_frees_its_slot_at_once(url: str, api: Callers) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(4):
            opened.enter_context(event_stream(url, api.keys["publisher"]))
    wait_for_streams(api, 0)
    assert metric(api, "clickmill_live_streams_ended_total", reason="client") == 4


def test_a_client_that_does_not_read_frees_its_slot_too(
    url: str, api: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.http.middleware.READ_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.0)
    monkeypatch.setattr(streams, "COMMENT", b":" + b" " * 100_000 + b"\n\n")
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        head = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {api.keys['publisher']}\r\n\r\n"
        connection.sendall(head.encode())
        wait_for_streams(api, 1)
        wait_for_streams(api, 0)


def test_head_opens_no_stream(url: str, api: Callers) -> None:
    assert httpx.head(f"{url}{PATH}", headers={"X-Api-Key": api.keys["publisher"]}).status_code == 200
    wait_for_streams(api, 0)


def test_a_revoked_key_ends_its_streams(url: str, api: Callers, db: ClickHouse) -> None:
    made = api.admin("POST", "/keys", {"role": "publisher", "publisher_id": PUBLISHER}).json()
    with event_stream(url, made["key"]) as events, event_stream(url, api.keys["publisher"]) as other:
        KeyRing(db, Settings(admin_key=ADMIN_KEY)).revoke(made["id"])
        httpx.delete(f"{url}/admin/keys/{made['id']}", headers={"X-Api-Key": ADMIN_KEY}).raise_for_status()
        started = time.monotonic()
        assert events.next() == ("end", {"reason": "key"})
        assert time.monotonic() - started < 10
        with pytest.raises(StopIteration):
            events.next()
        insert_daily(db, [Daily(DAY)])
        assert other.next()[0] == "as_of", "others go on"
    assert metric(api, "clickmill_live_streams_ended_total", reason="key") == 1


def test_a_stop_ends_all_streams_at_once(api: Callers) -> None:
    with contextlib.ExitStack() as opened, contextlib.ExitStack() as server:
        url = server.enter_context(running(api))
        events = [opened.enter_context(event_stream(url, api.keys["publisher"])) for _ in range(4)]
        started = time.monotonic()
        server.close()
        assert time.monotonic() - started < 4, "uvicorn would wait for 5 s"
        assert [each.next() for each in events] == [("end", {"reason": "shutdown"})] * 4
    assert metric(api, "clickmill_live_streams_ended_total", reason="shutdown") == 4


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_client_that_takes_no_stream_is_refused(url: str, api: Callers, accept: str) -> None:
    refused = get(url, api.keys["publisher"], accept)
    assert (refused.status_code, refused.json()["error"]["code"]) == (406, "NOT_ACCEPTABLE")


def test_no_key_is_taken_from_the_query(url: str, api: Callers) -> None:
    assert httpx.get(f"{url}{PATH}", params={"api_key": api.keys["publisher"]}).status_code == 401


@pytest.mark.parametrize("parameters", [{"account_id": "x"}, {"publisher_id": 0}, {"account_id": 7, "publisher_id": 1}])
def test_an_admin_names_one_owner_or_none(url: str, parameters: dict[str, Any]) -> None:
    assert httpx.get(f"{url}{PATH}", params=parameters, headers={"X-Api-Key": ADMIN_KEY}).status_code == 400


@pytest.mark.parametrize("scheme", ["Bearer", "APIKey"])
def test_an_account_may_use_either_scheme(url: str, api: Callers, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {api.keys['account']}"}
    with httpx.stream("GET", f"{url}{PATH}", headers=headers) as response:
        assert response.status_code == 200

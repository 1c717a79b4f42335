"""The collector over HTTP with a real broker: its responses, and that 202 means acknowledged."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cramjam
import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from starlette.applications import Starlette

from api.http.headers import presented_key
from deploy.settings import Settings
from ingest import collector
from ingest.collector import MAX_BODY_BYTES, KeyVerdict, collector_routes
from ingest.event.addresses import AddressHasher
from ingest.producer import ClickProducer
from tests.support.embedded_broker import Tansu, tansu

NOW = 1_767_225_600
GOOD = {"clicked_at": NOW * 1000, "account_id": 1, "domain": "vvd.bz", "link_id": "a"}
BAD = {"clicked_at": NOW * 1000}
FUTURE = GOOD | {"clicked_at": (NOW + 3601) * 1000}
VERDICTS: dict[str | None, KeyVerdict] = {"good": "ok", "reader": "forbidden", "outage": "unavailable"}


class Collector:
    """A client of the collector; `closed` shuts it."""

    def __init__(self, app: Starlette, client: httpx.AsyncClient, producer: ClickProducer) -> None:
        self.app, self.client, self.producer, self.closed = app, client, producer, False

    async def post(self, content: Any, key: str | None = "good", **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes | AsyncIterator) else json.dumps(content)
        credentials = {"X-Api-Key": key} if key else {}
        return await self.client.post("/ingest/events", content=body, headers=credentials | headers)


@asynccontextmanager
async def collecting(settings: Settings) -> AsyncIterator[Collector]:
    async def authorize(headers: Mapping[str, str]) -> KeyVerdict:
        return VERDICTS.get(presented_key(headers, {}, "bearer"), "unknown")

    async with ClickProducer(settings, delivery_timeout=3) as producer:
        routes = collector_routes(producer, authorize, settings, closed=lambda: running.closed, clock=lambda: NOW)
        app = Starlette(routes=routes)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://collector", timeout=30
        ) as client:
            running = Collector(app, client, producer)
            yield running


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Tansu]:
    with tansu(tmp_path) as running:
        yield running


def run(broker: Tansu, scenario: Callable[[Collector], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), collecting(broker.settings(**settings)) as running:
            await scenario(running)

    asyncio.run(main())


def published(broker: Tansu) -> list[dict[str, Any]]:
    """Every event in the topic, read until no more come: Tansu reports ends that are too low."""

    async def read() -> list[dict[str, Any]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=broker.settings().kafka_url)
        values: list[bytes] = []
        async with consumer:
            consumer.assign([TopicPartition("clicks", number) for number in range(3)])
            await consumer.seek_to_beginning()
            while found := await consumer.getmany(timeout_ms=1000):
                values += [record.value for records in found.values() for record in records]
        decoded = [msgspec.json.decode(value) for value in values]
        return [event for value in decoded for event in (value if isinstance(value, list) else [value])]

    return asyncio.run(read())


def assert_error(answer: httpx.Response, status: int, code: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert set(error) == {"code", "message", "timestamp", "request_id"}
    assert (status in (429, 503)) == answer.headers.get("retry-after", "").isdigit()


def test_events_in_every_form_are_in_the_topic(broker: Tansu) -> None:
    lines = b"\n".join(json.dumps(GOOD | {"event_id": f"line{n}"}).encode() for n in range(3))

    async def scenario(running: Collector) -> None:
        for content, count in [(GOOD, 1), ([GOOD, GOOD], 2), (lines, 3)]:
            answer = await running.post(content)
            assert (answer.status_code, answer.json()) == (202, {"accepted": count, "rejected": []})
        assert running.producer.unacknowledged == 0
        answer = await running.post(json.dumps(GOOD).encode(), None, Authorization="Bearer good")
        assert answer.status_code == 202
        answer = await running.post(lines, **{"Content-Type": "application/x-ndjson"})
        assert answer.json()["accepted"] == 3

    run(broker, scenario)
    ids = [event["event_id"] for event in published(broker)]
    assert len(ids) == 10
    assert sorted(identity for identity in ids if identity.startswith("line")) == sorted(
        ["line0", "line1", "line2"] * 2
    )
    assert len(set(ids)) == 7  # the others were stamped


def test_addresses_and_missing_ids_are_replaced_on_the_way(broker: Tansu) -> None:
    async def scenario(running: Collector) -> None:
        for content in (GOOD | {"ip": "203.0.113.9", "event_id": ""}, [GOOD | {"ip": "203.0.113.9", "event_id": "e"}]):
            assert (await running.post(content)).status_code == 202

    run(broker, scenario, visitor_secret="secret of the tests")
    events = published(broker)
    assert {event["ip"] for event in events} == {AddressHasher("secret of the tests").hash_address("203.0.113.9")}
    assert sorted((len(event["event_id"]), event.get("id_assigned")) for event in events) == [(1, None), (36, True)]


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda body: bytes(cramjam.zstd.compress(body)),
}


@pytest.mark.parametrize("coding", PACKED)
def test_packed_events_are_in_the_topic(broker: Tansu, coding: str) -> None:
    lines = b"\n".join(json.dumps(GOOD | {"event_id": f"line{n}"}).encode() for n in range(3))
    pack = PACKED[coding]

    async def scenario(running: Collector) -> None:
        async def post(body: bytes, named: str = coding) -> httpx.Response:
            return await running.post(body, **{"Content-Encoding": named})

        assert (await post(pack(lines))).json() == {"accepted": 3, "rejected": []}
        largest = json.dumps(GOOD | {"note": "x" * MAX_BODY_BYTES}).encode()
        for body, named, status in [
            (pack(largest), coding, 413),
            (pack(lines)[:-3], coding, 400),
            (lines, coding, 400),
            (pack(lines), "br", 415),
        ]:
            answer = await post(body, named)
            assert (answer.status_code, "error" in answer.json()) == (status, True)
            assert answer.headers.get("Accept-Encoding") == ("gzip, zstd" if status == 415 else None)

    run(broker, scenario)
    assert sorted(event["event_id"] for event in published(broker)) == ["line0", "line1", "line2"]


def test_bad_items_are_named_beside_good_ones(broker: Tansu) -> None:
    async def scenario(running: Collector) -> None:
        answer = await running.post([GOOD, BAD, FUTURE, 3, GOOD])
        assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
        assert [(one["index"], one["reason"], one["error"]) for one in answer.json()["rejected"]] == [
            (1, "invalid", "subject_missing"),
            (2, "future", "future"),
            (3, "invalid", "not_an_event"),
        ]

    run(broker, scenario)
    assert len(published(broker)) == 2


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        (b"", ["empty"]),
        (b'{"clicked_at": 17', ["not_json"]),
        (b"\xff\xfe", ["not_utf8"]),
        (b"[]", ["not_an_event"]),
        (b"[" * 200_000, ["too_deep"]),
        (b"garbage\x00" * 10_000, ["not_json"]),
        (json.dumps([BAD, FUTURE]).encode(), ["subject_missing", "future"]),
    ],
)
def test_nothing_good_is_a_bad_request(broker: Tansu, content: bytes, errors: list[str]) -> None:
    async def scenario(running: Collector) -> None:
        answer = await running.post(content)
        assert (answer.status_code, answer.json()["accepted"]) == (400, 0)
        assert [one["error"] for one in answer.json()["rejected"]] == errors

    run(broker, scenario)


def test_who_may_not_send_is_told(broker: Tansu) -> None:
    async def scenario(running: Collector) -> None:
        assert_error(await running.post(GOOD, None), 401, "UNAUTHORIZED")
        assert_error(await running.post(GOOD, "nonsense"), 401, "UNAUTHORIZED")
        assert_error(await running.post(GOOD, None, Authorization="Basic good"), 401, "UNAUTHORIZED")
        assert_error(await running.post(GOOD, "reader"), 403, "FORBIDDEN")
        assert_error(await running.post(GOOD, "outage"), 503, "UNAVAILABLE")

    run(broker, scenario)
    assert published(broker) == []


def test_a_large_body_is_refused_before_it_is_read(broker: Tansu) -> None:
    read = 0

    async def chunks(count: int) -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(count):
            read += 65536
            yield b" " * 65536

    async def scenario(running: Collector) -> None:
        headers = {"Content-Length": str(MAX_BODY_BYTES + 1)}
        assert_error(await running.post(chunks(1000), **headers), 413, "PAYLOAD_TOO_LARGE")
        largest = json.dumps(GOOD).encode().ljust(MAX_BODY_BYTES)
        assert (await running.post(largest)).status_code == 202
        assert_error(await running.post(largest + b" "), 413, "PAYLOAD_TOO_LARGE")

    run(broker, scenario)
    assert len(published(broker)) == 1


def test_a_body_without_length_is_read_no_further_than_allowed(broker: Tansu) -> None:
    received = 0

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 65536
        return {"type": "http.request", "body": b" " * 65536, "more_body": True}

    async def scenario(running: Collector) -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/ingest/events", "query_string": b""}
        await running.app(scope | {"headers": [(b"x-api-key", b"good")]}, receive, send)
        assert sent[0]["status"] == 413
        assert received <= MAX_BODY_BYTES + 65536

    run(broker, scenario)


def test_a_closed_collector_says_when_to_come_back(broker: Tansu) -> None:
    async def scenario(running: Collector) -> None:
        running.closed = True
        assert_error(await running.post(GOOD), 503, "UNAVAILABLE")
        running.closed = False
        assert (await running.post(GOOD)).status_code == 202

    run(broker, scenario)


@pytest.mark.parametrize("end", [Tansu.freeze, Tansu.kill])
def test_a_lost_broker_is_a_503_in_bounded_time(broker: Tansu, end: Callable[[Tansu], None]) -> None:
    async def scenario(running: Collector) -> None:
        assert (await running.post(GOOD)).status_code == 202
        end(broker)
        started = time.monotonic()
        assert_error(await running.post([GOOD] * 10), 503, "UNAVAILABLE")
        assert time.monotonic() - started < 5

    run(broker, scenario)


def test_a_full_buffer_is_a_429_and_takes_nothing(broker: Tansu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "BUFFER_TIMEOUT_SECONDS", 0.3)

    async def scenario(running: Collector) -> None:
        broker.freeze()
        held = asyncio.ensure_future(running.post([GOOD] * 8))
        await asyncio.sleep(0.2)
        started = time.monotonic()
        assert_error(await running.post([GOOD | {"event_id": "no"}] * 5), 429, "RATE_LIMITED")
        assert time.monotonic() - started < 2
        broker.thaw()
        assert (await held).status_code == 202
        assert (await running.post([GOOD] * 30)).status_code == 202  # more than the buffer holds

    run(broker, scenario, collector_buffer_events=10)
    events = published(broker)
    assert len(events) == 38
    assert not any(event["event_id"] == "no" for event in events)

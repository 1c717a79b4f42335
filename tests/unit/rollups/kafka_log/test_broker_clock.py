"""As-of is never above the broker's time, whatever the clocks of the worker and of the API say."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from api.query.change_detection import ChangeDetector
from rollups.clickhouse import ClickHouse
from rollups.delivery.fences import Fences
from rollups.delivery.markers import Markers, note_empty_tails, reclaim_future_watermarks
from rollups.kafka_log import broker_clock
from rollups.kafka_log.broker_clock import BrokerClock, steady_ms, wall_ms
from tests.support.memory_log import LOG_TIME_MS, MemoryLog
from tests.support.seed import insert_source, insert_watermark
from tests.support.worker import SOURCE, Harness, harness, until

HOUR = 3_600_000


def clock_of(db: ClickHouse, *answers: int | Exception | None) -> BrokerClock:
    said = iter(answers)

    async def publish_note() -> int | None:
        answer = next(said)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return BrokerClock(publish_note, db)


def learned(db: ClickHouse, *answers: int | Exception | None) -> BrokerClock:
    clock = clock_of(db, *answers)
    for _ in answers:
        asyncio.run(clock.learn())
    return clock


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's clock is an hour ahead."""
    right = wall_ms
    monkeypatch.setattr(broker_clock, "wall_ms", lambda: right() + HOUR)


@pytest.mark.usefixtures("ahead")
def test_it_goes_on_from_what_the_broker_said(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = learned(db, LOG_TIME_MS)
    assert LOG_TIME_MS <= clock.now_ms() <= LOG_TIME_MS + 5000
    before, later = clock.now_ms(), steady_ms() + HOUR
    monkeypatch.setattr(broker_clock, "steady_ms", lambda: later)
    assert HOUR <= clock.now_ms() - before <= HOUR + 5000


@pytest.mark.usefixtures("ahead")
def test_where_producers_set_the_times_it_is_the_lesser_of_ours_and_clickhouses(
    db: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = wall_ms()
    assert abs(learned(db, None).now_ms() - now) < 5000, "ClickHouse's is right here"
    monkeypatch.setattr(broker_clock, "wall_ms", lambda: LOG_TIME_MS)
    assert learned(db, None).now_ms() == LOG_TIME_MS


def test_a_broker_that_does_not_answer_leaves_it_as_it_was(db: ClickHouse) -> None:
    away = ConnectionError("away")
    assert LOG_TIME_MS <= learned(db, LOG_TIME_MS, away).now_ms() <= LOG_TIME_MS + 5000
    assert abs(learned(db, away).now_ms() - wall_ms()) < 5000


def test_what_the_broker_says_anew_replaces_what_it_said(db: ClickHouse) -> None:
    assert learned(db, LOG_TIME_MS + HOUR, LOG_TIME_MS).now_ms() <= LOG_TIME_MS + 5000


async def claimed(worker: Harness) -> None:
    await worker.claim({0})
    await worker.consume()


def as_of(db: ClickHouse) -> int:
    return int(db.query("SELECT toUnixTimestamp64Milli(as_of) FROM watermarks")[0][0])


@pytest.mark.usefixtures("ahead")
def test_the_time_of_an_empty_log_is_the_brokers(db: ClickHouse) -> None:
    async def scenario() -> None:
        clock = clock_of(db, LOG_TIME_MS)
        await clock.learn()
        async with harness(db, MemoryLog({0: []})) as worker:
            await claimed(worker)
            await note_empty_tails({0: (0, 40), 1: (0, 0)}, worker.leases, Markers(db, SOURCE), clock.now_ms)

    asyncio.run(scenario())
    assert LOG_TIME_MS - 40 <= as_of(db) <= LOG_TIME_MS + 5000


def test_a_log_that_has_gone_on_is_not_said_to_be_empty(db: ClickHouse) -> None:
    async def scenario() -> None:
        async with harness(db, MemoryLog({0: []})) as worker:
            await claimed(worker)
            await note_empty_tails({0: (1, 0)}, worker.leases, Markers(db, SOURCE), clock_of(db).now_ms)

    asyncio.run(scenario())
    assert as_of(db) == 0


@pytest.mark.parametrize("merged", [False, True])
def test_what_a_clock_has_got_wrong_is_taken_back_once_it_is_right(db: ClickHouse, merged: bool) -> None:
    markers, log = Markers(db, SOURCE), MemoryLog({0: []})

    async def lie_and_heal() -> None:
        clock = clock_of(db, LOG_TIME_MS + HOUR, LOG_TIME_MS)
        await clock.learn()
        async with harness(db, log) as worker:
            await claimed(worker)
            await note_empty_tails({0: (0, 0)}, worker.leases, markers, clock.now_ms)
            assert as_of(db) >= LOG_TIME_MS + HOUR
            await reclaim_future_watermarks(worker.leases, markers, clock.now_ms)
            epoch = worker.leases.held[0].epoch
            await clock.learn()
            await reclaim_future_watermarks(worker.leases, markers, clock.now_ms)
            await until(lambda: worker.leases.held[0].ready and worker.leases.held[0].epoch > epoch)
            await note_empty_tails({0: (0, 0)}, worker.leases, markers, clock.now_ms)

    asyncio.run(lie_and_heal())
    if merged:
        db.command("OPTIMIZE TABLE rollup FINAL")
    assert LOG_TIME_MS <= as_of(db) <= LOG_TIME_MS + 5000


def test_what_an_earlier_version_has_got_wrong_heals_with_the_next_claim(db: ClickHouse) -> None:
    insert_watermark(db, SOURCE, 0, "2100-01-01 00:00:00.000")
    assert as_of(db) > wall_ms()
    log = MemoryLog({0: []})
    for _ in range(2):  # one of them was counted
        log.append(0, b"{}")
    asyncio.run(one_claim(db, log))
    assert as_of(db) == LOG_TIME_MS


async def one_claim(db: ClickHouse, log: MemoryLog) -> None:
    async with harness(db, log) as worker:
        await claimed(worker)


def test_a_worker_that_was_fenced_says_nothing_any_more(db: ClickHouse) -> None:
    markers, fences = Markers(db, SOURCE), Fences(db, SOURCE)
    old, new = (fences.raise_fences([0])[0] for _ in range(2))
    at = datetime.fromtimestamp(LOG_TIME_MS / 1000, UTC)
    markers.write_tail_times({0: (new, 0, at)})
    markers.write_tail_times({0: (old, 0, at + timedelta(hours=1))})
    assert as_of(db) == LOG_TIME_MS


def test_the_api_shows_none_above_its_own_time(db: ClickHouse) -> None:
    insert_source(db, 1, "2026-01-01 00:00:00.000")
    insert_watermark(db, 1, 0, "2100-01-01 00:00:00.000")
    shown = ChangeDetector(db, "clicks").poll(None).as_of
    assert shown is not None
    assert wall_ms() / 1000 - 5 <= shown <= wall_ms() / 1000 + 0.001

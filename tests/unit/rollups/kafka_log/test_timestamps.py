"""When records were taken in, and the effect of wrong timestamps."""

from __future__ import annotations

import asyncio
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollups.clickhouse import ClickHouse
from rollups.delivery.markers import Markers
from rollups.kafka_log.broker_clock import wall_ms
from rollups.kafka_log.timestamps import LATEST, WINDOW, LogClock
from rollups.model import LOG_APPEND_TIME, Records
from rollups.settings import Settings
from tests.support.memory_log import LOG_TIME_MS, MemoryLog, Record
from tests.support.worker import SOURCE, harness

CREATE_TIME = 0
HOUR = 3_600_000
IN_2100 = 4_102_444_800_000
LIES = [2**62, -(2**62), 0, -1, IN_2100, LOG_TIME_MS + 3 * HOUR, LOG_TIME_MS - 1000 * HOUR]


def records(stamps: list[int], kind: int = CREATE_TIME) -> Records:
    return Records().add(Record(n, b"", stamp, timestamp_type=kind) for n, stamp in enumerate(stamps))


stamps = st.lists(st.one_of(st.integers(1, 50), st.sampled_from([-(2**63), 2**63 - 1, 0, -1])), max_size=300)


@given(stamps, st.lists(st.integers(0, 120), max_size=5), st.integers(1, 60))
def test_settled_is_the_greatest_median_however_the_log_is_cut(drawn: list[int], sizes: list[int], now: int) -> None:
    expected: list[tuple[int, int]] = []
    known: list[int] = []
    settled = 0
    for stamp in drawn:
        cut = min(max(0, stamp), now)
        known.append(cut or (known[-1] if known else 0))
        median = statistics.median_low(known[-WINDOW:]) if len(known) > 2 else 0
        settled = max(settled, median)
        expected.append((cut and max(cut, settled), settled))
    clock = LogClock.at(0)
    found: list[tuple[int, int]] = []
    for size in [*sizes, len(drawn)]:
        times = clock.read(records(drawn[:size]), now)
        found += zip(times.taken_in.tolist(), times.settled.tolist(), strict=True)
        clock, drawn = times.after, drawn[size:]
    assert found == expected


@pytest.mark.parametrize("lie", LIES)
def test_one_that_is_wrong_moves_nothing(lie: int) -> None:
    honest = list(range(LOG_TIME_MS, LOG_TIME_MS + 200))
    for at in (0, 1, 60, 199):
        told = [*honest[:at], lie, *honest[at:]]
        settled = LogClock.at(0).read(records(told), LOG_TIME_MS + 100 * HOUR).settled
        assert LOG_TIME_MS + 98 <= settled[-1] <= LOG_TIME_MS + 200, at
        assert (np.diff(settled) >= 0).all()
        assert settled.max() <= LOG_TIME_MS + 200


def test_a_broker_is_believed_up_to_the_present_and_heard_when_it_is_put_right() -> None:
    clock = LogClock.at(0).read(records([LOG_TIME_MS + HOUR], LOG_APPEND_TIME), LOG_TIME_MS + 5).after
    assert clock.settled_ms == LOG_TIME_MS + 5
    ahead = LogClock.at(LOG_TIME_MS + HOUR).read(records([LOG_TIME_MS], LOG_APPEND_TIME), LOG_TIME_MS + 5)
    assert ahead.settled.tolist() == [LOG_TIME_MS + 5]


def test_no_time_is_beyond_what_clickhouse_has(db: ClickHouse) -> None:
    times = LogClock.at(0).read(records([2**63 - 1] * 5), 2**62)
    assert times.settled[-1] == LATEST
    [(text,)] = db.query(f"SELECT toString(fromUnixTimestamp64Milli({LATEST}, 'UTC'))")
    assert text == "2299-12-31 23:59:59.999"


def event(number: int) -> dict[str, object]:
    link = {"account_id": 1, "domain": "d.e", "link_id": "a"}
    return {"event_id": f"e{number}", "clicked_at": LOG_TIME_MS, "visitor_id": f"v{number}", **link}


@pytest.mark.parametrize("most", [1, 40, None])
@pytest.mark.parametrize("kind", [CREATE_TIME, LOG_APPEND_TIME])
@pytest.mark.parametrize("lie", LIES)
def test_a_stamp_that_lies_stops_nothing_says_nothing_and_makes_nothing_forgotten(
    db: ClickHouse, lie: int, kind: int, most: int | None
) -> None:
    """An old log is read: the wrong timestamp is in the past too."""
    if kind == LOG_APPEND_TIME and lie == LOG_TIME_MS + 3 * HOUR:
        pytest.skip("a broker is believed")
    log = MemoryLog()
    for number in range(60):
        log.append(0, event(number), at=LOG_TIME_MS + number, kind=kind)
    log.append(0, event(60), at=lie, kind=CREATE_TIME)
    for number in range(61):
        log.append(0, event(number), at=LOG_TIME_MS + 100 + number, kind=kind)

    async def scenario() -> None:
        for _ in range(2):  # the second from half of the log on, with a memory that is read back
            async with harness(db, log, Settings(batch_linger_ms=0)) as worker:
                await worker.claim({0})
                await worker.consume(most)

    first, log.partitions[0] = log.partitions[0], log.partitions[0][:61]
    rest = first[61:]
    asyncio.run(scenario())
    log.partitions[0] = first[:61] + rest
    asyncio.run(scenario())
    assert db.query("SELECT toString(reason), sum(events) FROM ledger GROUP BY 1 ORDER BY 1") == [
        ("counted", 61),
        ("duplicate", 61),
    ]
    [(as_of,)] = db.query("SELECT toUnixTimestamp64Milli(as_of) FROM watermarks")
    assert as_of <= LOG_TIME_MS + 160
    assert Markers(db, SOURCE).read()[0].next == 122


def test_the_lies_of_all_stop_nothing(db: ClickHouse) -> None:
    log = MemoryLog()
    for number, lie in enumerate(LIES * 20):
        log.append(0, event(number), at=lie, kind=CREATE_TIME)

    async def scenario() -> None:
        async with harness(db, log, Settings(batch_linger_ms=0)) as worker:
            await worker.claim({0})
            await worker.consume(33)

    asyncio.run(scenario())
    assert db.query("SELECT sum(events), countIf(reason = 'invalid') FROM ledger") == [(140, 0)]
    [(as_of,)] = db.query("SELECT toUnixTimestamp64Milli(as_of) FROM watermarks")
    assert as_of <= wall_ms()

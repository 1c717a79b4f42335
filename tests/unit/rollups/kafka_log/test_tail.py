"""A claim checks whether the log is the one that was counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import pytest

from rollups.audit import audit
from rollups.clickhouse import ClickHouse
from rollups.delivery.markers import Markers
from rollups.kafka_log.tail import NO_TAIL, Tail, fingerprint, tail_of
from rollups.model import Records
from tests.support.memory_log import LOG_TIME_MS, MemoryLog, Record
from tests.support.worker import SOURCE, harness, until


def event(number: int) -> dict[str, object]:
    link = {"account_id": 1, "domain": "d.e", "link_id": "a"}
    return {"event_id": f"e{number}", "clicked_at": LOG_TIME_MS, "visitor_id": f"v{number}", **link}


def log_of(numbers: Iterable[int], partition: int = 0) -> MemoryLog:
    log = MemoryLog({partition: []})
    for number in numbers:
        log.append(partition, event(number), at=LOG_TIME_MS + number)
    return log


async def claimed(db: ClickHouse, log: MemoryLog, partitions: set[int]) -> dict[int, str]:
    """Why partitions stand still, after everything else was counted."""
    async with harness(db, log) as worker:
        await worker.claim(partitions)
        await worker.consume()
        return worker.leases.halted()


def counted(db: ClickHouse) -> int:
    return int(db.query("SELECT sum(events) FROM ledger WHERE reason = 'counted'")[0][0])


def test_a_log_that_goes_on_is_counted_on(db: ClickHouse) -> None:
    assert asyncio.run(claimed(db, log_of(range(40)), {0})) == {}
    assert Markers(db, SOURCE).read()[0].tail.offset == 39
    assert asyncio.run(claimed(db, log_of(range(60)), {0})) == {}
    assert counted(db) == 60


def test_a_log_from_an_older_copy_that_has_grown_past_the_watermark_stops_the_partition(db: ClickHouse) -> None:
    asyncio.run(claimed(db, log_of(range(40)), {0}))
    log = log_of([*range(20), *range(100, 140)])
    log.partitions[1] = log_of(range(5)).partitions[0]
    halted = asyncio.run(claimed(db, log, {0, 1}))
    assert list(halted) == [0]
    assert "the log is not the one that was counted: at offset 39" in halted[0]
    assert counted(db) == 45, "the other partition goes on"


def test_so_does_one_that_has_not_grown_yet(db: ClickHouse) -> None:
    asyncio.run(claimed(db, log_of(range(40)), {0}))
    assert asyncio.run(claimed(db, log_of(range(20)), {0})) == {0: "the log ends at 20, before the watermark 40"}


def test_a_record_in_place_of_a_gap_stops_it_too(db: ClickHouse) -> None:
    """The last thing that was counted is an aborted transaction; the copy is from before it."""
    log = log_of(range(10))
    asyncio.run(claimed(db, log, {0}))
    log.partitions[0] += [Record(14, b"{}")]

    async def scenario() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0})
            lease = worker.leases.held[0]
            assert lease.position is not None
            batch = log.fetch(lease, most=0)
            batch.end = lease.position.offset = 14  # offsets 10 to 13 hold no record
            await worker.put(batch)
            await until(lambda: lease.next == 14)

    asyncio.run(scenario())
    assert Markers(db, SOURCE).read()[0].tail.offset == 9
    assert audit(db).problems == []
    halted = asyncio.run(claimed(db, log_of(range(20)), {0}))
    assert "at offset 10" in halted[0]


def test_what_retention_has_removed_is_not_missed(db: ClickHouse) -> None:
    asyncio.run(claimed(db, log_of(range(40)), {0}))
    log = MemoryLog(first={0: 40})
    log.append(0, event(40))
    assert asyncio.run(claimed(db, log, {0})) == {}
    assert counted(db) == 41


def test_a_listed_end_that_is_too_low_is_no_proof(db: ClickHouse) -> None:
    class Low(MemoryLog):
        async def bounds(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
            return dict.fromkeys(partitions, (0, 30))

    asyncio.run(claimed(db, log_of(range(40)), {0}))
    assert asyncio.run(claimed(db, Low(log_of(range(60)).partitions), {0})) == {}
    assert counted(db) == 60


def test_a_partition_that_does_not_answer_is_claimed_later_and_holds_up_no_other(
    db: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollups.delivery.claims.READ_AGAIN_SECONDS", 0.2)
    log = log_of(range(40))
    log.partitions[1] = log_of(range(5)).partitions[0]
    asyncio.run(claimed(db, log, {0, 1}))
    log.slow = {0}

    async def scenario() -> None:
        async with harness(db, log) as worker:
            worker.leases.assign({0, 1})
            await until(lambda: worker.leases.held[1].ready)
            assert worker.leases.held[0].state == "claiming"
            log.slow = set()
            await until(lambda: worker.leases.held[0].ready)

    asyncio.run(scenario())


def test_a_broker_that_fails_meanwhile_halts_nothing(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(claimed(db, log_of(range(4)), {0}))
    log, answers = log_of(range(4)), MemoryLog.fingerprints
    tries = 0

    async def fingerprints(
        self: MemoryLog, stretches: Mapping[int, tuple[int, int]]
    ) -> Mapping[int, Mapping[int, int]]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ConnectionError("away")
        return await answers(self, stretches)

    monkeypatch.setattr(MemoryLog, "fingerprints", fingerprints)
    assert asyncio.run(claimed(db, log, {0})) == {}
    assert tries == 2


def test_nothing_is_asked_where_nothing_was_noted(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """By earlier versions."""
    db.insert("rollup", [("watermark", SOURCE, 0, 1)], ["grain", "source", "partition", "next"])
    monkeypatch.delattr(MemoryLog, "fingerprints")
    assert asyncio.run(claimed(db, log_of(range(3)), {0})) == {}
    assert counted(db) == 2


def test_what_a_fingerprint_is_of() -> None:
    one = fingerprint(5, b"k", b"v")
    assert one != fingerprint(6, b"k", b"v")
    assert one != fingerprint(5, b"l", b"v")
    assert one != fingerprint(5, b"k", b"w")
    assert fingerprint(2**63 - 1, None, None) != fingerprint(-(2**63), None, None)
    assert tail_of(Records(), 5) == NO_TAIL
    assert Tail(7, 0, 1).stretch(8) == (7, 8)
    assert Tail(7, 0, 1).stretch(10**9)[1] < 10**9, "a run of aborted records may be long"

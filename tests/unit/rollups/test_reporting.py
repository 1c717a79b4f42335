"""What workers report of their partitions, directly and through the database."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from rollups import reporting
from rollups.audit import audit
from rollups.clickhouse import ClickHouse
from rollups.kafka_log import marks
from rollups.kafka_log.marks import Marks
from rollups.model import Records
from rollups.reporting import OK, Lateness, PartitionStates, Reporter
from tests.support.memory_log import MemoryLog, Record
from tests.support.worker import SOURCE, harness


class Watch:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_late_is_what_was_there_a_minute_ago_and_is_not_applied() -> None:
    watch = Watch()
    lateness = Lateness(watch)
    for applied, end, after, late in (
        (0, 500, 0, False),  # a start with a backlog
        (100, 600, 59, False),
        (200, 700, 2, True),
        (500, 900, 1, False),  # what was there at the start is applied
        (899, 900, 50, False),
        (899, 900, 60, True),  # one record is enough
        (900, 900, 1, False),
        (900, 900, 10_000, False),  # idle
        (900, 901, 1, False),
    ):
        watch.now += after
        lateness.note({3: (applied, end)})
        assert (3 in lateness.late()) == late, (applied, end)
    lateness.note({})
    assert lateness.seconds() == 0


def test_lateness_under_load_is_none_and_takes_little_memory() -> None:
    watch = Watch()
    lateness = Lateness(watch)
    for step in range(20_000):
        watch.now += 5
        lateness.note({0: (step * 1000, step * 1000 + 5000), 1: (0, step)})
        assert lateness.late().keys() == ({1} if step > 13 else set())
    assert max(len(ends) for ends in lateness.ends.values()) <= 720


def troubles(db: ClickHouse) -> list[tuple[int, str, str]]:
    return [(trouble.partition, trouble.state, trouble.why) for trouble in audit(db).troubles]


def test_states_are_seen_by_others_and_taken_back(db: ClickHouse) -> None:
    states = PartitionStates(db, SOURCE)
    states.write({0: OK, 1: ("failing", "no"), 2: ("halted", "x" * 10_000)})
    assert troubles(db) == [(1, "failing", "no"), (2, "halted", "x" * 500)]
    states.write({0: OK, 1: OK, 2: ("halted", "x" * 10_000)})
    assert troubles(db) == [(2, "halted", "x" * 500)]
    PartitionStates(db, SOURCE).write({2: OK})  # the next owner
    assert troubles(db) == []


def test_nothing_is_written_while_nothing_changes(db: ClickHouse) -> None:
    states = PartitionStates(db, SOURCE)
    for number in range(5):
        states.write({0: OK, 1: ("failing", f"failure {number}")})
    assert db.query("SELECT count() FROM partition_states") == [(1,)]


def test_what_a_zombie_says_is_put_right(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, zombie = PartitionStates(db, SOURCE), PartitionStates(db, SOURCE)
    owner.write({0: OK})
    zombie.write({0: ("late", "as it believes")})
    assert troubles(db)
    monkeypatch.setattr(reporting, "READ_BACK_SECONDS", 0.0)
    owner.write({0: OK})
    assert troubles(db) == []


def test_a_session_reports_halted_and_failing_and_late_partitions(db: ClickHouse) -> None:
    log = MemoryLog({0: [], 1: [], 2: []})

    async def scenario() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0, 1, 2})
            reporter = Reporter(db, SOURCE, worker.leases, dict, Lateness(watch := Watch()))
            await reporter.report()
            assert troubles(db) == []
            worker.leases.halt(worker.leases.held[0], "poison")
            worker.leases.held[1].failures = 3
            reporter.note_ends({0: 5, 1: 5, 2: 5})
            watch.now += 61
            await reporter.report()
            assert {p: state for p, state, _ in troubles(db)} == {0: "halted", 1: "failing", 2: "late"}
            assert reporter.troubled().keys() == {0, 1, 2}

    asyncio.run(scenario())


def records(first: int, count: int) -> Records:
    return Records().add([Record(offset, b"%d" % offset) for offset in range(first, first + count)])


def test_marks_are_of_what_was_applied_and_the_newest_of_it(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Marks(db, SOURCE)
    noted.note(0, records(0, 10))
    noted.note(0, records(10, 10))
    noted.note(0, records(20, 0))
    noted.write({0: 10})
    assert [mark[2] for mark in marks.marks(db, 8)] == [9]
    noted.write({0: 20})  # not due
    assert [mark[2] for mark in marks.marks(db, 8)] == [9]
    monkeypatch.setattr(time, "monotonic", lambda: 1e9)
    noted.write({0: 20})
    assert marks.marks(db, 8)[0] == (SOURCE, 0, 19, marks.fingerprint_of(Record(19, b"19")))


@pytest.mark.parametrize(("noted", "most"), [(3, 8), (8, 8), (9, 8), (1000, 8), (1000, 500)])
def test_of_many_marks_some_are_taken_the_newest_among_them(db: ClickHouse, noted: int, most: int) -> None:
    now = datetime.now(UTC)
    rows = [(source, 0, number, 1, now) for number in range(noted) for source in (SOURCE, SOURCE + 1)]
    db.insert("log_marks", rows, ["source", "partition", "offset", "crc", "noted_at"])
    found = [offset for source, _, offset, _ in marks.marks(db, most) if source == SOURCE]
    assert max(found) == noted - 1
    assert min(noted, most) // 2 <= len(found) <= most

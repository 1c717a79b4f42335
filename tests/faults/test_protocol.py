"""The protocol step by step: racing claimers, late inserts, lost responses, torn bodies, views that throw."""

from __future__ import annotations

import io
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, RemoteDisconnected
from urllib.parse import urlencode, urlsplit

import pyarrow as pa
import pytest

from rollups.clickhouse import ClickHouse
from rollups.delivery.batch_insert import PINNED, Outcome, insert_batch
from rollups.delivery.fences import Fences
from rollups.delivery.markers import Markers
from rollups.transform.timezones import TimeZones
from tests.faults.conftest import Record
from tests.faults.processes import LONG
from tests.faults.views import COMPARE, SLOW, changed_view, markers_read_while
from tests.support.clickhouse_server import BOTH_ENGINES, SERVER
from tests.unit.rollups.delivery.test_batch_insert import SOURCE, table, total, zones

__all__ = ["zones"]

ROUNDS = 500  # of each engine


def claim(db: ClickHouse, partition: int = 0) -> tuple[int, int, bool]:
    """(epoch, watermark, whether the claim is ours), by the steps of rollups/delivery/claims.py."""
    fences = Fences(db, SOURCE)
    epoch = fences.raise_fences([partition])[partition]
    fences.end_inflight_inserts([partition])
    marker = Markers(db, SOURCE).read()[partition]
    return epoch, marker.next, marker.epoch == epoch


@BOTH_ENGINES
def test_of_two_claimers_exactly_one_can_insert(db: ClickHouse, zones: TimeZones, record: Record) -> None:
    db.command("ALTER TABLE rollup MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0")
    barrier = threading.Barrier(2)

    def claimer(watermark: int) -> Outcome | None:
        barrier.wait()
        epoch, start, ours = claim(db)
        barrier.wait()
        assert start == watermark
        return insert_batch(db, SOURCE, [0], table(zones, epoch, start, 1))[0] if ours else None

    try:
        with ThreadPoolExecutor(2) as threads:
            for number in range(ROUNDS):
                outcomes = list(threads.map(claimer, [number, number]))
                assert outcomes.count(Outcome.APPLIED) == 1, outcomes
    finally:
        db.command("ALTER TABLE rollup MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1")
    assert total(db) == ROUNDS
    record("two claimers in lock step: exactly one inserts", ROUNDS)


@BOTH_ENGINES
def test_a_claim_ends_inserts_under_way_or_sees_them(db: ClickHouse, zones: TimeZones, record: Record) -> None:
    """The successor reads the watermark while the zombie's insert, already checked, sleeps before its commit."""
    times = 30 if LONG else 10
    with changed_view(db, SLOW), ThreadPoolExecutor(1) as threads:
        for number in range(times):
            epoch, start, _ = claim(db)
            late = threads.submit(insert_batch, db, SOURCE, [0], table(zones, epoch, start, 20))
            time.sleep(0.06 * number / times * 10)
            successor, watermark, ours = claim(db)
            assert ours
            outcome, _ = insert_batch(db, SOURCE, [0], table(zones, successor, watermark, 20))
            assert outcome is Outcome.APPLIED
            # One that was killed after its commit says that it was killed.
            assert late.result()[0] in (Outcome.APPLIED if watermark > start else Outcome.FENCED, Outcome.UNKNOWN)
    assert total(db) == Markers(db, SOURCE).read()[0].next
    record("a zombie's insert in flight while its successor claims", times)


@BOTH_ENGINES
def test_a_zombie_is_fenced_however_much_came_between(db: ClickHouse, zones: TimeZones, record: Record) -> None:
    between = 10_000 if LONG else 250
    db.command("ALTER TABLE rollup MODIFY SETTING fsync_after_insert = 0, fsync_part_directory = 0")
    zombie, _, _ = claim(db)
    held = table(zones, zombie, 0, 5)
    epoch, _, _ = claim(db)
    for start in range(between):
        assert insert_batch(db, SOURCE, [0], table(zones, epoch, start, 1))[0] is Outcome.APPLIED
    db.command("ALTER TABLE rollup MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1")
    assert insert_batch(db, SOURCE, [0], held)[0] is Outcome.FENCED
    assert total(db) == between
    record(f"a zombie's batch after {between} others", 1)


@BOTH_ENGINES
def test_a_view_that_throws_leaves_nothing_in_any_grain(db: ClickHouse, zones: TimeZones, record: Record) -> None:
    epoch, _, _ = claim(db)
    poison = (COMPARE, f"{COMPARE} AND throwIf(offset = 15, 'POISON') = 0")
    with changed_view(db, poison):
        outcome, message = insert_batch(db, SOURCE, [0], table(zones, epoch, 0, 20))
        assert outcome is not Outcome.APPLIED, message
        assert db.query("SELECT count() FROM rollup WHERE grain != 'fence'") == [(0,)]
    assert insert_batch(db, SOURCE, [0], table(zones, epoch, 0, 20))[0] is Outcome.APPLIED
    assert total(db) == 20
    record("a materialized view that throws in mid-block", 1)


@SERVER
def test_an_answer_that_came_too_late(db: ClickHouse, zones: TimeZones, record: Record) -> None:
    """The client times out while ClickHouse goes on: the claim waits for the insert, which counts once."""
    times = 10
    hasty = ClickHouse(db.url, timeout=1)
    with changed_view(db, SLOW):
        start = 0
        for _ in range(times):
            epoch, start, _ = claim(db)
            assert insert_batch(hasty, SOURCE, [0], table(zones, epoch, start, 60))[0] is Outcome.UNKNOWN
            epoch, start, ours = claim(db)
            assert ours
            assert insert_batch(db, SOURCE, [0], table(zones, epoch, start, 60))[0] is Outcome.APPLIED
        time.sleep(2)
    hasty.close()
    assert total(db) == Markers(db, SOURCE).read()[0].next
    record("a client that timed out while its insert went on", times)


@SERVER
@pytest.mark.parametrize("length_is_of", ["whole", "sent"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.7, 0.99])
def test_a_body_that_was_cut_off(
    db: ClickHouse, zones: TimeZones, share: float, length_is_of: str, record: Record
) -> None:
    """The server gets a part of the body: as if that were all, or up to the end of the connection."""
    epoch, _, _ = claim(db)
    batch = table(zones, epoch, 0, 5000, links=700)
    body = io.BytesIO()
    with pa.ipc.new_file(body, batch.schema) as writer:
        writer.write_table(batch)
    sent = body.getvalue()[: int(share * len(body.getvalue()))]
    length = len(sent if length_is_of == "sent" else body.getvalue())
    server = urlsplit(db.url)
    assert server.hostname
    query = urlencode({"query": "INSERT INTO landing FORMAT Arrow", **PINNED})
    connection = HTTPConnection(server.hostname, server.port, timeout=60)
    headers = {"X-ClickHouse-User": server.username, "X-ClickHouse-Key": server.password, "Content-Length": length}
    connection.request("POST", f"/?{query}", sent, {name: str(value) for name, value in headers.items()})
    connection.sock.shutdown(socket.SHUT_WR)
    with suppress(RemoteDisconnected):
        assert connection.getresponse().status != 200
    connection.close()
    assert db.query("SELECT count() FROM rollup WHERE grain != 'fence'") == [(0,)]
    assert insert_batch(db, SOURCE, [0], batch)[0] is Outcome.APPLIED
    assert total(db) == 5000
    record("an Arrow body cut off", 1)


@BOTH_ENGINES
@pytest.mark.parametrize("visible", [1, 0])
def test_the_markers_are_read_once_when_the_insert_is_visible(
    db: ClickHouse, zones: TimeZones, visible: int, record: Record
) -> None:
    """A claim therefore finds the insert, or the insert finds the claim's fence. With 0 the same check must fail."""
    epoch, _, _ = claim(db)
    calls = times_slept(db)
    with changed_view(db, markers_read_while(visible)):
        outcome, message = insert_batch(db, SOURCE, [0], table(zones, epoch, 0, 20_000, links=20_000))
    assert (outcome, "NOT SO" in message) == ((Outcome.APPLIED, False) if visible else (Outcome.STALE, True))
    assert times_slept(db) - calls == visible
    record("an insert that sees itself in system.processes before it reads the markers", visible)


def times_slept(db: ClickHouse) -> int:
    return sum(count for (count,) in db.query("SELECT value FROM system.events WHERE event = 'SleepFunctionCalls'"))


def test_only_arrow_bodies_reach_the_landing_table(db: ClickHouse) -> None:
    with pytest.raises(ValueError, match="Arrow"):
        db.insert("landing", [(1,)], ["offset"])

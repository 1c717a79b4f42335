"""The protocol step by step: racing claimers, late inserts, lost responses, torn bodies, views that throw."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from rollups.clickhouse import ClickHouse
from rollups.delivery.batch_insert import PINNED, Outcome, insert_batch
from rollups.delivery.fences import Fences
from rollups.delivery.markers import Markers
from rollups.migrations.migrate import migrate
from rollups.transform.timezones import TimeZones
from tests.faults.conftest import Record
from tests.faults.processes import LONG
from tests.faults.views import COMPARE, SLOW, changed_view
from tests.support.clickhouse_server import start_clickhouse_server
from tests.unit.rollups.delivery.test_batch_insert import SOURCE, table, total, zones

__all__ = ["zones"]

ROUNDS = 1000


def claim(db: ClickHouse, partition: int = 0) -> tuple[int, int, bool]:
    """(epoch, watermark, whether the claim is ours), by the steps of rollups/delivery/claims.py."""
    fences = Fences(db, SOURCE)
    epoch = fences.raise_fences([partition])[partition]
    fences.kill_inflight_inserts([partition])
    marker = Markers(db, SOURCE).read()[partition]
    return epoch, marker.next, marker.epoch == epoch


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
            assert late.result()[0] in ((Outcome.APPLIED,) if watermark > start else (Outcome.FENCED, Outcome.UNKNOWN))
    assert total(db) == Markers(db, SOURCE).read()[0].next
    record("a zombie's insert in flight while its successor claims", times)


def test_a_zombie_is_fenced_however_much_came_between(db: ClickHouse, zones: TimeZones, record: Record) -> None:
    between = 20_000 if LONG else 500
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


def test_an_answer_that_came_too_late(tmp_path: Path, record: Record) -> None:
    """The client times out while ClickHouse goes on: the claim waits for the insert, which counts once."""
    times = 10
    with start_clickhouse_server(tmp_path / "engine") as server:
        patient = ClickHouse(server.url)
        hasty = ClickHouse(server.url, timeout=1)
        migrate(patient)
        zones = TimeZones.from_database(patient)
        with changed_view(patient, SLOW):
            start = 0
            for _ in range(times):
                epoch, start, _ = claim(patient)
                assert insert_batch(hasty, SOURCE, [0], table(zones, epoch, start, 60))[0] is Outcome.UNKNOWN
                epoch, start, ours = claim(patient)
                assert ours
                assert insert_batch(patient, SOURCE, [0], table(zones, epoch, start, 60))[0] is Outcome.APPLIED
            time.sleep(2)
        assert total(patient) == Markers(patient, SOURCE).read()[0].next
    record("a client that timed out while its insert went on", times)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7, 0.99])
def test_a_body_that_was_cut_off(tmp_path: Path, share: float, record: Record) -> None:
    with start_clickhouse_server(tmp_path / "engine") as server:
        db = ClickHouse(server.url)
        migrate(db)
        zones = TimeZones.from_database(db)
        epoch, _, _ = claim(db)
        batch = table(zones, epoch, 0, 5000, links=700)
        body = io.BytesIO()
        with pa.ipc.new_file(body, batch.schema) as writer:
            writer.write_table(batch)
        answer = httpx.post(
            f"http://127.0.0.1:{server.port}/",
            params={"query": "INSERT INTO landing FORMAT Arrow", **PINNED},
            content=body.getvalue()[: int(share * len(body.getvalue()))],
            auth=(server.user, server.password),
        )
        assert answer.status_code != 200
        assert db.query("SELECT count() FROM rollup WHERE grain != 'fence'") == [(0,)]
        assert insert_batch(db, SOURCE, [0], batch)[0] is Outcome.APPLIED
        assert total(db) == 5000
    record("an Arrow body cut off", 1)


def test_only_arrow_bodies_reach_the_landing_table(db: ClickHouse) -> None:
    with pytest.raises(ValueError, match="Arrow"):
        db.insert("landing", [(1,)], ["offset"])

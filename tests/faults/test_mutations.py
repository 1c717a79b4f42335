"""Controls: without a protection the same faults must give wrong counts, or the other tests prove nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from rollups.clickhouse import ClickHouse
from rollups.delivery.batch_insert import PINNED, insert_batch
from rollups.delivery.fences import Fences
from rollups.delivery.markers import Markers
from rollups.transform.timezones import TimeZones
from tests.faults.conftest import Record
from tests.faults.engines import ENGINES
from tests.faults.processes import ROOT, Strace, needs_strace
from tests.faults.test_protocol import claim
from tests.faults.views import NO_COMPARE, NO_FENCE, SLOW, changed_view
from tests.support.clickhouse_server import BOTH_ENGINES
from tests.unit.rollups.delivery.test_batch_insert import SOURCE, table, total, zones

__all__ = ["zones"]

WRONG = "control: {} taken out, counts must be wrong"
TRIES = 10  # two inserts must overlap, and a busy machine may run them one after the other


@BOTH_ENGINES
def test_without_the_compare_a_batch_counts_twice(db: ClickHouse, zones: TimeZones, record: Record) -> None:
    with changed_view(db, NO_COMPARE):
        epoch, start, _ = claim(db)
        for _ in range(2):  # the first response was lost
            insert_batch(db, SOURCE, [0], table(zones, epoch, start, 20))
    assert total(db) == 40 != Markers(db, SOURCE).read()[0].next
    record(WRONG.format("the compare"), 1)


def wrong(db: ClickHouse) -> bool:
    return total(db) != Markers(db, SOURCE).read()[0].next


@BOTH_ENGINES
def test_without_the_fence_a_zombie_and_its_successor_count_the_same(
    db: ClickHouse, zones: TimeZones, record: Record
) -> None:
    with changed_view(db, SLOW, NO_FENCE), ThreadPoolExecutor(2) as threads:
        for _ in range(TRIES):
            zombie, _, _ = claim(db)
            successor, start, _ = claim(db)
            batches = [table(zones, epoch, start, 20) for epoch in (zombie, successor)]
            list(threads.map(partial(insert_batch, db, SOURCE, [0]), batches))
            if wrong(db):
                break
    assert wrong(db)
    record(WRONG.format("the fence"), 1)


@BOTH_ENGINES
def test_without_the_drain_an_insert_under_way_counts_again(
    db: ClickHouse, zones: TimeZones, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    monkeypatch.setattr(Fences, "end_inflight_inserts", lambda *_: None)
    with changed_view(db, SLOW), ThreadPoolExecutor(1) as threads:
        for _ in range(TRIES):
            epoch, start, _ = claim(db)
            late = threads.submit(insert_batch, db, SOURCE, [0], table(zones, epoch, start, 20))
            time.sleep(0.2)
            successor, start, _ = claim(db)
            insert_batch(db, SOURCE, [0], table(zones, successor, start, 20))
            late.result()
            if wrong(db):
                break
    assert wrong(db)
    record(WRONG.format("the drain"), 1)


@BOTH_ENGINES
def test_without_the_pinned_sizes_a_batch_is_several_parts(db: ClickHouse, zones: TimeZones, record: Record) -> None:
    """As with a profile of small blocks: marker and clicks commit separately, and a crash comes between them."""
    epoch, start, _ = claim(db)
    db.command("SYSTEM STOP MERGES rollup")
    try:
        before = parts(db)
        batch = table(zones, epoch, start, 70_000, links=70_000)
        unpinned = PINNED | {"min_insert_block_size_rows": 1000, "min_insert_block_size_bytes": 1000}
        db.insert_arrow("landing", batch, unpinned)
        assert parts(db) - before > 1
    finally:
        db.command("SYSTEM START MERGES rollup")
    record("control: the pinned block sizes taken out, a batch must split", 1)


def parts(db: ClickHouse) -> int:
    return int(db.query("SELECT count() FROM system.parts WHERE table = 'rollup' AND active")[0][0])


_TOKENS = """
import sys
from rollups.clickhouse import ClickHouse, ClickHouseError
import pyarrow as pa
db = ClickHouse(sys.argv[1])
db.command("CREATE TABLE IF NOT EXISTS clicks (n UInt64) ENGINE = MergeTree ORDER BY n "
              "SETTINGS non_replicated_deduplication_window = 1000")
settings = {"insert_deduplication_token": "clicks:0:0-99", "async_insert": 0}
if sys.argv[2] == "pause":
    db.query("SELECT 1")
    print("go?", flush=True)
    sys.stdin.readline()
db.insert_arrow("clicks", pa.table({"n": pa.array(range(100), pa.uint64())}), settings)
print(db.query("SELECT count() FROM clicks")[0][0], flush=True)
"""


@pytest.mark.parametrize("kind", ENGINES)
def test_with_deduplication_tokens_instead_a_batch_is_lost(tmp_path: Path, kind: str, record: Record) -> None:
    """The engine records the token before it renames the part into place, so the retry succeeds without the data."""
    needs_strace()
    engine = ENGINES[kind](tmp_path / "engine")
    engine.start()
    command = [sys.executable, "-c", _TOKENS, engine.url]
    victim = subprocess.Popen([*command, "pause"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    assert victim.stdout.readline().strip() == "go?"
    with Strace(engine.pid(victim), "/^rename", tmp_path / "strace", "error=EIO:signal=KILL:when=1"):
        victim.communicate("go\n")
    assert victim.returncode != 0
    engine.kill()
    engine.start()
    retried = subprocess.run([*command, "retry"], cwd=ROOT, capture_output=True, text=True, check=True)
    engine.kill()
    assert retried.stdout.strip() == "0", "a batch of 100 was confirmed and is missing"
    record("control: tokens instead, a batch must be lost", 1)

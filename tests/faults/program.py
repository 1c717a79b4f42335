"""A worker under faults: `python -m tests.faults.program URL SEED CLICKS [options]`.

It claims every partition of a world's log and applies the rest of it in batches of random size. Exit status: 0 the
whole world is applied and every number is right; 3 a number is wrong; 4 the audit failed at the start; 5 fenced (with
--once). With --pause TABLE it prints `go?` before its first insert into that table, and goes on after a line of input.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from contextlib import nullcontext
from typing import Any
from unittest import mock

import pyarrow as pa

from deploy.settings import Settings
from rollups.audit import audit
from rollups.chdb_readback import ReadBack
from rollups.clickhouse import ClickHouse, ClickHouseUnavailable
from rollups.migrations.migrate import migrate
from tests.faults.world import World
from tests.support.worker import harness

# Faults of a merge are tests.faults.merge's. SYSTEM STOP MERGES would end with the engine that a fault restarts.
_NO_MERGES = "max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("seed", type=int)
    parser.add_argument("clicks", type=int)
    parser.add_argument("--most", type=int, default=60, help="Most records of a batch.")
    parser.add_argument("--pause", choices=["seen", "landing"])
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--blind", action="store_true", help="Believe that what was inserted is on the disk.")
    options = parser.parse_args()
    if options.blind:
        mock.patch.object(ReadBack, "insert", return_value=nullcontext()).start()
    db, world = ClickHouse(options.url), World(options.seed, clicks=options.clicks)
    migrate(db)
    if problems := audit(db).problems:
        print(*problems, sep="\n", flush=True)
        return 4
    if options.pause:
        _pause_before(db, options.pause)
    if asyncio.run(_consume(db, world, options)) == "fenced":
        return 5
    differences = _differences(db, world)
    print(*differences, sep="\n", flush=True)
    return 3 if differences else 0


def _differences(db: ClickHouse, world: World) -> list[str]:
    while True:
        try:
            return world.differences(db) + audit(db).problems
        except ClickHouseUnavailable:  # the engine was killed just now
            time.sleep(0.2)


def _pause_before(db: ClickHouse, wanted: str) -> None:
    insert_arrow = db.insert_arrow

    def paused(table: str, batch: pa.Table, settings: dict[str, Any]) -> None:
        if table == wanted:
            db.insert_arrow = insert_arrow  # type: ignore[method-assign]
            for merged in ("rollup", "seen"):
                db.command(f"ALTER TABLE {merged} MODIFY SETTING {_NO_MERGES}")
            print("go?", flush=True)
            sys.stdin.readline()
        insert_arrow(table, batch, settings)

    db.insert_arrow = paused  # type: ignore[method-assign]


async def _consume(db: ClickHouse, world: World, options: argparse.Namespace) -> str:
    async with harness(db, world.log, Settings(batch_linger_ms=0)) as worker:
        await worker.claim(set(world.log.partitions))
        print("claimed", flush=True)
        dice = random.Random()
        while any(lease.next < world.log.end(p) for p, lease in worker.leases.held.items()):
            for partition in list(worker.leases.held):
                lease = worker.leases.held[partition]
                if lease.ready and lease.position and lease.position.offset < world.log.end(partition):
                    await worker.put(world.log.fetch(lease, dice.randint(1, options.most)))
            await asyncio.sleep(0.002)
            if options.once and worker.pipeline.stats.inserts["fenced"]:
                return "fenced"
    return "done"


if __name__ == "__main__":
    sys.exit(main())

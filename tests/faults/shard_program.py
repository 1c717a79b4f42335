"""A worker of one shard under faults: `python -m tests.faults.shard_program URL SEED CLICKS [--most N]`.

It applies the partitions of a world that belong to the shard of its server, in batches of random size, and ends with
status 0 once all are applied. No failure of ClickHouse ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time

from deploy.settings import Settings
from ingest.errors import OperatorError
from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.delivery.shard import shard_of
from tests.faults.world import World
from tests.support.worker import Harness, harness

PARTITIONS = 4


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("seed", type=int)
    parser.add_argument("clicks", type=int)
    parser.add_argument("--most", type=int, default=40, help="Most records of a batch.")
    options = parser.parse_args()
    world = World(options.seed, PARTITIONS, options.clicks)
    while True:
        try:
            asyncio.run(_consume(ClickHouse(options.url), world, options.most))
            return 0
        except (ClickHouseError, OperatorError) as error:  # as a session ends
            print(error, file=sys.stderr, flush=True)
            time.sleep(0.2)


async def _consume(db: ClickHouse, world: World, most: int) -> None:
    shard = shard_of(db)
    async with harness(db, world.log, Settings(batch_linger_ms=0)) as worker:
        worker.leases.assign({partition for partition in world.log.partitions if shard.holds(partition)})
        dice, said = random.Random(), False
        while any(lease.next < world.log.end(p) for p, lease in worker.leases.held.items()):
            await _feed(worker, world, dice.randint(1, most))
            if not said and all(lease.ready for lease in worker.leases.held.values()):
                print("claimed", flush=True)
                said = True
            await asyncio.sleep(0.002)


async def _feed(worker: Harness, world: World, most: int) -> None:
    """Passes a batch on, of each partition whose last one is applied."""
    for partition in list(worker.leases.held):
        lease = worker.leases.held[partition]
        if lease.ready and lease.next == lease.next_intake < world.log.end(partition):
            await worker.put(world.log.fetch(lease, most))


if __name__ == "__main__":
    sys.exit(main())

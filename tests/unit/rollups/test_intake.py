"""What was fetched and does not fit waits for the next insert, and leaves alone what a newer claim has fetched."""

from __future__ import annotations

import asyncio

from rollups.delivery.leases import Leases
from rollups.model import FetchedBatch, FetchPosition, Lease, State
from rollups.pipeline import Intake
from rollups.settings import Settings
from tests.support.memory_log import MemoryLog

PARTITION = 0


def ready(leases: Leases) -> Lease:
    lease = leases.held[PARTITION]
    lease.state, lease.position = State.READY, FetchPosition(0)
    return lease


def test_leftovers_of_a_lost_claim_displace_nothing_of_the_next() -> None:
    async def pending() -> tuple[Lease, list[tuple[Lease, FetchedBatch]]]:
        leases = Leases()
        intake = Intake(Settings(), leases)
        log = MemoryLog()
        for number in range(10):
            log.append(PARTITION, {"event_id": f"e{number}"})
        leases.assign({PARTITION})
        lost = ready(leases)
        await intake.put(log.fetch(lost))
        leftovers = await intake.take_pending()
        leases.reclaim([lost], "the insert failed")
        held = ready(leases)
        await intake.put(log.fetch(held))
        intake.put_back(leftovers)
        return held, await intake.take_pending()

    held, [(lease, batch)] = asyncio.run(pending())
    assert lease is held
    assert (batch.start, batch.end) == (0, held.next_intake) == (0, 10)

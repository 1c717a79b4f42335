"""What a worker says of times beside its inserts: that a log is empty up to now, and that an earlier word was wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from rollups.delivery.claims import Claims
from rollups.delivery.markers import Markers
from rollups.kafka_log.broker_clock import BrokerClock

_AHEAD_MS = 1_000


async def touch(tails: Mapping[int, tuple[int, int]], claims: Claims, markers: Markers, clock: BrokerClock) -> None:
    """Notes the time of the last look at each log that was read to its end and applied.

    `tails` are (position, milliseconds since the look) by partition.
    """
    now_ms, idle = clock.now_ms(), {}
    for partition, (position, age_ms) in tails.items():
        lease = claims.leases.get(partition)
        if lease is not None and lease.ready and lease.next == position:
            idle[partition] = (lease.epoch, position, datetime.fromtimestamp((now_ms - age_ms) / 1000, UTC))
    if idle:
        await asyncio.to_thread(markers.note_empty_tails, idle)


async def take_back(claims: Claims, markers: Markers, clock: BrokerClock) -> None:
    """Claims partitions again of which more was said than there is time for: a clock was ahead, and was put right."""
    known = await asyncio.to_thread(markers.read)
    now_ms = clock.now_ms()
    wrong = [
        lease
        for partition, lease in claims.leases.items()
        if lease.ready and partition in known and known[partition].as_of_ms > now_ms + _AHEAD_MS
    ]
    claims.reclaim(wrong, "what was said to be counted lies ahead of the broker's time")

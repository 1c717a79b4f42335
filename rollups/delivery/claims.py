"""How a worker takes over partitions, so that nothing of an earlier owner can still be applied.

assigned → CLAIMING: raise the fence, kill inserts in flight, read the markers again, compare the bounds of the log,
load the dedupe state, seek to the watermark → READY. Any doubt later on leads back to CLAIMING; there is no other
recovery.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from ingest.backoff import Backoff
from ingest.errors import ClickmillError
from rollups.clickhouse import ClickHouseError, ClickHouseUnavailable
from rollups.delivery.fences import Fences
from rollups.delivery.leases import Leases
from rollups.delivery.markers import Marker, Markers
from rollups.delivery.sources import SourceReplaced
from rollups.model import FetchPosition, Lease, State

log = logging.getLogger(__name__)

_FIRST_PAUSE, _MAX_PAUSE = 0.1, 5.0  # seconds between attempts
READ_AGAIN_SECONDS = 1.0


class Log(Protocol):
    """What a claim needs of Kafka."""

    async def bounds(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        """(first offset that the log still has, offset after its last record) of each partition."""

    async def check_source(self) -> None:
        """Raises SourceReplaced if the topic was deleted and recreated."""

    async def fingerprints(self, stretches: Mapping[int, tuple[int, int]]) -> Mapping[int, Mapping[int, int]]:
        """CRCs (rollups/kafka_log/tail.py) of the records at offsets [start, end) of each partition, by offset.

        A partition is absent if its log ends before `end`, or does not respond in time.
        """

    async def seek(self, positions: Mapping[int, FetchPosition]) -> None:
        """Continues fetching of these partitions at these positions."""


class ClaimHandler(Protocol):
    """What the pipeline does for a claim."""

    def load_dedupe_state(self, lease: Lease) -> None:
        """Loads the dedupe state of the partition up to `lease.next`. Blocks."""

    def claimed(self, lease: Lease) -> None:
        """The lease is ready. Does not block."""

    def skip_to(self, lease: Lease, offset: int) -> None:
        """Accounts for offsets before `offset`, which the log no longer has. Blocks."""


class Claims:
    """Claims the leases of one worker that are due."""

    def __init__(self, leases: Leases, fences: Fences, markers: Markers, kafka_log: Log, handler: ClaimHandler) -> None:
        self._leases = leases
        self._fences = fences
        self._markers = markers
        self._log = kafka_log
        self._handler = handler

    async def run_claims(self) -> None:
        """Claims leases that are due, until cancelled. Raises SourceReplaced."""
        backoff = Backoff(_FIRST_PAUSE, _MAX_PAUSE)
        while True:
            leases = await self._leases.wait_due()
            if not leases:
                continue
            try:
                await self._claim(leases)
                backoff.reset()
            except SourceReplaced:
                raise
            except Exception as error:
                level = logging.WARNING if isinstance(error, ClickHouseError) else logging.ERROR
                bug = not isinstance(error, ClickmillError)
                log.log(level, "claiming failed, trying again in %.1f s: %s", backoff.seconds, error, exc_info=bug)
                await backoff.wait()
            self._leases.wake()  # for leases that are still being claimed

    async def _claim(self, leases: list[Lease]) -> None:
        partitions = [lease.partition for lease in leases]
        # Kafka first: a worker that is cut off from it must not fence its successor.
        await self._log.check_source()
        bounds = await self._log.bounds(partitions)
        epochs, markers = await asyncio.to_thread(self._fence, partitions)
        won = [lease for lease in leases if markers[lease.partition].epoch == epochs[lease.partition]]
        if len(won) < len(leases):
            log.warning("another worker claims partitions too: %s", sorted({*partitions} - {w.partition for w in won}))
            await asyncio.sleep(_FIRST_PAUSE)
        same = await self._halt_replaced_logs(won, markers, bounds)
        for lease in won:
            marker = markers[lease.partition]
            lease.epoch, lease.next, lease.settled_ms = marker.epoch, marker.next, marker.tail.settled_ms
            if lease.next != lease.failed_at:
                lease.failures = 0
            first_and_end = bounds[lease.partition]
            if lease.state is State.CLAIMING and not await self._try_load(lease, marker, first_and_end, same):
                same.discard(lease.partition)
        won = [lease for lease in won if lease.partition in same]
        ready = [
            lease for lease in won if lease.state is State.CLAIMING and self._leases.held.get(lease.partition) is lease
        ]
        for lease in ready:
            lease.next_intake, lease.position = lease.next, FetchPosition(lease.next)
        await self._log.seek({lease.partition: lease.position for lease in ready if lease.position})
        for lease in ready:
            lease.state = State.READY
            self._handler.claimed(lease)
        if ready:
            log.info("ready: %s", ", ".join(f"{lease.partition} from {lease.next}" for lease in ready))

    async def _try_load(self, lease: Lease, marker: Marker, bounds: tuple[int, int], same: set[int]) -> bool:
        """Loads what a partition needs, or fails its claim alone; whether that worked."""
        try:
            await self._check_bounds(lease, marker, *bounds)
            if lease.state is State.CLAIMING and lease.partition in same:
                await asyncio.to_thread(self._handler.load_dedupe_state, lease)
        except ClickHouseUnavailable:
            raise
        except Exception as error:
            log.error("partition %d was not claimed: %s", lease.partition, error, exc_info=error)
            self._leases.fail_claim(lease, f"it could not be claimed: {type(error).__name__}: {error}"[:300])
            return False
        return True

    def _fence(self, partitions: list[int]) -> tuple[dict[int, int], dict[int, Marker]]:
        epochs = self._fences.raise_fences(partitions)
        self._fences.end_inflight_inserts(partitions)
        return epochs, self._markers.read()

    async def _halt_replaced_logs(
        self, leases: list[Lease], markers: dict[int, Marker], bounds: Mapping[int, tuple[int, int]]
    ) -> set[int]:
        """Halts partitions whose log is another one; postpones those without a response, and returns the others."""
        tails = {lease.partition: markers[lease.partition].tail for lease in leases}
        there = {p: tail for p, tail in tails.items() if tail.crc and tail.offset >= bounds[p][0]}
        stretches = {p: tail.stretch(markers[p].next) for p, tail in there.items()}
        found = await self._log.fingerprints(stretches) if stretches else {}
        ends = await self._log.bounds(there.keys() - found.keys())
        waiting = set()
        for lease in leases:
            partition, watermark = lease.partition, markers[lease.partition].next
            if partition in found:
                if reason := there[partition].mismatch(found[partition]):
                    self._leases.halt(lease, reason)
            elif partition in ends and ends[partition][1] < watermark:
                self._leases.halt(lease, f"the log ends at {ends[partition][1]}, before the watermark {watermark}")
            elif partition in ends:
                log.warning("partition %d does not show what was counted last; asking again", partition)
                self._leases.postpone(lease, READ_AGAIN_SECONDS)
                waiting.add(partition)
        return tails.keys() - waiting

    async def _check_bounds(self, lease: Lease, marker: Marker, first: int, end: int) -> None:
        if first > lease.next and not marker.started:
            # The log had lost its head before the first claim: account for it as a gap, once.
            await asyncio.to_thread(self._handler.skip_to, lease, first)
            lease.next = first
        elif first > lease.next:
            self._leases.halt(lease, f"offsets {lease.next} to {first - 1} are gone from the log (retention)")
        elif end < lease.next and lease.out_of_range:  # the end alone is no proof: Tansu reports it too low
            self._leases.halt(lease, f"the log ends at {end}, before the watermark {lease.next}")

"""Claims: how a worker comes to own partitions, so that nothing of an earlier owner can still be applied.

assigned → CLAIMING: raise the fence, drain inserts under way, read the markers again, compare the log's bounds, load
what was seen, seek to the watermark → READY. Anything unclear later on leads back to CLAIMING; there is no other way
to recover.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Protocol

from ingest.errors import ClickmillError
from rollups.clickhouse import ClickHouseError, ClickHouseUnavailable
from rollups.delivery.markers import Marker, Markers
from rollups.model import FetchPosition, Lease, State

log = logging.getLogger(__name__)

_FIRST_BACKOFF = 0.1  # seconds
_LAST_BACKOFF = 5.0
_FIRST_PAUSE = 0.05  # after a batch that failed; twice as long after the next
_FAILING = 3  # failures in a row that are no accident
_READ_AGAIN = 1.0


class SourceReplaced(ClickmillError):
    """The topic is another one of the same name now: its offsets mean something else."""


class Log(Protocol):
    """What a claim needs of Kafka."""

    async def bounds(self, partitions: Iterable[int]) -> Mapping[int, tuple[int, int]]:
        """First offset that the log still has, and the offset after its last record, of each partition."""

    async def check_source(self) -> None:
        """Raises SourceReplaced if the topic was deleted and made again."""

    async def fingerprints(self, stretches: Mapping[int, tuple[int, int]]) -> Mapping[int, Mapping[int, int]]:
        """CRCs (rollups/kafka_log/tail.py) of the records at offsets [start, end) of each partition, by offset.

        A partition is absent if its log ends before, or does not answer in time.
        """

    async def seek(self, positions: Mapping[int, FetchPosition]) -> None:
        """Fetching of these partitions goes on there."""


class Owner(Protocol):
    """What is done with partitions that were claimed."""

    def load_dedupe_state(self, lease: Lease) -> None:
        """Loads what is remembered of the partition up to `lease.next`. Blocks."""

    def claimed(self, lease: Lease) -> None:
        """The lease is ready."""

    def isolating(self) -> Mapping[int, str]:
        """Partitions in which records are being left out, and why."""

    def skip_to(self, lease: Lease, offset: int) -> None:
        """Accounts for offsets before `offset`, which the log no longer has. Blocks."""


class Claims:
    """The leases of one worker. `assigned`, `revoked` and `reclaim` do not block; `run` does the claiming."""

    def __init__(self, markers: Markers, kafka_log: Log, owner: Owner) -> None:
        self._markers = markers
        self._log = kafka_log
        self._owner = owner
        self._wake = asyncio.Event()
        self.leases: dict[int, Lease] = {}
        self.joined = False  # the group has given us its word, though it may have been no partition

    def assigned(self, partitions: set[int]) -> None:
        """The group gave us exactly these; every one of them is claimed anew."""
        self.joined = True
        self.leases = {partition: Lease(partition) for partition in partitions}
        self._wake.set()

    def revoked(self) -> None:
        """The group takes everything back; what is in flight will find its lease gone."""
        self.leases = {}

    def holds(self, lease: Lease) -> bool:
        return self.leases.get(lease.partition) is lease and lease.ready

    def reclaim(self, leases: Iterable[Lease], why: str, *, out_of_range: bool = False, after: float = 0.0) -> None:
        """Starts over with those that are still held and ready, `after` seconds from now."""
        held = sorted(lease.partition for lease in leases if self.holds(lease))
        due = time.monotonic() + after
        self.leases |= {partition: Lease(partition, out_of_range=out_of_range, due=due) for partition in held}
        if held:
            log.info("claiming %s again: %s", ", ".join(map(str, held)), why)
        asyncio.get_running_loop().call_later(after, self._wake.set)

    def fail(self, lease: Lease, why: str, *, after: float | None = None) -> None:
        """Starts over with a lease of which a batch was not applied: `after` seconds from now, or later with each
        failure in a row."""
        if not self.holds(lease):
            return
        failures = 1 + (lease.failures if lease.failed_at == lease.next else 0)
        self.reclaim([lease], why, after=_pause(failures) if after is None else after)
        renewed = self.leases[lease.partition]
        renewed.failures, renewed.failed_at, renewed.why = failures, lease.next, why

    def halt(self, lease: Lease, why: str) -> None:
        """Nothing of the partition is counted from now on; the others go on."""
        if self.leases.get(lease.partition) is lease:
            self._halt(lease, why)

    def halted(self) -> dict[int, str]:
        """Why partitions stand still, by partition."""
        return {lease.partition: lease.why for lease in self.leases.values() if lease.state is State.HALTED}

    def failing(self) -> dict[int, str]:
        """Why nothing of a partition is applied although it is tried again and again, by partition."""
        return {
            lease.partition: f"{lease.failures} batches in a row failed at offset {lease.failed_at}: {lease.why}"
            for lease in self.leases.values()
            if lease.failures >= _FAILING and lease.state is not State.HALTED
        } | {partition: why for partition, why in self._owner.isolating().items() if partition in self.leases}

    def troubled(self) -> dict[int, str]:
        """Why partitions are not counted, by partition: halted or failing."""
        return self.halted() | self.failing()

    async def run(self) -> None:
        backoff = _FIRST_BACKOFF
        while True:
            await self._wake.wait()
            self._wake.clear()
            now = time.monotonic()
            leases = [lease for lease in self.leases.values() if lease.state is State.CLAIMING and lease.due <= now]
            if not leases:
                continue
            try:
                await self._claim(leases)
                backoff = _FIRST_BACKOFF
            except SourceReplaced:
                raise
            except Exception as error:
                level = logging.WARNING if isinstance(error, ClickHouseError) else logging.ERROR
                log.log(level, "claiming failed, trying again in %.1f s: %s", backoff, error, exc_info=level > 30)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _LAST_BACKOFF)
            if any(lease.state is State.CLAIMING and lease.due <= now for lease in self.leases.values()):
                self._wake.set()

    async def _claim(self, leases: list[Lease]) -> None:
        partitions = [lease.partition for lease in leases]
        # Kafka first: a worker that is cut off from it must not fence the one that has taken over.
        await self._log.check_source()
        bounds = await self._log.bounds(partitions)
        epochs, markers = await asyncio.to_thread(self._fence, partitions)
        won = [lease for lease in leases if markers[lease.partition].epoch == epochs[lease.partition]]
        if len(won) < len(leases):
            log.warning("somebody else claims partitions too: %s", sorted({*partitions} - {w.partition for w in won}))
            await asyncio.sleep(_FIRST_BACKOFF)
        same = await self._have_same_log(won, markers, bounds)
        for lease in won:
            marker = markers[lease.partition]
            lease.epoch, lease.next, lease.settled_ms = marker.epoch, marker.next, marker.tail.settled_ms
            if lease.next != lease.failed_at:
                lease.failures = 0
            first_and_end = bounds[lease.partition]
            if lease.state is State.CLAIMING and not await self._loaded(lease, marker, first_and_end, same):
                same.discard(lease.partition)
        won = [lease for lease in won if lease.partition in same]
        ready = [lease for lease in won if lease.state is State.CLAIMING and self.leases.get(lease.partition) is lease]
        for lease in ready:
            lease.tail, lease.position = lease.next, FetchPosition(lease.next)
        await self._log.seek({lease.partition: lease.position for lease in ready if lease.position})
        for lease in ready:
            lease.state = State.READY
            self._owner.claimed(lease)
        if ready:
            log.info("ready: %s", ", ".join(f"{lease.partition} from {lease.next}" for lease in ready))

    async def _loaded(self, lease: Lease, marker: Marker, bounds: tuple[int, int], same: set[int]) -> bool:
        """Whether what a partition needs is there; what fails for one partition holds up no other."""
        try:
            await self._check_bounds(lease, marker, *bounds)
            if lease.state is State.CLAIMING and lease.partition in same:
                await asyncio.to_thread(self._owner.load_dedupe_state, lease)
        except ClickHouseUnavailable:
            raise
        except Exception as error:
            log.error("partition %d was not claimed: %s", lease.partition, error, exc_info=error)
            lease.failures, lease.failed_at = lease.failures + 1, lease.next
            lease.why = f"it could not be claimed: {type(error).__name__}: {error}"[:300]
            self._postpone(lease, _pause(lease.failures))
            return False
        return True

    def _postpone(self, lease: Lease, seconds: float) -> None:
        lease.due = time.monotonic() + seconds
        asyncio.get_running_loop().call_later(seconds, self._wake.set)

    def _fence(self, partitions: list[int]) -> tuple[dict[int, int], dict[int, Marker]]:
        epochs = self._markers.raise_fences(partitions)
        self._markers.kill_inflight_inserts(partitions)
        return epochs, self._markers.read()

    async def _have_same_log(
        self, leases: list[Lease], markers: dict[int, Marker], bounds: Mapping[int, tuple[int, int]]
    ) -> set[int]:
        """The partitions that may go on. Where the log is another one they halt, where it does not say they wait."""
        tails = {lease.partition: markers[lease.partition].tail for lease in leases}
        there = {p: tail for p, tail in tails.items() if tail.crc and tail.offset >= bounds[p][0]}
        stretches = {p: tail.stretch(markers[p].next) for p, tail in there.items()}
        found = await self._log.fingerprints(stretches) if stretches else {}
        ends = await self._log.bounds(there.keys() - found.keys())
        waiting = set()
        for lease in leases:
            partition, watermark = lease.partition, markers[lease.partition].next
            if partition in found:
                if why := there[partition].mismatch(found[partition]):
                    self._halt(lease, why)
            elif partition in ends and ends[partition][1] < watermark:
                self._halt(lease, f"the log ends at {ends[partition][1]}, before the watermark {watermark}")
            elif partition in ends:
                log.warning("partition %d does not show what was counted last; asking again", partition)
                self._postpone(lease, _READ_AGAIN)
                waiting.add(partition)
        return tails.keys() - waiting

    async def _check_bounds(self, lease: Lease, marker: Marker, first: int, end: int) -> None:
        if first > lease.next and not marker.started:
            # The log had lost its head before anybody looked: it is accounted for as a gap, once.
            await asyncio.to_thread(self._owner.skip_to, lease, first)
            lease.next = first
        elif first > lease.next:
            self._halt(lease, f"offsets {lease.next} to {first - 1} are gone from the log (retention)")
        elif end < lease.next and lease.out_of_range:  # the end alone is no proof: Tansu reports it too low
            self._halt(lease, f"the log ends at {end}, before the watermark {lease.next}")

    def _halt(self, lease: Lease, why: str) -> None:
        lease.state, lease.why = State.HALTED, why
        log.error(
            "partition %d stands still: %s. Nothing of it is counted until an operator decides; see docs/operations.md",
            lease.partition,
            why,
        )

    async def reseek(self, lease: Lease) -> None:
        """Fetch again from the tail, after Faust dropped a batch on its way."""
        lease.position = FetchPosition(lease.tail)
        await self._log.seek({lease.partition: lease.position})


def _pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(_FIRST_PAUSE * 2.0 ** min(failures, 10), _LAST_BACKOFF)  # a power of thousands is no float

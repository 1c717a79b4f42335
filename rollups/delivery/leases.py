"""The leases of one worker: which partitions it holds, and how a lease starts over, fails or halts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from ingest.backoff import pause
from rollups.model import Lease, State

log = logging.getLogger(__name__)

_FIRST_PAUSE, _MAX_PAUSE = 0.05, 5.0  # seconds after a batch that failed
_FAILING = 3  # failures in a row that are no accident


class Leases:
    """Leases by partition. No call blocks. An assignment or revocation replaces `held` as a whole."""

    def __init__(self) -> None:
        self.held: dict[int, Lease] = {}
        self.joined = False  # True once the group has assigned us, possibly zero partitions
        self._due = asyncio.Event()

    def assign(self, partitions: set[int]) -> None:
        """The group has assigned exactly these partitions; each starts a new claim."""
        self.joined = True
        self.held = {partition: Lease(partition) for partition in partitions}
        self._due.set()

    def revoke(self) -> None:
        """The group takes all partitions back. Batches in flight find their lease gone."""
        self.held = {}

    def holds(self, lease: Lease) -> bool:
        return self.held.get(lease.partition) is lease and lease.ready

    def applied(self) -> dict[int, int]:
        """The next offset to apply of each partition that is ready."""
        return {partition: lease.next for partition, lease in self.held.items() if lease.ready}

    def reclaim(self, leases: Iterable[Lease], reason: str, *, out_of_range: bool = False, after: float = 0.0) -> None:
        """Starts over with leases that are still held and ready, `after` seconds from now."""
        held = sorted(lease.partition for lease in leases if self.holds(lease))
        due = time.monotonic() + after
        self.held |= {partition: Lease(partition, out_of_range=out_of_range, due=due) for partition in held}
        if held:
            log.info("claiming %s again: %s", ", ".join(map(str, held)), reason)
        self._wake_after(after)

    def reclaim_out_of_range(self, partitions: set[int]) -> None:
        """The broker has refused the next offset of these partitions."""
        leases = [lease for lease in self.held.values() if lease.partition in partitions]
        self.reclaim(leases, "the broker refused the next offset", out_of_range=True)

    def fail(self, lease: Lease, reason: str, *, after: float | None = None) -> None:
        """Starts over with a lease whose batch was not applied: `after` seconds from now, by default later with each
        failure in a row."""
        if not self.holds(lease):
            return
        failures = 1 + (lease.failures if lease.failed_at == lease.next else 0)
        self.reclaim([lease], reason, after=pause(failures, _FIRST_PAUSE, _MAX_PAUSE) if after is None else after)
        renewed = self.held[lease.partition]
        renewed.failures, renewed.failed_at, renewed.reason = failures, lease.next, reason

    def fail_claim(self, lease: Lease, reason: str) -> None:
        """Notes that a claim failed; the next attempt is later with each failure in a row."""
        lease.failures, lease.failed_at, lease.reason = lease.failures + 1, lease.next, reason
        self.postpone(lease, pause(lease.failures, _FIRST_PAUSE, _MAX_PAUSE))

    def postpone(self, lease: Lease, seconds: float) -> None:
        """Delays the claim of a lease."""
        lease.due = time.monotonic() + seconds
        self._wake_after(seconds)

    def halt(self, lease: Lease, reason: str) -> None:
        """Stops counting this partition; the others go on."""
        lease.state, lease.reason = State.HALTED, reason
        log.error(
            "partition %d stands still: %s. Nothing of it is counted until an operator decides; see docs/operations.md",
            lease.partition,
            reason,
        )

    def halted(self) -> dict[int, str]:
        """Why partitions are halted, by partition."""
        return {lease.partition: lease.reason for lease in self.held.values() if lease.state is State.HALTED}

    def failing(self) -> dict[int, str]:
        """Why partitions fail again and again, by partition."""
        return {
            lease.partition: f"{lease.failures} batches in a row failed at offset {lease.failed_at}: {lease.reason}"
            for lease in self.held.values()
            if lease.failures >= _FAILING and lease.state is not State.HALTED
        }

    async def wait_due(self) -> list[Lease]:
        """Waits until a lease may be due; returns leases that are due to be claimed, possibly none."""
        await self._due.wait()
        self._due.clear()
        now = time.monotonic()
        return [lease for lease in self.held.values() if lease.state is State.CLAIMING and lease.due <= now]

    def wake(self) -> None:
        """Ends the wait of `wait_due`."""
        self._due.set()

    def _wake_after(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._due.set)

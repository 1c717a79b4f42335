"""What a worker remembers of a partition to tell duplicates and repeats, in step with what it has taken in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rollups.compiled.hash_set import Keys, Mask
from rollups.kafka_log.timestamps import LogClock
from rollups.model import FetchedBatch, Reason
from rollups.settings import Settings
from rollups.transform.decode import Rows
from rollups.transform.dedupe import KeyMemory, Taken
from rollups.transform.identity import Identities

MS_PER_MINUTE = 60_000
_NOWHERE = -1


class OutOfStep(Exception):
    """A batch does not start where the memory ends: an earlier one was not applied. Claim the partition again."""


@dataclass(frozen=True, slots=True)
class SeenKeys:
    """Keys that a batch brings into the memory; `kind` is `id` or `repeat`."""

    kind: str
    generation: int
    keys: Keys


class PartitionMemory:
    """Event ids, and (user, link, slot) of counted clicks, of all records before `next`."""

    def __init__(self, settings: Settings, next_offset: int, settled_ms: int = 0) -> None:
        self._horizon = settings.dedupe_horizon_minutes
        self._repeat_seconds = settings.repeat_seconds
        self.next = next_offset
        self.clock = LogClock.at(settled_ms)
        self.kinds = {kind: KeyMemory(self._horizon, settings.dedupe_max_keys) for kind in ("id", "repeat")}

    def mark(self, rows: Rows, who: Identities, batch: FetchedBatch, clock: LogClock) -> list[SeenKeys]:
        """Gives duplicates and repeats their reason, and says which rows could not be verified.

        `clock` is the one after the batch.
        """
        if batch.start != self.next:
            raise OutOfStep(f"the memory of partition {batch.partition} ends at {self.next}, not at {batch.start}")
        self.next = _NOWHERE  # until all of it is taken in
        taken_in = np.maximum(rows.log_time_ms, rows.settled_ms)  # where the first is not known
        late = who.clicked_ms // MS_PER_MINUTE < taken_in // MS_PER_MINUTE - self._horizon
        named = (who.ids != 0) & (rows.reasons != Reason.FUTURE)
        rows.verified &= named & ~late & ~rows.columns.id_assigned
        seen = self._mark_known("id", Reason.DUPLICATE, rows, who.ids, named)
        if self._repeat_seconds:
            known = (rows.reasons == Reason.COUNTED) & (who.users != 0)
            keys = who.repeat_keys(self._repeat_seconds)
            seen += self._mark_known("repeat", Reason.REPEAT, rows, keys, known)
        self.next, self.clock = batch.end, clock
        return seen

    def _mark_known(self, kind: str, reason: Reason, rows: Rows, keys: Keys, eligible: Mask) -> list[SeenKeys]:
        chosen = np.flatnonzero(eligible)
        taken_in, settled = rows.log_time_ms[chosen] // MS_PER_MINUTE, rows.settled_ms[chosen] // MS_PER_MINUTE
        taken: Taken = self.kinds[kind].take(taken_in, settled, keys[chosen])
        rows.reasons[chosen[taken.known]] = reason
        rows.verified[chosen[~taken.kept]] = False
        return [SeenKeys(kind, generation, fresh) for generation, fresh in taken.fresh]

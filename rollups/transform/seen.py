"""The `seen` table: keys of the dedupe windows, written before the clicks and loaded by the next owner."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa

from rollups.clickhouse import ClickHouse
from rollups.compiled.hash_set import Keys
from rollups.transform.dedupe import MS_PER_MINUTE, DedupeState, SeenKeys

# Only rows of unapplied batches end after the watermark. Earlier incarnations of the topic count up to their own
# watermarks.
_APPLIED = """
SELECT toString(kind) AS name, generation, keys FROM seen
INNER JOIN
(
    SELECT source, if(source = {source:UInt32}, {upto:UInt64}, next) AS upto FROM watermarks
    WHERE partition = {partition:UInt16}
      AND (source = {source:UInt32} OR source IN (SELECT source FROM sources WHERE topic = {topic:String}))
) AS applied USING source
WHERE partition = {partition:UInt16} AND end_offset <= upto
"""

# Producers may set old times, so the time of an empty tail must not decide alone.
_FORGETTABLE = """
SELECT DISTINCT source, generation FROM seen
WHERE source IN (SELECT source FROM sources WHERE topic = {topic:String}) AND generation <
least(
    (SELECT min(toUnixTimestamp(as_of)) / 60 FROM watermarks
     WHERE source = {source:UInt32} AND toUnixTimestamp(as_of) > 0),
    (SELECT max(generation) FROM seen WHERE source = {source:UInt32})
) - {minutes:UInt32}
"""


class Seen:
    """The keys of one source."""

    def __init__(self, db: ClickHouse, source: int, topic: str) -> None:
        self._db = db
        self._scope = {"source": source, "topic": topic}

    def write(self, batches: list[tuple[int, int, list[SeenKeys]]]) -> None:
        """Writes, durably, keys of batches given as (partition, end offset, keys). Blocks."""
        rows = [(partition, end, keys) for partition, end, kept in batches for keys in kept]
        if not rows:
            return
        offsets = np.cumsum([0, *(len(keys.keys) for _, _, keys in rows)], dtype=np.int32)
        table = pa.table(
            {
                "source": np.full(len(rows), self._scope["source"], np.uint32),
                "partition": np.array([partition for partition, _, _ in rows], np.uint16),
                "end_offset": np.array([end for _, end, _ in rows], np.uint64),
                "kind": pa.array([keys.kind for _, _, keys in rows]),
                "generation": np.array([keys.generation for _, _, keys in rows], np.uint32),
                "keys": pa.ListArray.from_arrays(offsets, np.concatenate([keys.keys for _, _, keys in rows])),
            }
        )
        # One part per generation: after a quiet time a batch may contain many.
        self._db.insert_arrow("seen", table, {"async_insert": 0, "max_partitions_per_insert_block": 0})

    def load(self, partition: int, state: DedupeState, now_ms: int) -> None:
        """Fills an empty state with the keys of records before its `next`. Blocks."""
        present = now_ms // MS_PER_MINUTE  # earlier versions trusted timestamps beyond it
        parameters = {**self._scope, "partition": partition, "upto": state.next}
        found: dict[str, dict[int, list[Keys]]] = defaultdict(lambda: defaultdict(list))
        for batch in self._db.query_arrow(_APPLIED, parameters).to_batches():
            kinds, generations, lists = batch["name"].to_pylist(), batch["generation"].to_pylist(), batch["keys"]
            for row, (kind, generation) in enumerate(zip(kinds, generations, strict=True)):
                found[kind][min(generation, present)].append(lists[row].values.to_numpy())
        settled = state.clock.settled_ms // MS_PER_MINUTE
        for kind, by_generation in found.items():
            state.kinds[kind].restore({g: np.concatenate(parts) for g, parts in by_generation.items()}, settled)

    def forget(self, older_than_minutes: int) -> None:
        """Drops generations that no partition needs, by the time of the log: workers may have been away. Blocks."""
        old = self._db.query(_FORGETTABLE, {**self._scope, "minutes": older_than_minutes})
        for source, generation in old:
            self._db.command(f"ALTER TABLE seen DROP PARTITION ({source:d}, {generation:d})")

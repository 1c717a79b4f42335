"""What troubles partitions, as the worker that holds them notes it for others: the audit is another process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from rollups.clickhouse import ClickHouse

Condition = tuple[str, str]  # (state as in `partition_states`, why)

OK: Condition = ("ok", "")
_AFRESH_SECONDS = 60.0
_MOST_WHY = 500  # characters


class PartitionStates:
    """Writes what has changed, and looks once a minute whether what is written is still true."""

    def __init__(self, db: ClickHouse, source: int) -> None:
        self._db = db
        self._source = source
        self._states: dict[int, str] = {}
        self._looked = -_AFRESH_SECONDS

    def write(self, conditions: Mapping[int, Condition]) -> None:
        """Notes how the partitions are that the worker holds, each of them. Blocks."""
        states = {partition: state for partition, (state, _) in conditions.items()}
        if states == self._states and time.monotonic() - self._looked < _AFRESH_SECONDS:
            return
        known = self._known()
        now = datetime.now(UTC)
        rows = []
        for partition, (state, why) in conditions.items():
            before, said, since, version = known.get(partition, (*OK, now, 0))
            if (state, why[:_MOST_WHY]) != (before, said):
                began = since if state == before else now
                rows.append((self._source, partition, state, why[:_MOST_WHY], began, version + 1))
        if rows:
            columns = ["source", "partition", "state", "why", "since", "version"]
            self._db.insert("partition_states", rows, columns)
        self._states, self._looked = states, time.monotonic()

    def _known(self) -> dict[int, tuple[str, str, datetime, int]]:
        """Versions grow by one from what is there, so that no clock decides whose word stands."""
        rows = self._db.query(
            "SELECT partition, toString(state), why, since, version FROM partition_states FINAL "
            "WHERE source = {source:UInt32}",
            {"source": self._source},
        )
        return {partition: (state, why, since, version) for partition, state, why, since, version in rows}

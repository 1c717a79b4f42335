"""Rows that win: what is written to a table whose newest version counts is newer than all there is, by any clock."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rollups.clickhouse import ClickHouse, ClickHouseBusy

_TRIES = 3
_STEP_MICROSECONDS = 1000  # beyond the newest; less would leave no room for chance
_MOST_LATER = 100_000

# A clock that was ahead leaves versions that are ahead; everything after them is a step further each.
_NEXT = "SELECT greatest(now64(6, 'UTC'), max(version) + toIntervalMicrosecond({step:UInt32})) FROM {table}"


def write_newest(db: ClickHouse, table: str, identity: Sequence[str], entries: Collection[dict[str, Any]]) -> None:
    """Writes entries with the same columns, no two of one identity. What was written before by others is replaced.

    It is read back: an entry that somebody else has written at the same time is written again, a few times. Raises
    ClickHouseBusy if others keep winning. May block on ClickHouse.
    """
    for _ in range(_TRIES):
        if not entries:
            return
        version = _next_version(db, table)
        rows = [(*entry.values(), version) for entry in entries]
        db.insert(table, rows, [*next(iter(entries)), "version"])
        later = _later(db, table, identity, version)
        entries = [entry for entry in entries if tuple(entry[part] for part in identity) in later]
    if entries:
        raise ClickHouseBusy(f"somebody else writes the same {table} at the same time")


def _next_version(db: ClickHouse, table: str) -> datetime:
    """Two writers at the same time do not get the same one, except by chance."""
    [(version,)] = db.query(_NEXT.replace("{table}", table), {"step": _STEP_MICROSECONDS})
    by_chance = timedelta(microseconds=secrets.randbelow(_STEP_MICROSECONDS))
    found: datetime = version.replace(tzinfo=UTC) + by_chance
    return found


def _later(db: ClickHouse, table: str, identity: Sequence[str], version: datetime) -> set[tuple[Any, ...]]:
    """Identities of rows that are newer than this version."""
    condition = f"version > {{version:DateTime64(6, 'UTC')}} LIMIT {_MOST_LATER}"
    sql = f"SELECT {', '.join(identity)} FROM {table} WHERE {condition}"
    return set(map(tuple, db.query(sql, {"version": version})))

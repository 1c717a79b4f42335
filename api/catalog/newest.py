"""Writes to tables whose newest version counts: new rows are newer than all others, whatever their clocks said."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rollups.clickhouse import ClickHouse, ClickHouseBusy

TRIES = 3
_STEP_MICROSECONDS = 1000  # beyond the newest version; random microseconds within it tell two writers apart
_MAX_NEWER = 100_000

# A clock that was ahead leaves versions that are ahead; each later write goes one step beyond them.
_NEXT = "SELECT greatest(now64(6, 'UTC'), max(version) + toIntervalMicrosecond({step:UInt32})) FROM {table}"


def write_newest(db: ClickHouse, table: str, identity: Sequence[str], entries: Collection[dict[str, Any]]) -> None:
    """Writes entries with the same columns, no two of one identity; they replace earlier rows.

    Reads them back: an entry that another writer replaced at the same time is written again, a few times. Raises
    ClickHouseBusy if other writers keep winning. Blocks.
    """
    for _ in range(TRIES):
        if not entries:
            return
        version = _next_version(db, table)
        rows = [(*entry.values(), version) for entry in entries]
        db.insert(table, rows, [*next(iter(entries)), "version"])
        newer = _newer(db, table, identity, version)
        entries = [entry for entry in entries if tuple(entry[part] for part in identity) in newer]
    if entries:
        raise ClickHouseBusy(f"another client writes the same {table} at the same time")


def _next_version(db: ClickHouse, table: str) -> datetime:
    """Two writers at the same time get different ones, except by chance."""
    [(version,)] = db.query(_NEXT.replace("{table}", table), {"step": _STEP_MICROSECONDS})
    random_part = timedelta(microseconds=secrets.randbelow(_STEP_MICROSECONDS))
    found: datetime = version.replace(tzinfo=UTC) + random_part
    return found


def _newer(db: ClickHouse, table: str, identity: Sequence[str], version: datetime) -> set[tuple[Any, ...]]:
    """Identities of rows with a newer version."""
    condition = f"version > {{version:DateTime64(6, 'UTC')}} LIMIT {_MAX_NEWER}"
    sql = f"SELECT {', '.join(identity)} FROM {table} WHERE {condition}"
    return set(map(tuple, db.query(sql, {"version": version})))

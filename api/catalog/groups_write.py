"""Group entries of the catalogue, written so that each keeps the time at which it was first written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from api.catalog.newest import write_newest
from rollups.clickhouse import ClickHouse

_ASKED_AT_ONCE = 1000  # ClickHouse takes no parameter above 128 KiB

_KNOWN = """
SELECT account_id, grp_idx, name, memo, created_at FROM groups FINAL
WHERE (account_id, grp_idx) IN (SELECT arrayJoin(arrayZip({accounts:Array(UInt64)}, {groups:Array(UInt64)})))
"""

Entry = dict[str, Any]
Key = tuple[int, int]


def write_groups(db: ClickHouse, entries: Sequence[Entry]) -> None:
    """Adds or replaces groups, each once: {account_id, grp_idx, name, memo}. What is the same as before is not written,
    so a catalogue that is imported every night does not make every group look modified.
    """
    new, changed = [], []
    for start in range(0, len(entries), _ASKED_AT_ONCE):
        part = entries[start : start + _ASKED_AT_ONCE]
        known = _known(db, part)
        for entry in part:
            name, memo, created_at = known.get(_key(entry), (None, None, None))
            if created_at is None:
                new.append(entry)
            elif (name, memo) != (entry["name"], entry["memo"]):
                changed.append({**entry, "created_at": created_at})
    for written in (new, changed):
        write_newest(db, "groups", ("account_id", "grp_idx"), written)


def _known(db: ClickHouse, entries: Sequence[Entry]) -> dict[Key, tuple[str, str, datetime]]:
    keys = [_key(entry) for entry in entries]
    accounts, groups = ([key[place] for key in keys] for place in (0, 1))
    rows = db.query(_KNOWN, {"accounts": accounts, "groups": groups})
    return {(account, group): (name, memo, created_at) for account, group, name, memo, created_at in rows}


def _key(entry: Entry) -> Key:
    return entry["account_id"], entry["grp_idx"]

"""The catalogue: names, plans and zones of accounts, links, groups, publishers, advertisers and networks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from api.access.plans import DEFAULT_PLAN, Plan, Plans
from api.catalog.entries import CatalogUpload, Entry
from api.catalog.newest import write_newest
from rollups.clickhouse import ClickHouse

_MAX_NAMES = 200_000  # in memory

_KNOWN_GROUPS = """
SELECT account_id, grp_idx, name, memo, created_at FROM groups FINAL
WHERE (account_id, grp_idx) IN (SELECT arrayJoin(arrayZip({accounts:Array(UInt64)}, {groups:Array(UInt64)})))
"""

_NAMES = """
SELECT 'publisher', publisher_id, name, '' FROM publishers FINAL WHERE publisher_id IN {publisher:Array(UInt64)}
UNION ALL
SELECT 'advertiser', advertiser_id, name, slug FROM advertisers FINAL
WHERE advertiser_id IN {advertiser:Array(UInt64)}
UNION ALL
SELECT 'network', network_id, name, '' FROM networks FINAL WHERE network_id IN {network:Array(UInt64)}
"""

Values = dict[str, Any]  # of an entry, by column


@dataclass(frozen=True, slots=True)
class Account:
    plan: Plan
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Names:
    """Names by id, for the ids of one page; an id without an entry is missing."""

    publishers: dict[int, str]
    advertisers: dict[int, tuple[str, str]]
    networks: dict[int, str]


class Catalog:
    """Reads and writes the tables of the catalogue. Blocks."""

    def __init__(self, db: ClickHouse, plans: Plans | None = None, reader: ClickHouse | None = None) -> None:
        self._db = db
        self._reader = reader or db
        self._plans = plans or Plans()
        self._names: dict[tuple[str, int], tuple[str, str] | None] = {}

    def clear_names(self) -> None:
        """Clears the cache of names; lookups in flight fill the discarded dict. Thread-safe."""
        self._names = {}

    def upsert(self, upload: CatalogUpload) -> dict[str, int]:
        """Writes all entries, the last one of each identity; returns the number written by table.

        After an error some tables may be written; the same upload again completes them.
        """
        tables: dict[str, list[Entry]] = {name: getattr(upload, name) for name in CatalogUpload.model_fields}
        return {name: self._write(name, entries) for name, entries in tables.items()}

    def _write(self, table: str, entries: list[Entry]) -> int:
        rows = {
            tuple(values[part] for part in entry.identity): values
            for entry in entries
            for values in [entry.model_dump()]
        }
        if table == "groups":
            _write_groups(self._db, list(rows.values()))
        elif entries:
            write_newest(self._db, table, entries[0].identity, rows.values())
        return len(rows)

    def account(self, account_id: int) -> Account:
        """Plan and zone of an account; `DEFAULT_PLAN` (Personal) and UTC without an entry."""
        rows = self._reader.query(
            "SELECT plan, time_zone FROM accounts FINAL WHERE account_id = {account:UInt64}",
            {"account": account_id},
        )
        plan, zone = rows[0] if rows else (DEFAULT_PLAN, "UTC")
        return Account(self._plans.named(plan), ZoneInfo(zone))

    def publisher_zone(self, publisher_id: int) -> ZoneInfo:
        """The zone of a publisher; UTC without an entry."""
        rows = self._reader.query(
            "SELECT time_zone FROM publishers FINAL WHERE publisher_id = {publisher:UInt64}",
            {"publisher": publisher_id},
        )
        return ZoneInfo(rows[0][0] if rows else "UTC")

    def group_names(self, account_id: int, groups: Sequence[int]) -> dict[int, str]:
        """The names of these groups of an account; one without an entry is missing."""
        rows = self._reader.query(
            "SELECT grp_idx, name FROM groups FINAL WHERE account_id = {account:UInt64} "
            "AND grp_idx IN {groups:Array(UInt64)}",
            {"account": account_id, "groups": list(groups)},
        )
        return dict(rows)

    def names(self, publishers: Iterable[int], advertisers: Iterable[int], networks: Iterable[int]) -> Names:
        known = self._names
        asked = {"publisher": set(publishers), "advertiser": set(advertisers), "network": set(networks)}
        missing = {table: [key for key in keys if (table, key) not in known] for table, keys in asked.items()}
        if any(missing.values()):
            if len(known) > _MAX_NAMES:
                known = self._names = {}
                missing = {table: list(keys) for table, keys in asked.items()}
            known.update(self._read_names(missing))
        found = {table: {key: known[table, key] for key in keys} for table, keys in asked.items()}
        return Names(
            publishers={key: pair[0] for key, pair in found["publisher"].items() if pair},
            advertisers={key: pair for key, pair in found["advertiser"].items() if pair},
            networks={key: pair[0] for key, pair in found["network"].items() if pair},
        )

    def _read_names(self, ids: dict[str, list[int]]) -> dict[tuple[str, int], tuple[str, str] | None]:
        """The names of these ids, None for an id without an entry."""
        rows = self._reader.query(_NAMES, ids)
        absent = dict.fromkeys((table, key) for table, keys in ids.items() for key in keys)
        return {**absent, **{(table, key): (name, slug) for table, key, name, slug in rows}}


def _write_groups(db: ClickHouse, entries: Sequence[Values]) -> None:
    """Adds or replaces groups (account_id, grp_idx, name, memo), each once.

    A group keeps the time at which it was first written. An unchanged one is not written, so a nightly import does
    not make every group look modified.
    """
    new, changed = [], []
    known = _known_groups(db, entries)
    for entry in entries:
        name, memo, created_at = known.get((entry["account_id"], entry["grp_idx"]), (None, None, None))
        if created_at is None:
            new.append(entry)
        elif (name, memo) != (entry["name"], entry["memo"]):
            changed.append({**entry, "created_at": created_at})
    for rows in (new, changed):
        write_newest(db, "groups", ("account_id", "grp_idx"), rows)


def _known_groups(db: ClickHouse, entries: Sequence[Values]) -> dict[tuple[int, int], tuple[str, str, datetime]]:
    """Name, memo and time of creation by (account_id, grp_idx)."""
    accounts, groups = ([entry[column] for entry in entries] for column in ("account_id", "grp_idx"))
    rows = db.query_lists(_KNOWN_GROUPS, {"accounts": accounts, "groups": groups})
    return {(account, group): (name, memo, created_at) for account, group, name, memo, created_at in rows}

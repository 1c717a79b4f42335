"""API keys in the database: one row per key, and further rows that end it. Of several ends the earliest counts.

No row is replaced, so no clock decides which one is the newest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from rollups.clickhouse import ClickHouse, Row

Role = Literal["admin", "publisher", "account", "ingest"]


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a key. Only publishers have a `publisher_id`, only accounts an `account_id`."""

    key_id: str
    role: Role
    publisher_id: int | None = None
    account_id: int | None = None
    expires_at: int | None = None  # seconds since 1970
    requests_per_hour: int | None = None  # None: as the settings say


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is stored of a key, which is never the key itself. Times are seconds since 1970."""

    id: str
    role: Role
    publisher_id: int | None
    account_id: int | None
    name: str
    created_at: int
    expires_at: int | None
    requests_per_hour: int | None = None
    revoked_at: int | None = None


# `least` of a value and NULL is NULL in some versions of ClickHouse and the value in others.
_KEYS = """
SELECT {columns} FROM
(
    SELECT k.id AS id, k.role AS role, k.publisher_id AS publisher_id, k.account_id AS account_id, k.name AS name,
        toUnixTimestamp(k.created_at) AS created_at,
        toUnixTimestamp(coalesce(least(k.expires_at, e.expires_at), k.expires_at, e.expires_at)) AS expires_at,
        k.requests_per_hour AS requests_per_hour,
        toUnixTimestamp(coalesce(least(k.revoked_at, e.revoked_at), k.revoked_at, e.revoked_at)) AS revoked_at,
        toString(k.hash) AS hash
    FROM (SELECT * FROM api_keys FINAL {where}) AS k
    LEFT JOIN
    (
        SELECT id, min(expires_at) AS expires_at, min(revoked_at) AS revoked_at FROM api_key_ends {where} GROUP BY id
    ) AS e ON e.id = k.id
)
"""
_RECORD = "id, role, publisher_id, account_id, name, created_at, expires_at, requests_per_hour, revoked_at"
_PRINCIPAL = "hash, id, role, publisher_id, account_id, expires_at, requests_per_hour"

# Parts of a table are immutable, so the same parts hold the same rows.
_CHECKSUM = """
SELECT count(), groupBitXor(cityHash64(table, name, hash_of_all_files)) FROM system.parts
WHERE active AND database = currentDatabase() AND table IN ('api_keys', 'api_key_ends')
"""


class KeyRecords:
    """Reads and writes the tables of keys. Blocks; raises ClickHouseError."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db

    def all(self) -> list[KeyRecord]:
        """All keys, oldest first, revoked ones included."""
        sql = _KEYS.format(columns=_RECORD, where="") + "ORDER BY created_at, id"
        return [KeyRecord(*row) for row in self._db.query(sql)]

    def find(self, key_id: str) -> tuple[KeyRecord, str] | None:
        """A key and its hash."""
        sql = _KEYS.format(columns=f"{_RECORD}, hash", where="WHERE id = {id:String}")
        rows = self._db.query(sql, {"id": key_id})
        return (KeyRecord(*rows[0][:-1]), rows[0][-1]) if rows else None

    def principals(self) -> dict[str, Principal]:
        """Callers by the hash of their key, without revoked keys."""
        rows = self._db.query(_KEYS.format(columns=_PRINCIPAL, where="") + "WHERE revoked_at IS NULL")
        return {digest: Principal(*known) for digest, *known in rows}

    def checksum(self) -> int | None:
        """A checksum of all keys and ends; None for a Distributed table, which has no parts here."""
        [(parts, checksum)] = self._db.query(_CHECKSUM)
        return checksum if parts else None

    def add(self, record: KeyRecord, digest: str) -> None:
        values = {**asdict(record), "hash": digest.encode()}
        row: Row = tuple(values.values())
        self._db.insert("api_keys", [row], list(values))

    def end(self, key_id: str, *, expires_at: int | None = None, revoked_at: int | None = None) -> None:
        """Ends a key at a time, or revokes it; never later than it would have ended."""
        self._db.insert("api_key_ends", [(key_id, expires_at, revoked_at)], ["id", "expires_at", "revoked_at"])

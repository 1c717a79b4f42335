"""API keys in the database: a row when a key is made, and further rows that only ever end it earlier.

Nothing is replaced, so no clock decides which row is the newest: of several ends the earliest counts.
"""

from __future__ import annotations

from dataclasses import asdict

from api.access.principal import KeyRecord, Principal
from rollups.clickhouse import ClickHouse, Row

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

# Parts of a table are never changed in place; a table behind a Distributed one has none here.
_CONTENT = """
SELECT count(), groupBitXor(cityHash64(table, name, hash_of_all_files)) FROM system.parts
WHERE active AND database = currentDatabase() AND table IN ('api_keys', 'api_key_ends')
"""


class KeyRecords:
    """Every call may block on ClickHouse, and raises what that raises."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db

    def all(self) -> list[KeyRecord]:
        """Every key ever made, revoked ones included, oldest first."""
        sql = _KEYS.format(columns=_RECORD, where="") + "ORDER BY created_at, id"
        return [KeyRecord(*row) for row in self._db.query(sql)]

    def find(self, key_id: str) -> tuple[KeyRecord, str] | None:
        """A key and its hash."""
        sql = _KEYS.format(columns=f"{_RECORD}, hash", where="WHERE id = {id:String}")
        rows = self._db.query(sql, {"id": key_id})
        return (KeyRecord(*rows[0][:-1]), rows[0][-1]) if rows else None

    def principals(self) -> dict[str, Principal]:
        """Everybody whose key was not revoked, by its hash."""
        rows = self._db.query(_KEYS.format(columns=_PRINCIPAL, where="") + "WHERE revoked_at IS NULL")
        return {digest: Principal(*known) for digest, *known in rows}

    def content(self) -> int | None:
        """A number that stands for all there is; None if the database does not tell."""
        [(parts, content)] = self._db.query(_CONTENT)
        return content if parts else None

    def add(self, record: KeyRecord, digest: str) -> None:
        values = {**asdict(record), "hash": digest.encode()}
        row: Row = tuple(values.values())
        self._db.insert("api_keys", [row], list(values))

    def end(self, key_id: str, *, expires_at: int | None = None, revoked_at: int | None = None) -> None:
        """Ends a key at a time, or once and for all; never later than it would have ended."""
        self._db.insert("api_key_ends", [(key_id, expires_at, revoked_at)], ["id", "expires_at", "revoked_at"])

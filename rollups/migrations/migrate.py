"""Applies the numbered SQL files of `rollups/migrations` in order, each once."""

from __future__ import annotations

import re
from importlib.resources import files

from rollups.clickhouse import ClickHouse
from rollups.installation import ensure_event_id_key
from rollups.model import READERS, WORKERS

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)


def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL) of every migration, in order."""
    found = [path for path in files("rollups.migrations").iterdir() if path.name.endswith(".sql")]
    return sorted((int(path.name[:4]), path.name, path.read_text()) for path in found)


def statements(sql: str) -> list[str]:
    """The statements of a migration file. They contain no semicolons."""
    return [part.strip() for part in _COMMENT.sub("", sql).split(";") if part.strip()]


def migrate(db: ClickHouse, *, retention_days: int = 0) -> list[str]:
    """Brings the database to the newest version; returns the names of the applied migrations. Blocks.

    All statements can run twice, so an interrupted migration is simply repeated.
    """
    db.command(
        "CREATE TABLE IF NOT EXISTS schema_migrations "
        "(number UInt32, name String, applied_at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY number"
    )
    applied = {row[0] for row in db.query("SELECT number FROM schema_migrations")}
    names = []
    for number, name, sql in migrations():
        if number in applied:
            continue
        for statement in statements(sql):
            db.command(statement)
        db.insert("schema_migrations", [(number, name)], ["number", "name"])
        names.append(name)
    ensure_event_id_key(db)
    for statement in retention_statements(db, "rollup", retention_days):
        db.command(statement)
    return names


def retention_statements(db: ClickHouse, table: str, days: int) -> list[str]:
    """Old clicks expire. Markers and the ledger stay, as they prevent counting the log twice."""
    if days:
        return [
            f"ALTER TABLE {table} MODIFY TTL day + INTERVAL {days:d} DAY DELETE "
            "WHERE grain IN ('link_hour', 'account_hour', 'affiliate_day')"
        ]
    return [f"ALTER TABLE {table} REMOVE TTL"] if has_retention(db) else []


def has_retention(db: ClickHouse) -> bool:
    """Whether old clicks are deleted from the rollups."""
    holders = f"(currentDatabase(), if(currentDatabase() = '{READERS}', '{WORKERS}', ''))"
    rows = db.query(f"SELECT engine_full FROM system.tables WHERE database IN {holders} AND name = 'rollup'")
    return any("TTL" in engine for (engine,) in rows)

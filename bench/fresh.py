"""Creates the tables of a new database: `python -m bench.fresh URL`. A shared database is emptied first."""

from __future__ import annotations

import json
import sys

from rollups.clickhouse import ClickHouse
from rollups.migrations.migrate import migrate

_TABLES = ("rollup", "seen", "sources")


def make_fresh(db: ClickHouse) -> None:
    migrate(db)
    for table in _TABLES:
        db.command(f"TRUNCATE TABLE {table}")


if __name__ == "__main__":
    make_fresh(ClickHouse(sys.argv[1]))
    print(json.dumps("fresh"))

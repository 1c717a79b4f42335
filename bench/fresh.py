"""Makes the tables of a new database: `python -m bench.fresh URL`. A shared one is emptied first."""

from __future__ import annotations

import json
import sys

from rollups.clickhouse import Store
from rollups.migrations.migrate import migrate

_TABLES = ("rollup", "seen", "sources")


def make_fresh(store: Store) -> None:
    migrate(store)
    for table in _TABLES:
        store.command(f"TRUNCATE TABLE {table}")


if __name__ == "__main__":
    make_fresh(Store(sys.argv[1]))
    print(json.dumps("fresh"))

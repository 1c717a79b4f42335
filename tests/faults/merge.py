"""A merge under faults: `python -m tests.faults.merge URL SEED CLICKS`, over a fully applied world.

It prints `go?` and merges the rollups after a line of input. Exit status: 0 the audit finds them sound and every number
is right; 3 sound, but a number is wrong; 4 the audit finds them damaged.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from rollups.audit import audit
from rollups.clickhouse import ClickHouse, ClickHouseError
from tests.faults.world import World


def main() -> int:
    url, seed, clicks = sys.argv[1:]
    db, world = ClickHouse(url), World(int(seed), clicks=int(clicks))
    with suppress(ClickHouseError):
        db.query("SELECT 1")
    print("go?", flush=True)
    sys.stdin.readline()
    try:
        db.command("OPTIMIZE TABLE rollup FINAL")
    except ClickHouseError as error:
        print(error, file=sys.stderr)
    if audit(db).problems:
        return 4
    return 3 if world.differences(db) else 0


if __name__ == "__main__":
    sys.exit(main())

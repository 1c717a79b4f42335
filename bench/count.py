"""The counts of a database as JSON: `python -m bench.count URL`, separate as chDB opens one directory a process."""

from __future__ import annotations

import json
import sys
from typing import Any

from rollups.audit import audit
from rollups.clickhouse import ClickHouse


def counted(db: ClickHouse) -> dict[str, Any]:
    """Events by reason, clicks by grain, and the problems of the audit."""
    reasons = _by_name(db, "SELECT toString(reason), sum(events) FROM ledger GROUP BY reason")
    hourly = "grain IN ('link_hour', 'account_hour')"
    grains = _by_name(db, f"SELECT toString(grain), sum(clicks) FROM rollup WHERE {hourly} GROUP BY grain")
    [(version,)] = db.query("SELECT version()")
    return {
        "events": sum(reasons.values()),
        **{name: reasons.get(name, 0) for name in ("counted", "bot", "duplicate", "repeat")},
        "grains": grains,
        "audit": audit(db).problems,
        "version": version,
    }


def _by_name(db: ClickHouse, sql: str) -> dict[str, int]:
    return {name: number for name, number in db.query(sql)}  # noqa: C416


if __name__ == "__main__":
    print(json.dumps(counted(ClickHouse(sys.argv[1]))))

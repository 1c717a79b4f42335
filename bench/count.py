"""What a database has counted, as JSON: `python -m bench.count URL`. A process of its own, as chDB wants it."""

from __future__ import annotations

import json
import sys
from typing import Any

from rollups.audit import audit
from rollups.clickhouse import Store


def counted(store: Store) -> dict[str, Any]:
    """Events by reason, clicks of each grain, and what the audit has to say."""
    reasons = _by_name(store, "SELECT toString(reason), sum(events) FROM ledger GROUP BY reason")
    hourly = "grain IN ('link_hour', 'account_hour')"
    grains = _by_name(store, f"SELECT toString(grain), sum(clicks) FROM rollup WHERE {hourly} GROUP BY grain")
    [(version,)] = store.query("SELECT version()")
    return {
        "events": sum(reasons.values()),
        **{name: reasons.get(name, 0) for name in ("counted", "bot", "duplicate", "repeat")},
        "grains": grains,
        "audit": audit(store).problems,
        "version": version,
    }


def _by_name(store: Store, sql: str) -> dict[str, int]:
    return {name: number for name, number in store.query(sql)}  # noqa: C416


if __name__ == "__main__":
    print(json.dumps(counted(Store(sys.argv[1]))))

"""The upper limit: the engine alone loads the same events from a file of JSON lines through the same view.

`python -m bench.limit DIRECTORY FILE`. No Kafka, no Python, no user agents, no deduplication, no exactly-once:
one INSERT … SELECT of file(…, JSONEachRow) into `landing`, in as many threads and blocks as ClickHouse likes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from bench.fresh import make_fresh
from bench.processes import cpu_of, peak_rss_mb
from rollups.clickhouse import ClickHouse

_EPOCH = 1
_STRUCTURE = "event_id String, clicked_at UInt64, account_id UInt64, domain String, link_id String, visitor_id String"
# Passes the view's checks: markers are read once for the whole insert, and every row starts at the watermark.
_LOAD = f"""
INSERT INTO landing (source, partition, offset, epoch, expect, log_time, records, reason, verified, user, account_id,
    domain, link_id, link_day, link_hour)
SELECT 1, 0, 0, {_EPOCH}, 0, now64(3), 1, 'counted', true, sipHash64(visitor_id), account_id,
    concat('https://', domain), link_id, toDate(fromUnixTimestamp64Milli(clicked_at, 'UTC')),
    toHour(fromUnixTimestamp64Milli(clicked_at, 'UTC'))
FROM file({{path:String}}, 'JSONEachRow', '{_STRUCTURE}')
SETTINGS {{settings}}
"""
# The fastest of what was tried: more and fewer threads and insert threads, blocks of 65,000 to 2,000,000 rows,
# parallel views, parsing in one thread, two files at once. The view's aggregation is one thread's work.
SETTINGS = {
    "max_insert_threads": 2,
    "max_threads": 2,
    "min_insert_block_size_rows": 200_000,
    "min_insert_block_size_bytes": 0,
    "input_format_skip_unknown_fields": 1,
}


def load(db: ClickHouse, lines: Path) -> None:
    """Runs the insert. The markers must hold the fence of `prepare`."""
    settings = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
    db.command(_LOAD.replace("{settings}", settings), {"path": str(lines)})


def prepare(db: ClickHouse) -> None:
    make_fresh(db)
    db.insert("rollup", [("fence", 1, 0, _EPOCH)], ["grain", "source", "partition", "next"])


def timed(directory: Path, lines: Path) -> dict[str, float]:
    db = ClickHouse(f"chdb://{directory}/engine")
    prepare(db)
    before, started = cpu_of(os.getpid()), time.perf_counter()
    load(db, lines)
    seconds, used = time.perf_counter() - started, cpu_of(os.getpid()) - before
    [(events,)] = db.query("SELECT sum(events) FROM ledger")
    [(clicks,)] = db.query("SELECT sum(clicks) FROM rollup WHERE grain = 'link_hour'")
    db.close()
    return {
        "events": events,
        "clicks": clicks,
        "seconds": seconds,
        "cpu_seconds": used.seconds,
        "peak_rss_mb": peak_rss_mb(os.getpid()),
    }


if __name__ == "__main__":
    print(json.dumps(timed(Path(sys.argv[1]), Path(sys.argv[2]))))

"""The target of the peers: Clickmill's rollup table in an engine of their own process, without exactly-once.

Most of them insert six columns into a table whose plain view hashes users, cuts hours and groups: there are no markers
and no ledger. What inserts into `landing` goes through Clickmill's own view with its checks taken out. A click is
counted as often as it is delivered.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import clickhouse_connect
import crawleruseragents
from aiokafka import ConsumerRebalanceListener

from bench.processes import cpu_of, peak_rss_mb
from rollups.clickhouse import ClickHouse
from rollups.migrations.migrate import migrate, migrations, statements
from tests.faults.views import COMPARE, FENCE

BATCH = 20_000  # rows in one insert
SECONDS = 1.0  # or the rows of this time
COLUMNS = ["clicked_at", "visitor_id", "account_id", "domain", "link_id", "bot"]
LANDING = ["source", "partition", "offset", "log_time", "records", "reason", "user", "account_id", "domain", "link_id"]
LANDING += ["link_day", "link_hour"]

_TABLE = """
CREATE TABLE clicks_in
(
    clicked_at UInt64, visitor_id String, account_id UInt64, domain String, link_id String, bot Bool
)
ENGINE = Null
"""
_VIEW = """
CREATE MATERIALIZED VIEW clicks_in_mv TO rollup AS
SELECT
    grain,
    account_id AS owner,
    toDate(at) AS day,
    toHour(at) AS hour,
    if(grain = 'link_hour', domain, '') AS domain,
    if(grain = 'link_hour', link_id, '') AS link_id,
    countIf(NOT bot) AS clicks,
    countIf(bot) AS bots,
    uniqStateIf(sipHash64(visitor_id), NOT bot) AS users
FROM
(
    SELECT *, fromUnixTimestamp64Milli(clicked_at, 'UTC') AS at,
        arrayJoin(CAST(['link_hour', 'account_hour'] AS Array(Enum8('link_hour' = 4, 'account_hour' = 5)))) AS grain
    FROM clicks_in
)
GROUP BY grain, owner, day, hour, domain, link_id
"""


@lru_cache(65536)
def is_bot(user_agent: str) -> bool:
    return bool(crawleruseragents.is_crawler(user_agent))


def row_of(event: dict[str, Any]) -> tuple[Any, ...]:
    return (
        event["clicked_at"],
        event["visitor_id"],
        event["account_id"],
        event["domain"],
        event["link_id"],
        is_bot(event["user_agent"]),
    )


def unchecked_view() -> str:
    """Clickmill's view, without its comparison of epoch and watermark."""
    view = [sql for _, _, file in migrations() for sql in statements(file) if "rollup_mv MODIFY QUERY" in sql][-1]
    assert FENCE in view
    assert COMPARE in view
    return view.replace(COMPARE, "").replace(FENCE, "1")


@dataclass
class Target:
    """Inserts rows. After so many events it reports the cost since the assignment, or since the first event."""

    bootstrap: str
    wanted: int
    url: str
    group: str
    inserted: int = 0
    started: float = 0.0
    _used: Any = None
    client: Any = field(default=None)

    @classmethod
    def from_arguments(cls) -> Target:
        bootstrap, wanted, directory, group = sys.argv[1:5]
        target = cls(bootstrap, int(wanted), f"chdb://{directory}/engine", group)
        db = ClickHouse(target.url)
        migrate(db)
        db.close()
        target.client = clickhouse_connect.get_client(dsn=target.url)
        target.client.command(_TABLE)
        target.client.command(_VIEW)
        target.client.command(unchecked_view())
        return target

    def begin(self) -> None:
        """Starts the clock: at the assignment, or at the first event if a library does not report it."""
        if not self.started:
            self.started, self._used = time.perf_counter(), cpu_of(os.getpid())

    def insert(
        self, rows: list[tuple[Any, ...]], table: str = "clicks_in", columns: list[str] | tuple[str, ...] = COLUMNS
    ) -> None:
        self.client.insert(table, rows, column_names=columns)
        self.inserted += len(rows)
        if self.inserted >= self.wanted:
            self._report()

    def _report(self) -> None:
        """Prints the report and ends the process at once."""
        seconds, used = time.perf_counter() - self.started, cpu_of(os.getpid()) - self._used
        sums = "SELECT sum(clicks + bots), sum(bots) FROM rollup WHERE grain = 'link_hour'"
        [(events, bots)] = self.client.query(sums).result_rows
        peak = peak_rss_mb(os.getpid())
        answer = {"events": self.inserted, "seconds": seconds, "cpu_seconds": used.seconds, "peak_rss_mb": peak}
        # Faust takes `sys.stdout` over.
        print(json.dumps({**answer, "counted": int(events), "bots": int(bots)}), file=sys.__stdout__, flush=True)
        os._exit(0)


class Assigned(ConsumerRebalanceListener):  # type: ignore[misc]
    """Starts the clock of a loop over aiokafka."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Does nothing: there is no state of a partition."""

    def on_partitions_assigned(self, assigned: Any) -> None:
        self._target.begin()

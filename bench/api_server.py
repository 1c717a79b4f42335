"""The API over the embedded engine for `bench.parts.api`, as a separate process: chDB opens one directory a process.

It fills the rollups, serves, and reads commands as lines of JSON from standard input; each gets a line of JSON back.
`{"bare": NUMBER}` runs the SQL of a query straight through clickhouse-connect, `{"ingest": true}` starts inserts like a
worker's, `{"ingest": false}` ends them.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import clickhouse_connect

from api.access.keys import KeyRing
from api.app import create_app
from api.catalog.scopes import AccountScope, LinkScope
from api.clicks.parameters import ClicksQuery
from api.clicks.queries import read_page
from api.http.errors import StatisticsError
from api.statistics.queries import ClickCounts
from bench.data.api_data import (
    ADVERTISERS,
    LINK_DOMAIN,
    LINK_ID,
    NETWORKS,
    PUBLISHERS,
    build,
    build_catalog,
    link_domain,
    link_id,
)
from bench.data.events import ACCOUNTS, LINKS
from bench.load.api_questions import ACCOUNTS_ASKED, PUBLISHERS_ASKED, Question, questions
from deploy.processes.http_server import HttpServer
from deploy.settings import Settings
from rollups.clickhouse import ClickHouse, Row
from rollups.migrations.migrate import migrate

_BATCH_SECONDS = 0.1
_BATCH = f"""
INSERT INTO rollup (grain, owner, day, hour, domain, link_id, advertiser_id, network_id, clicks, users, next,
    as_of)
WITH toUInt64(exp(randCanonical(number) * log({LINKS}))) - 1 AS rank
SELECT
    ['link_hour', 'account_hour', 'affiliate_day', 'watermark'][1 + least(intDiv(number, 5000), 3)] AS grain,
    if(grain = 'affiliate_day', 1 + rank % {PUBLISHERS}, if(grain = 'watermark', 0, 1 + rank % {ACCOUNTS})),
    if(grain = 'watermark', toDate(0), today()),
    if(grain IN ('link_hour', 'account_hour'), toHour(now()), 0),
    if(grain = 'link_hour', {LINK_DOMAIN}, ''),
    if(grain = 'link_hour', {LINK_ID}, ''),
    if(grain = 'affiliate_day', 1 + intDiv(rank, 10) % {ADVERTISERS}, 0),
    if(grain = 'affiliate_day', 1 + rank % {NETWORKS}, 0),
    grain != 'watermark',
    arrayReduce('uniqState', if(grain IN ('link_hour', 'account_hour'), [cityHash64(rand64(number))], [])),
    if(grain = 'watermark', toUnixTimestamp64Milli(now64(3)), 0),
    now64(3)
FROM numbers(15001)
SETTINGS async_insert = 0
"""


class Recorder(ClickHouse):
    """Records the statement of a query function instead of running it."""

    def __init__(self) -> None:
        super().__init__("chdb:///nowhere")
        self.statement: tuple[str, dict[str, Any]] | None = None

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: dict[str, Any] | None = None
    ) -> Sequence[Row]:
        self.statement = self.statement or (sql, dict(parameters or {}))
        return []


def statement(question: Question) -> tuple[str, dict[str, Any]]:
    recorder = Recorder()
    if question.endpoint == "daily":
        read_page(
            recorder,
            ClicksQuery(start=question.first, end=question.last, publisher_id=question.owner, page=1, per_page=100),
        )
    elif question.link is None:
        ClickCounts(recorder).by_hour(question.owner, AccountScope(), question.last, question.last)
    else:
        scope = LinkScope(domain=link_domain(question.link), link_id=link_id(question.link))
        with suppress(StatisticsError):  # the recorder returns no rows, not even the link
            ClickCounts(recorder).by_hour(question.owner, scope, question.last, question.last)
    assert recorder.statement
    return recorder.statement


class Ingest:
    """Inserts clicks of today, like a worker at about 75,000 events a second."""

    def __init__(self, db: ClickHouse) -> None:
        self._db = db
        self._going = threading.Event()
        self.batches = 0
        threading.Thread(target=self._run, daemon=True).start()

    def switch(self, on: bool) -> None:
        (self._going.set if on else self._going.clear)()

    def _run(self) -> None:
        while True:
            self._going.wait()
            started = time.monotonic()
            self._db.command(_BATCH)
            self.batches += 1
            time.sleep(max(0.0, started + _BATCH_SECONDS - time.monotonic()))


def commands(db: ClickHouse) -> None:
    """Runs the commands of the standard input to its end."""
    asked, ingest = questions(), Ingest(db)
    client = clickhouse_connect.get_client(dsn=db.url)
    for line in sys.stdin:
        command = json.loads(line)
        if "ingest" in command:
            ingest.switch(command["ingest"])
            answer: dict[str, Any] = {"batches": ingest.batches}
        else:
            sql, parameters = statement(asked[command["bare"]])
            started = time.perf_counter()
            rows = client.query(sql, parameters).result_rows
            answer = {"milliseconds": (time.perf_counter() - started) * 1000, "rows": len(rows)}
        print(json.dumps(answer), flush=True)


async def main(directory: str, clicks: int) -> None:
    settings = Settings(
        clickhouse_url=f"chdb://{directory}", admin_key="admin key of the benchmarks", rate_limits="off"
    )
    db = ClickHouse(settings.clickhouse_url)
    migrate(db)
    build_catalog(db)
    seconds = build(db, clicks)
    db.command("INSERT INTO sources (source, topic, first_seen) VALUES (0, 'clicks', now64(3))")
    keys = KeyRing(db, settings)
    minted = {
        "account": [keys.create("account", account_id=owner)[1] for owner in ACCOUNTS_ASKED],
        "publisher": [keys.create("publisher", publisher_id=owner)[1] for owner in PUBLISHERS_ASKED],
    }
    [(rows, size)] = db.query(
        "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'rollup'"
    )
    server = HttpServer(create_app(db, settings, keys=keys), settings, "127.0.0.1", 0)
    serving = asyncio.ensure_future(server.listen())
    while not server.started:
        await asyncio.sleep(0.01)
    hello = {"port": server.port, "keys": minted, "build_seconds": seconds, "rows": rows, "bytes": size}
    print(json.dumps(hello), flush=True)
    await asyncio.to_thread(commands, db)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

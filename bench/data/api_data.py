"""Rollups of a given number of clicks for the API's benchmark, written straight into `rollup`.

Thirty days that end today, shaped as `data.events`: 20,000 links of 500 accounts, popular ones more often (Zipf), and
300,000 users, some with many clicks. One day is drawn by hour and link: clicks by the link's share of the traffic, a
user for each click, and `uniqState` of their hashes. An account's hour is the sum and the union over its links. That
day is written thirty times: rows, clicks and set sizes are realistic, but each hour has the same users every day.
20,000 placements (publisher, advertiser, network) of 500 publishers share the same traffic by day. A billion clicks are
33 million a day.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

from bench.data.events import ACCOUNTS, LINKS, USERS
from rollups.clickhouse import ClickHouse

DAYS = 30
PUBLISHERS = 500
ADVERTISERS = 2_000
NETWORKS = 20
DAYS_BY_PART = (10, 8, 6, 4, 2)  # sizes that ClickHouse does not merge meanwhile, as it would equal ones

# By rank, named as in `bench.data.events`.
LINK_DOMAIN = f"concat('https://go', toString(rank % {ACCOUNTS}), '.example')"
LINK_ID = f"concat('l', right(lower(hex(rank * 7919 % {0xFFFFF} + 16777216)), 5))"

_ONE_DAY = "CREATE OR REPLACE TABLE one_day ENGINE = MergeTree ORDER BY () AS SELECT * FROM rollup LIMIT 0"

_LINK_HOURS = f"""
INSERT INTO one_day (grain, owner, hour, domain, link_id, clicks, bots, users)
WITH
    intDiv(number, 24) AS rank,
    {{clicks:UInt64}} / 24 * log((rank + 2) / (rank + 1)) / log({LINKS}) AS expected,
    toUInt64(floor(expected + randCanonical(number))) AS drawn
SELECT
    'link_hour',
    1 + rank % {ACCOUNTS},
    number % 24,
    {LINK_DOMAIN},
    {LINK_ID},
    drawn,
    intDiv(drawn, 33),
    arrayReduce('uniqState', arrayMap(
        x -> cityHash64(toUInt64({USERS} * pow(cityHash64(number, x) / 18446744073709551616., 2))), range(drawn)
    ))
FROM numbers({LINKS} * 24)
WHERE drawn > 0
"""

_ACCOUNT_HOURS = """
INSERT INTO one_day (grain, owner, hour, clicks, bots, users)
SELECT 'account_hour', owner, hour, sum(clicks), sum(bots), uniqMergeState(users)
FROM one_day WHERE grain = 'link_hour' GROUP BY owner, hour
"""

_PLACEMENTS = f"""
INSERT INTO one_day (grain, owner, advertiser_id, network_id, clicks, bots)
WITH
    number AS rank,
    {{clicks:UInt64}} * log((rank + 2) / (rank + 1)) / log({LINKS}) AS expected,
    toUInt64(floor(expected + randCanonical())) AS drawn
SELECT
    'affiliate_day', 1 + rank % {PUBLISHERS}, 1 + intDiv(rank, 10) % {ADVERTISERS}, 1 + rank % {NETWORKS}, drawn,
    intDiv(drawn, 33)
FROM numbers({LINKS})
WHERE drawn > 0
"""

_COPY = """
INSERT INTO rollup (grain, owner, day, hour, domain, link_id, advertiser_id, network_id, clicks, bots, users)
SELECT grain, owner, {first:Date} + shift, hour, domain, link_id, advertiser_id, network_id, clicks, bots, users
FROM one_day ARRAY JOIN range({days:UInt64}) AS shift
SETTINGS max_threads = 1, max_insert_threads = 1,
    min_insert_block_size_rows = 100000000, min_insert_block_size_bytes = 0, optimize_on_insert = 0
"""


def link_domain(rank: int) -> str:
    return f"https://go{rank % ACCOUNTS}.example"


def link_id(rank: int) -> str:
    return f"l{rank * 7919 % 0xFFFFF:05x}"


def today() -> date:
    return datetime.now(UTC).date()


def first_day() -> date:
    return today() - timedelta(days=DAYS - 1)


def build(db: ClickHouse, clicks: int) -> float:
    """Fills `rollup` with about so many clicks. Returns the seconds."""
    started = time.perf_counter()
    a_day = {"clicks": clicks // DAYS}
    db.command("TRUNCATE TABLE rollup")
    db.command(_ONE_DAY)
    db.command(_LINK_HOURS, a_day)
    db.command(_ACCOUNT_HOURS)
    db.command(_PLACEMENTS, a_day)
    parts = [(first_day() + timedelta(sum(DAYS_BY_PART[:n])), days) for n, days in enumerate(DAYS_BY_PART)]
    with ThreadPoolExecutor(2) as copying:  # an insert sorts on one core
        list(copying.map(lambda part: db.command(_COPY, {"first": part[0], "days": part[1]}), parts))
    db.command("DROP TABLE one_day")
    return time.perf_counter() - started


def build_catalog(db: ClickHouse) -> None:
    """Names every id, puts accounts on the largest plan, and each link into one of ten groups of its account."""
    for sql in (
        "INSERT INTO accounts (account_id, name, plan, time_zone) "
        f"SELECT number + 1, concat('Account ', toString(number)), 'Enterprise', 'UTC' FROM numbers({ACCOUNTS})",
        "INSERT INTO links (account_id, domain, link_id, grp_idx) "
        f"SELECT 1 + rank % {ACCOUNTS}, {LINK_DOMAIN}, {LINK_ID}, 1 + rank % 10 "
        f"FROM (SELECT number AS rank FROM numbers({LINKS}))",
        "INSERT INTO publishers (publisher_id, name) "
        f"SELECT number + 1, concat('Publisher ', toString(number)) FROM numbers({PUBLISHERS})",
        "INSERT INTO advertisers (advertiser_id, name, slug) SELECT number + 1, "
        "concat('Advertiser ', toString(number)), concat('advertiser-', toString(number)) "
        f"FROM numbers({ADVERTISERS})",
        "INSERT INTO networks (network_id, name) "
        f"SELECT number + 1, concat('Network ', toString(number)) FROM numbers({NETWORKS})",
    ):
        db.command(sql)

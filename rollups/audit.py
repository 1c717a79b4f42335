"""The audit: whether the numbers in the rollups add up. One scan, so the result is consistent at any moment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

from rollups.clickhouse import ClickHouse
from rollups.migrations.migrate import has_retention

_ENGINE = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'rollup'"
_AS_OF = "SELECT source, partition, toUnixTimestamp64Milli(as_of) FROM watermarks"

_TROUBLES = """
SELECT source, partition, toString(state), why, toUnixTimestamp64Milli(since)
FROM partition_states FINAL WHERE state != 'ok' ORDER BY ALL
"""

_GROWTHS = """
SELECT source, partitions, toUnixTimestamp64Milli(min(noted_at)), toUnixTimestamp64Milli(max(unverified_until)) AS until
FROM topic_partitions GROUP BY source, partitions HAVING until > 0 ORDER BY ALL
"""

_MARKERS = """
SELECT source, partition, toString(reason), maxIf(next, grain = 'watermark'), sum(records), sum(events),
    sum(unverified)
FROM rollup WHERE grain IN ('watermark', 'ledger')
GROUP BY source, partition, reason
"""

_TOTALS = """
SELECT
    sumIf(linked, grain = 'ledger'), sumIf(clicks + bots, grain = 'link_hour'),
    sumIf(clicks + bots, grain = 'account_hour'),
    sumIf(placed, grain = 'ledger'), sumIf(clicks + bots, grain = 'affiliate_day'),
    sumIf(clicks, grain = 'link_hour'), sumIf(clicks, grain = 'account_hour')
FROM rollup WHERE grain NOT IN ('watermark', 'fence')
"""

_DAYS = """
SELECT toString(grain) AS kind, if(marker, source, 0), if(marker, partition, 0), if(marker, toDate(0), day),
    if(kind = 'ledger', toString(reason), ''), max(next), sum(clicks), sum(records), sum(events), sum(unverified)
FROM (SELECT *, grain IN ('watermark', 'ledger') AS marker FROM rollup)
WHERE marker OR (grain IN ('account_hour', 'affiliate_day') AND day BETWEEN {first:Date} AND {last:Date})
GROUP BY ALL
"""


@dataclass(slots=True)
class PartitionAccount:
    """What one partition of one source has read, by reason: `records` in offsets, `events` in clicks.

    `as_of_ms` is the time of the log up to which the partition was read.
    """

    source: int
    partition: int
    watermark: int = 0
    as_of_ms: int = 0
    unverified: int = 0
    records: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)

    @property
    def read(self) -> int:
        return sum(self.events.values())


@dataclass(slots=True)
class Trouble:
    """The last state that a worker reported for a partition, unless it was ok: failing, halted or late."""

    source: int
    partition: int
    state: str
    why: str
    since_ms: int


@dataclass(slots=True)
class Growth:
    """When more partitions were noticed, and until when clicks count as unverified."""

    source: int
    partitions: int
    noted_ms: int
    unverified_until_ms: int


@dataclass(slots=True)
class Audit:
    """`problems` are about the rollups alone. Troubles and growths cover all sources, past ones too."""

    partitions: list[PartitionAccount]
    problems: list[str]
    troubles: list[Trouble] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)


def audit(db: ClickHouse) -> Audit:
    """Accounts of all partitions of all sources, and what does not add up. Reads every byte of the rollups. Blocks."""
    if damaged := _part_problems(db):
        return Audit([], damaged)
    accounts: defaultdict[tuple[int, int], PartitionAccount] = defaultdict(lambda: PartitionAccount(0, 0))
    times = {(source, partition): at for source, partition, at in db.query(_AS_OF)}
    for source, partition, reason, watermark, records, events, unverified in db.query(_MARKERS):
        account = accounts[source, partition]
        account.source, account.partition = source, partition
        account.watermark = max(account.watermark, watermark)
        account.as_of_ms = max(0, times.get((source, partition), 0))
        account.unverified += unverified
        if records or events:
            account.records[reason], account.events[reason] = records, events
    partitions = [accounts[key] for key in sorted(accounts)]
    problems = [
        f"source {account.source}, partition {account.partition}: {sum(account.records.values())} records are "
        f"accounted for, the watermark is {account.watermark}"
        for account in partitions
        if sum(account.records.values()) != account.watermark
    ]
    return Audit(
        partitions,
        problems + _grain_problems(db),
        [Trouble(*row) for row in db.query(_TROUBLES)],
        [Growth(*row) for row in db.query(_GROWTHS)],
    )


def _part_problems(db: ClickHouse) -> list[str]:
    """Parts that do not match their checksums: chDB activates a merged part even if its disk failed.

    None are known of a Distributed table; replicas of its shards compare theirs as they copy and merge them.
    """
    if db.query(_ENGINE) == [("Distributed",)]:
        return []
    return [
        f"part {part} of rollup is damaged, docs/operations.md says how to get its rows back: {damage}"
        for part, damage in db.check("rollup").items()
    ]


def _grain_problems(db: ClickHouse) -> list[str]:
    """Differences between the grains, which hold the same clicks grouped in different ways."""
    [(linked, by_link, by_account, placed, by_day, link_clicks, account_clicks)] = db.query(_TOTALS)
    pairs = [("clicks by link and hour", link_clicks, "clicks by account and hour", account_clicks)]
    if not has_retention(db):
        pairs += [
            ("linked clicks and bots in the ledger", linked, "by link and hour", by_link),
            ("linked clicks and bots in the ledger", linked, "by account and hour", by_account),
            ("placed clicks and bots in the ledger", placed, "by affiliate and day", by_day),
        ]
    return [f"{one}: {left}, {other}: {right}" for one, left, other, right in pairs if left != right]


@dataclass(slots=True)
class Line:
    """The ledger of one partition and reason."""

    source: int
    partition: int
    reason: str
    records: int
    events: int
    unverified: int


@dataclass(slots=True)
class Days:
    """Clicks by day in the owners' zones, with the watermarks and the ledger at that moment."""

    links: dict[str, int] = field(default_factory=dict)
    placements: dict[str, int] = field(default_factory=dict)
    watermarks: list[tuple[int, int, int]] = field(default_factory=list)  # (source, partition, next offset)
    ledger: list[Line] = field(default_factory=list)


def clicks_by_day(db: ClickHouse, first: date, last: date) -> Days:
    """Days and watermarks from one scan, so that a recount of the log can stop at the same offsets. Blocks."""
    days = Days()
    rows = db.query(_DAYS, {"first": first, "last": last})
    for kind, source, partition, day, reason, watermark, clicks, *counts in rows:
        if kind == "watermark":
            days.watermarks.append((source, partition, watermark))
        elif kind == "ledger":
            days.ledger.append(Line(source, partition, reason, *counts))
        elif clicks:
            (days.links if kind == "account_hour" else days.placements)[day.isoformat()] = clicks
    return days

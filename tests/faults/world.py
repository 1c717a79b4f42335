"""A click log from a seed, and its expected counts: a model of a few dictionaries."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from rollups.clickhouse import ClickHouse
from tests.support.memory_log import LOG_TIME_MS, MemoryLog

Counts = Counter[tuple[Any, ...]]

_GRAINS = {
    "link": "SELECT account_id, domain, link_id, toString(day), hour, clicks FROM clicks_hourly",
    "account": "SELECT account_id, toString(day), hour, clicks FROM clicks_hourly_by_account",
    "affiliate": "SELECT publisher_id, advertiser_id, network_id, toString(day), clicks FROM clicks_daily",
    "users": "SELECT account_id, toString(day), hour, users FROM clicks_hourly_by_account",
    "reason": "SELECT toString(reason), sum(events) FROM ledger GROUP BY reason",
}


class World:
    """Partitions of clicks: 1 % sent two or three times, some repeats, bots and garbage, over a few links and days."""

    def __init__(self, seed: int, partitions: int = 3, clicks: int = 600) -> None:
        dice = random.Random(seed)
        self.log = MemoryLog({partition: [] for partition in range(partitions)})
        sent: list[tuple[int, dict[str, object]]] = []
        for number in range(clicks):
            partition, event = _event(dice, number, partitions)
            self.log.append(partition, b"{" if dice.random() < 0.01 else event, at=LOG_TIME_MS + number * 100)
            if dice.random() < 0.01:
                sent += [(partition, event)] * dice.choice([1, 2])
            if sent and dice.random() < 0.02:
                self.log.append(*sent.pop(dice.randrange(len(sent))), at=LOG_TIME_MS + number * 100)

    def differences(self, db: ClickHouse) -> list[str]:
        """Every wrong number of every grain."""
        return differences(truth(self.log), served_counts(db))


def differences(expected: Counts, served: Counts) -> list[str]:
    return [
        f"{key}: {served[key]}, not {expected[key]}"
        for key in sorted(expected.keys() | served.keys(), key=str)
        if served[key] != expected[key]
    ]


def truth(log: MemoryLog, upto: dict[int, int] | None = None) -> Counts:
    """The expected counts of the log, or of each partition's records before an offset."""
    counts: Counts = Counter()
    known: set[tuple[Any, ...]] = set()
    users: set[tuple[Any, ...]] = set()
    for partition, records in log.partitions.items():
        for record in records[: upto[partition] if upto else None]:
            reason, event = _judge(partition, record.value or b"", known)
            counts["reason", reason] += 1
            if reason != "counted":
                continue
            at = datetime.fromtimestamp(event["clicked_at"] / 1000, UTC)
            day, hour = at.date().isoformat(), at.hour
            counts["link", event["account_id"], "https://d.e", event["link_id"], day, hour] += 1
            counts["account", event["account_id"], day, hour] += 1
            counts["affiliate", event["publisher_id"], 2, 3, day] += 1
            users.add((event["account_id"], day, hour, event["visitor_id"]))
    counts.update(("users", *user[:3]) for user in users)
    return counts


def served_counts(db: ClickHouse) -> Counts:
    counts: Counts = Counter()
    for grain, sql in _GRAINS.items():
        counts.update({(grain, *key): count for *key, count in db.query(sql) if count})
    return counts


def _event(dice: random.Random, number: int, partitions: int) -> tuple[int, dict[str, object]]:
    visitor, link = dice.randrange(80), dice.randrange(12)
    event: dict[str, object] = {
        "event_id": f"e{number}",
        "clicked_at": LOG_TIME_MS - dice.randrange(3) * 86_400_000 + dice.randrange(2_000) * 1000,
        "account_id": link % 3 + 1,
        "domain": "d.e",
        "link_id": f"l{link}",
        "publisher_id": link % 2 + 1,
        "advertiser_id": 2,
        "network_id": 3,
        "visitor_id": f"v{visitor}",
    }
    if dice.random() < 0.03:
        event["method"] = "HEAD"
    return visitor % partitions, event


def _judge(partition: int, value: bytes, known: set[tuple[Any, ...]]) -> tuple[str, dict[str, Any]]:
    if value == b"{":
        return "invalid", {}
    event = json.loads(value)
    if (partition, event["event_id"]) in known:
        return "duplicate", event
    known.add((partition, event["event_id"]))
    if "method" in event:
        return "prefetch", event
    repeat = (event["visitor_id"], event["account_id"], event["link_id"], event["clicked_at"] // 5000)
    if repeat in known:
        return "repeat", event
    known.add(repeat)
    return "counted", event

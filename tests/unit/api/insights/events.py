"""Events of an account and a publisher, as rows of the rollup, and a model that counts them one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from rollups.clickhouse import ClickHouse
from rollups.model import REPEATED
from tests.support.seed import DOMAIN

_HOURLY = """
INSERT INTO rollup (grain, owner, day, hour, domain, link_id, clicks, bots, users)
SELECT each, {account:UInt64}, toDate(row.1), toUInt8(row.2), if(each = 'link_hour', {domain:String}, ''),
    if(each = 'link_hour', row.3, ''), countIf(row.4 > 0), countIf(row.4 = 0), uniqStateIf(row.4, row.4 > 0)
FROM (SELECT arrayJoin({rows:Array(Tuple(String, UInt64, String, UInt64))}) AS row,
    arrayJoin(['link_hour', 'account_hour']) AS each)
GROUP BY each, row.1, row.2, row.3
"""
_DAILY = """
INSERT INTO rollup (grain, owner, day, advertiser_id, network_id, clicks, bots)
SELECT 'affiliate_day', {publisher:UInt64}, toDate(row.1), row.2, row.3, countIf(row.4 > 0), countIf(row.4 = 0)
FROM (SELECT arrayJoin({rows:Array(Tuple(String, UInt64, UInt64, UInt64))}) AS row)
GROUP BY row.1, row.2, row.3
"""


@dataclass(frozen=True)
class Event:
    """`user` 0 is a bot. Link and group go with an account; advertiser and network with a publisher."""

    at: float
    user: int
    link: str = "a"
    advertiser: int = 1
    network: int = 1


def insert_account(db: ClickHouse, account: int, zone: str, events: Iterable[Event]) -> None:
    rows = [(*_day_hour(event, zone), event.link, event.user) for event in events]
    db.command(_HOURLY, {"account": account, "domain": DOMAIN, "rows": rows})


def insert_publisher(db: ClickHouse, publisher: int, zone: str, events: Iterable[Event]) -> None:
    rows = [(f"{_local(event, zone):%Y-%m-%d}", event.advertiser, event.network, event.user) for event in events]
    db.command(_DAILY, {"publisher": publisher, "rows": rows})


def counted(events: Iterable[Event], start: str, end: str) -> tuple[int, int, int]:
    """Clicks, users and bots from one time to another, as ISO 8601."""
    first, last = (datetime.fromisoformat(text).timestamp() for text in (start, end))
    inside: Sequence[Event] = [event for event in events if first <= event.at < last]
    users = [event.user for event in inside if event.user]
    return len(users), len(set(users)), len(inside) - len(users)


def _day_hour(event: Event, zone: str) -> tuple[str, int]:
    local = _local(event, zone)
    return f"{local:%Y-%m-%d}", local.hour + local.fold * REPEATED


def _local(event: Event, zone: str) -> datetime:
    return datetime.fromtimestamp(event.at, ZoneInfo(zone))

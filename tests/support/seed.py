"""Rollup rows as a worker writes them, and a client with a key of each role."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.access.keys import KeyRing
from api.app import create_app
from api.catalog.catalog import Catalog
from api.catalog.entries import CatalogUpload
from deploy.settings import Settings
from rollups.clickhouse import ClickHouse

ADMIN_KEY = "root-of-the-tests"
UNKNOWN_KEY = f"cm_{'u' * 43}"  # well formed
PUBLISHER = 45
ACCOUNT = 7
DOMAIN = "https://vvd.bz"


class Away(ClickHouse):
    """A database that is down: the real driver and a closed port."""

    def __init__(self) -> None:
        super().__init__("clickhouse://127.0.0.1:1/none")


@contextmanager
def away(db: ClickHouse) -> Iterator[None]:
    """Inside the block the database is down for all holders of this client."""
    with pytest.MonkeyPatch.context() as patch:
        for call in ("query", "command", "insert"):
            patch.setattr(db, call, getattr(Away(), call))
        yield


@dataclass(frozen=True)
class Daily:
    """One row of grain affiliate_day."""

    day: str
    clicks: int = 1
    bots: int = 0
    publisher: int = PUBLISHER
    advertiser: int = 1
    network: int = 1


@dataclass(frozen=True)
class Hourly:
    """One row of grain link_hour, or of account_hour where `link` is empty."""

    day: str
    hour: int
    clicks: int = 1
    users: Iterable[int] = ()
    link: str = "abc"
    bots: int = 0
    account: int = ACCOUNT
    domain: str = DOMAIN


def insert_daily(db: ClickHouse, rows: Iterable[Daily]) -> None:
    for row in rows:
        db.command(
            "INSERT INTO rollup (grain, owner, day, advertiser_id, network_id, clicks, bots) "
            "SELECT 'affiliate_day', {publisher:UInt64}, {day:Date}, "
            "{advertiser:UInt64}, {network:UInt64}, {clicks:UInt64}, {bots:UInt64}",
            vars(row),
        )


def insert_hourly(db: ClickHouse, rows: Iterable[Hourly]) -> None:
    for row in rows:
        db.command(
            "INSERT INTO rollup (grain, owner, day, hour, domain, link_id, clicks, bots, users) "
            "SELECT {grain:String}, {account:UInt64}, {day:Date}, {hour:UInt8}, {domain:String}, "
            "{link:String}, {clicks:UInt64}, {bots:UInt64}, arrayReduce('uniqState', {users:Array(UInt64)})",
            {
                **vars(row),
                "users": list(row.users),
                "grain": "link_hour" if row.link else "account_hour",
                "domain": row.domain if row.link else "",
            },
        )


def insert_watermark(db: ClickHouse, source: int, partition: int, as_of: str) -> None:
    db.command(
        "INSERT INTO rollup (grain, source, partition, next, as_of) "
        "SELECT 'watermark', {source:UInt32}, {partition:UInt16}, 1, {as_of:DateTime64(3)}",
        {"source": source, "partition": partition, "as_of": as_of},
    )


def insert_source(db: ClickHouse, source: int, first_seen: str, topic: str = "clicks") -> None:
    db.command(
        "INSERT INTO sources (source, topic, first_seen) "
        "SELECT {source:UInt32}, {topic:String}, {first_seen:DateTime64(3)}",
        {"source": source, "topic": topic, "first_seen": first_seen},
    )


def upsert(db: ClickHouse, **tables: list[dict[str, Any]]) -> dict[str, int]:
    return Catalog(db).upsert(CatalogUpload.model_validate(tables))


def account_on(db: ClickHouse, plan: str, time_zone: str = "UTC", account_id: int = ACCOUNT) -> None:
    upsert(db, accounts=[{"account_id": account_id, "plan": plan, "time_zone": time_zone}])


@dataclass
class Callers:
    """A test client and a key for each role: `account` belongs to ACCOUNT, `publisher` to PUBLISHER."""

    client: TestClient
    keys: dict[str, str] = field(default_factory=dict)

    def clicks(self, role: str = "publisher", **parameters: Any) -> Any:
        """GET /api/v1/clicks, by default over March 2026; None omits a parameter."""
        chosen = {"start_date": "2026-03-01", "end_date": "2026-03-31", **parameters}
        query = {name: value for name, value in chosen.items() if value is not None}
        return self.client.get("/api/v1/clicks", params=query, headers={"X-Api-Key": self.keys[role]})

    def hourly(self, role: str = "account", **parameters: Any) -> Any:
        """GET /api/statistics/v2/clicks-by-hour, by default of 2026-03-31; None omits a parameter."""
        chosen = {"ymd": "2026-03-31", **parameters}
        query = {name: value for name, value in chosen.items() if value is not None}
        return self.shortener("/api/statistics/v2/clicks-by-hour", role, **query)

    def shortener(self, path: str, role: str = "account", **parameters: Any) -> Any:
        """GET of any endpoint of the link shortener; a list repeats a parameter."""
        return self.client.get(path, params=parameters, headers={"Authorization": f"APIKey {self.keys[role]}"})

    def admin(self, method: str, path: str, body: Any = None, role: str = "admin") -> Any:
        headers = {"X-Api-Key": self.keys[role], "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        return self.client.request(method, f"/admin{path}", content=content, headers=headers)


def callers(db: ClickHouse, clock: Callable[[], float] | None = None, **settings: Any) -> Callers:
    """The application over ClickHouse, and a key of every role."""
    chosen = Settings(**{"admin_key": ADMIN_KEY, **settings})
    ring = KeyRing(db, chosen)
    keys = {
        "settings": ADMIN_KEY,
        "unknown": UNKNOWN_KEY,
        "admin": ring.create("admin")[1],
        "publisher": ring.create("publisher", publisher_id=PUBLISHER)[1],
        "account": ring.create("account", account_id=ACCOUNT)[1],
        "ingest": ring.create("ingest")[1],
    }
    # Without a clock of the test, so much time passes between two requests that no response comes from a cache.
    clock = clock or itertools.count(0, 1000).__next__
    client = TestClient(create_app(db, chosen, keys=ring, clock=clock), raise_server_exceptions=False)
    return Callers(client, keys)

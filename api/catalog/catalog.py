"""The catalogue: names, plans and zones of accounts, links, groups, publishers, advertisers and networks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.access.plans import DEFAULT_PLAN, Plan, Plans, plan_name
from api.catalog.groups_write import write_groups
from api.catalog.newest import write_newest
from ingest.event import MAX_ID, MAX_LINK_ID, normal_domain
from rollups.clickhouse import ClickHouse

MEMORY = 200_000  # names


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "Factory"})


def _known_plan(name: str) -> str:
    if plan := plan_name(name):
        return plan
    raise ValueError(f"{name!r} is not a plan")


def _known_zone(name: str) -> str:
    if name in _zones():
        return name
    raise ValueError(f"{name!r} is not an IANA time zone")


def _valid_domain(text: str) -> str:
    if domain := normal_domain(_encodable(text)):
        return domain
    raise ValueError(f"{text!r} is not a domain, with or without a scheme")


def _encodable(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text holds half of a surrogate pair, which is no character")
    return text


Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]
Text = Annotated[str, AfterValidator(_encodable)]
PlanName = Annotated[str, AfterValidator(_known_plan)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Domain = Annotated[str, AfterValidator(_valid_domain)]


class Entry(BaseModel):
    """One row of a catalogue table; the whole row is replaced, so a missing field means its default."""

    model_config = ConfigDict(extra="forbid")
    identity: ClassVar[tuple[str, ...]]


class AccountEntry(Entry):
    identity = ("account_id",)
    account_id: Id
    name: Text = ""
    plan: PlanName
    time_zone: Zone = "UTC"


class LinkEntry(Entry):
    """A link, and the group it is in now; 0 is none."""

    identity = ("account_id", "domain", "link_id")
    account_id: Id
    domain: Domain
    link_id: Annotated[Text, Field(min_length=1, max_length=MAX_LINK_ID)]
    grp_idx: Annotated[int, Field(strict=True, ge=0, le=MAX_ID)] = 0


class GroupEntry(Entry):
    identity = ("account_id", "grp_idx")
    account_id: Id
    grp_idx: Id
    name: Text
    memo: Text = ""


class PublisherEntry(Entry):
    identity = ("publisher_id",)
    publisher_id: Id
    name: Text
    time_zone: Zone = "UTC"


class AdvertiserEntry(Entry):
    identity = ("advertiser_id",)
    advertiser_id: Id
    name: Text
    slug: Text


class NetworkEntry(Entry):
    identity = ("network_id",)
    network_id: Id
    name: Text


class CatalogUpload(BaseModel):
    """Entries to add or replace, table by table; a table or entry that is not named stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "publishers": [{"publisher_id": 45, "name": "Example Publisher", "time_zone": "Europe/Berlin"}],
                    "accounts": [{"account_id": 7, "plan": "Business", "time_zone": "Asia/Seoul"}],
                }
            ]
        },
    )

    accounts: list[AccountEntry] = []
    links: list[LinkEntry] = []
    groups: list[GroupEntry] = []
    publishers: list[PublisherEntry] = []
    advertisers: list[AdvertiserEntry] = []
    networks: list[NetworkEntry] = []


@dataclass(frozen=True, slots=True)
class Account:
    plan: Plan
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Names:
    """Names by id, for the ids of one page; an id without an entry is missing."""

    publishers: dict[int, str]
    advertisers: dict[int, tuple[str, str]]
    networks: dict[int, str]


class Catalog:
    """Reads and writes the catalogue tables. Every call may block on ClickHouse."""

    def __init__(self, db: ClickHouse, plans: Plans | None = None, reader: ClickHouse | None = None) -> None:
        self._db = db
        self._reader = reader or db
        self._plans = plans or Plans()
        self._names: dict[tuple[str, int], tuple[str, str] | None] = {}

    def forget(self) -> None:
        """Names are read anew. What is being read now goes to the memory that nobody will ask any more."""
        self._names = {}

    def upsert(self, upload: CatalogUpload) -> dict[str, int]:
        """Writes every entry, the last of an identity winning; returns how many were written, by table.

        A failure half-way leaves some tables written; the same upload again completes them.
        """
        tables: dict[str, list[Entry]] = {name: getattr(upload, name) for name in CatalogUpload.model_fields}
        return {name: self._write(name, entries) for name, entries in tables.items()}

    def _write(self, table: str, entries: list[Entry]) -> int:
        rows = {
            tuple(values[part] for part in entry.identity): values
            for entry in entries
            for values in [entry.model_dump()]
        }
        if table == "groups":
            write_groups(self._db, list(rows.values()))
        elif entries:
            write_newest(self._db, table, entries[0].identity, rows.values())
        return len(rows)

    def account(self, account_id: int) -> Account:
        """Plan and zone of an account; one that has no entry is on `DEFAULT_PLAN` (Personal) and in UTC."""
        rows = self._reader.query(
            "SELECT plan, time_zone FROM accounts FINAL WHERE account_id = {account:UInt64}",
            {"account": account_id},
        )
        plan, zone = rows[0] if rows else (DEFAULT_PLAN, "UTC")
        return Account(self._plans.named(plan), ZoneInfo(zone))

    def names(self, publishers: Iterable[int], advertisers: Iterable[int], networks: Iterable[int]) -> Names:
        known = self._names
        asked = {"publisher": set(publishers), "advertiser": set(advertisers), "network": set(networks)}
        missing = {table: [key for key in keys if (table, key) not in known] for table, keys in asked.items()}
        if any(missing.values()):
            if len(known) > MEMORY:
                known = self._names = {}
                missing = {table: list(keys) for table, keys in asked.items()}
            known.update(self._read_names(missing))
        found = {table: {key: known[table, key] for key in keys} for table, keys in asked.items()}
        return Names(
            publishers={key: pair[0] for key, pair in found["publisher"].items() if pair},
            advertisers={key: pair for key, pair in found["advertiser"].items() if pair},
            networks={key: pair[0] for key, pair in found["network"].items() if pair},
        )

    def _read_names(self, ids: dict[str, list[int]]) -> dict[tuple[str, int], tuple[str, str] | None]:
        """The names of these ids, None for an id without an entry."""
        rows = self._reader.query(
            "SELECT 'publisher', publisher_id, name, '' FROM publishers FINAL "
            "WHERE publisher_id IN {publisher:Array(UInt64)} "
            "UNION ALL SELECT 'advertiser', advertiser_id, name, slug FROM advertisers FINAL "
            "WHERE advertiser_id IN {advertiser:Array(UInt64)} "
            "UNION ALL SELECT 'network', network_id, name, '' FROM networks FINAL "
            "WHERE network_id IN {network:Array(UInt64)}",
            ids,
        )
        absent = dict.fromkeys((table, key) for table, keys in ids.items() for key in keys)
        return {**absent, **{(table, key): (name, slug) for table, key, name, slug in rows}}

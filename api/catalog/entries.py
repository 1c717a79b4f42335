"""Entries of a catalogue upload, a class for each table."""

from __future__ import annotations

from functools import cache
from typing import Annotated, ClassVar
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.access.plans import plan_name
from ingest.event import MAX_ID, MAX_LINK_ID, normal_domain


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

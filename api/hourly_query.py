"""What a request for hourly statistics asks for, within its plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from api.dates import parse_day
from api.errors import StatisticsCode, StatisticsError
from api.parameters import described, parse_integer
from api.plans import Plan
from ingest.event import MAX_ID, normal_domain


@dataclass(frozen=True, slots=True)
class LinkScope:
    domain: str
    link_id: str


@dataclass(frozen=True, slots=True)
class GroupScope:
    grp_idx: int


@dataclass(frozen=True, slots=True)
class AccountScope:
    pass


Scope = LinkScope | GroupScope | AccountScope


@dataclass(frozen=True, slots=True)
class HourlyQuery:
    day: date
    scope: Scope
    fill: bool


def parse_hourly_query(parameters: Mapping[str, str], plan: Plan) -> HourlyQuery:
    """The request, if the plan allows it. Parameters that are not known are ignored."""
    if not plan.statistics:
        raise StatisticsError(StatisticsCode.PLAN, f"The {plan.name} plan has no statistics.")
    day = parse_day(parameters.get("ymd"))
    if day is None:
        raise StatisticsError(StatisticsCode.PARAMETER, "ymd must be a date written as YYYY-MM-DD.")
    return HourlyQuery(day, parse_scope(parameters, plan), fill=parameters.get("fill") == "1")


def parse_scope(parameters: Mapping[str, str], plan: Plan) -> Scope:
    """A link before a group before the whole account. What is given but empty is incomplete, not left out."""
    link_id, domain, group = parameters.get("linkId"), parameters.get("domain"), parameters.get("grpIdx")
    if link_id is not None or domain is not None or not plan.whole_account:
        return _link(link_id, domain)
    return AccountScope() if group is None else _group(group)


def unknown(what: str) -> StatisticsError:
    """One answer for what does not exist and for what belongs to somebody else."""
    return StatisticsError(StatisticsCode.UNKNOWN, f"There is no such {what} in this account.")


def _link(link_id: str | None, domain: str | None) -> LinkScope:
    if not link_id or not domain:
        raise StatisticsError(StatisticsCode.LINK_INCOMPLETE, "linkId and domain are both required.")
    normal = normal_domain(domain)
    if normal is None:
        raise StatisticsError(StatisticsCode.PARAMETER, "domain must be a domain, such as https://vvd.bz.")
    return LinkScope(normal, link_id)


def _group(text: str) -> GroupScope:
    number = parse_integer(text)
    if number is None:
        raise StatisticsError(StatisticsCode.PARAMETER, "grpIdx must be an integer.")
    if not 1 <= number <= MAX_ID:
        raise unknown("group")
    return GroupScope(number)


PARAMETERS = [
    described("ymd", {"type": "string", "format": "date"}, "Day in the account's time zone.", required=True),
    described("linkId", {"type": "string"}, "Link, case-sensitive; needs domain. Personal plan: required."),
    described("domain", {"type": "string"}, "Domain of the link, such as https://vvd.bz."),
    described("grpIdx", {"type": "integer"}, "All links that are in this group now. Premium and up."),
    described("fill", {"type": "string", "enum": ["1"]}, "List every hour of the day, clicks or not."),
]

"""Parses the parameters of insights. Pure functions; all raise BadRequest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, TypeVar, get_args

from starlette.datastructures import QueryParams

from api.catalog.scopes import AccountScope, GroupScope, LinkScope, Scope
from api.dates import FIRST_DAY, LAST_DAY, parse_day
from api.http.errors import BadRequest
from api.http.parameters import parse_integer, query_parameter
from api.insights.buckets import Comparison, Interval
from api.query.change_detection import ClickOwner
from ingest.event import MAX_ID, MAX_LINK_ID, normal_domain

MAX_DAYS = 400
MAX_TOP, DEFAULT_TOP = 200, 10

Order = Literal["clicks", "gain", "loss"]
Dimension = Literal["link", "group", "advertiser", "network", "publisher"]
OF_ACCOUNTS: tuple[Dimension, ...] = ("link", "group")
OF_PUBLISHERS: tuple[Dimension, ...] = ("advertiser", "network", "publisher")

Choice = TypeVar("Choice", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Whose clicks, and which of them, over local days, both inclusive. No owner: those of all publishers."""

    owner: ClickOwner | None
    first: date
    last: date
    scope: Scope
    advertiser_id: int | None = None
    network_id: int | None = None

    @property
    def account_id(self) -> int | None:
        return self.owner.id if self.owner and self.owner.grain == "account_hour" else None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def parse_selection(query: QueryParams, owner: ClickOwner | None) -> Selection:
    first, last = _day(query, "from"), _day(query, "to")
    if last < first:
        raise BadRequest("to must not be before from.", field="to")
    if (last - first).days + 1 > MAX_DAYS:
        raise BadRequest(f"The range may hold at most {MAX_DAYS} days, both ends included.", field="to")
    if owner and owner.grain == "account_hour":
        _refuse(query, ("advertiser_id", "network_id"), "the clicks of a publisher")
        return Selection(owner=owner, first=first, last=last, scope=_scope(query))
    _refuse(query, ("linkId", "domain", "grpIdx"), "the clicks of an account")
    return Selection(
        owner=owner,
        first=first,
        last=last,
        scope=AccountScope(),
        advertiser_id=_id(query, "advertiser_id"),
        network_id=_id(query, "network_id"),
    )


def parse_interval(query: QueryParams, selection: Selection) -> Interval:
    interval: Interval = _choice(query, "interval", get_args(Interval), "day")
    if interval == "hour" and selection.account_id is None:
        raise BadRequest(
            "interval must be day, week or month: clicks of publishers are counted by day.", field="interval"
        )
    return interval


def parse_comparison(query: QueryParams) -> Comparison | None:
    return None if _one(query, "compare") is None else _choice(query, "compare", get_args(Comparison), "previous")


def parse_dimension(query: QueryParams, selection: Selection) -> Dimension:
    dimensions = OF_PUBLISHERS if selection.account_id is None else OF_ACCOUNTS
    given = _one(query, "by")
    found = next((dimension for dimension in dimensions if dimension == given), None)
    if found is None:
        whose = "a publisher" if selection.account_id is None else "an account"
        raise BadRequest(f"by must be one of {', '.join(dimensions)} for the clicks of {whose}.", field="by")
    return found


def parse_order(query: QueryParams) -> Order:
    return _choice(query, "order", get_args(Order), "clicks")


def parse_limit(query: QueryParams) -> int:
    text = _one(query, "limit")
    limit = DEFAULT_TOP if text is None else parse_integer(text)
    if limit is None or not 1 <= limit <= MAX_TOP:
        raise BadRequest(f"limit must be an integer from 1 to {MAX_TOP}.", field="limit")
    return limit


def _scope(query: QueryParams) -> Scope:
    """A link if one is given, else a group, else the whole account."""
    link_id, domain, group = _one(query, "linkId"), _one(query, "domain"), _id(query, "grpIdx")
    if link_id is None and domain is None:
        return AccountScope() if group is None else GroupScope(group)
    if not link_id or not domain:
        missing = "domain" if link_id else "linkId"
        raise BadRequest("linkId and domain name a link together.", field=missing)
    if len(link_id) > MAX_LINK_ID:
        raise BadRequest(f"linkId must have at most {MAX_LINK_ID} characters.", field="linkId")
    normal = normal_domain(domain)
    if normal is None:
        raise BadRequest("domain must be a domain, such as https://vvd.bz.", field="domain")
    return LinkScope(domain=normal, link_id=link_id)


def _one(query: QueryParams, name: str) -> str | None:
    values = query.getlist(name)
    if len(values) > 1:
        raise BadRequest(f"{name} is given {len(values)} times; give it once.", field=name)
    return values[0] if values else None


def _day(query: QueryParams, name: str) -> date:
    day = parse_day(_one(query, name))
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise BadRequest(f"{name} must be a date from {FIRST_DAY} to {LAST_DAY}, as YYYY-MM-DD.", field=name)
    return day


def _id(query: QueryParams, name: str) -> int | None:
    text = _one(query, name)
    number = None if text is None else parse_integer(text)
    if text is not None and (number is None or not 1 <= number <= MAX_ID):
        raise BadRequest(f"{name} must be an integer from 1 to {MAX_ID}.", field=name)
    return number


def _choice(query: QueryParams, name: str, choices: tuple[Choice, ...], default: Choice) -> Choice:
    given = _one(query, name)
    if given is None:
        return default
    for choice in choices:
        if choice == given:
            return choice
    raise BadRequest(f"{name} must be one of {', '.join(choices)}.", field=name)


def _refuse(query: QueryParams, names: tuple[str, ...], whose: str) -> None:
    for name in names:
        if name in query:
            raise BadRequest(f"{name} is for {whose} only.", field=name)


_DATE = {"type": "string", "format": "date", "examples": ["2026-03-31"]}
_ID = {"type": "integer", "minimum": 1, "maximum": MAX_ID}


def _chosen(choices: tuple[str, ...], default: str | None = None) -> dict[str, Any]:
    return {"type": "string", "enum": list(choices), **({} if default is None else {"default": default})}


SELECTION = [
    query_parameter("from", _DATE, "First day, in the time zone of the account or publisher.", required=True),
    query_parameter("to", _DATE, f"Last day, included; at most {MAX_DAYS} days in all.", required=True),
    query_parameter("account_id", _ID, "Admins: the clicks of this account."),
    query_parameter("publisher_id", _ID, "Admins: the clicks of this publisher; by default those of all publishers."),
    query_parameter(
        "linkId",
        {"type": "string", "minLength": 1, "maxLength": MAX_LINK_ID, "examples": ["hello"]},
        "Accounts: this link only, case-sensitive; needs domain.",
    ),
    query_parameter(
        "domain", {"type": "string", "minLength": 1, "examples": ["https://vvd.bz"]}, "Accounts: the domain of linkId."
    ),
    query_parameter("grpIdx", _ID, "Accounts: links that are in this group now; ignored where a link is given."),
    query_parameter("advertiser_id", _ID, "Publishers: the clicks of this advertiser only."),
    query_parameter("network_id", _ID, "Publishers: the clicks of this network only."),
]
SERIES = [
    *SELECTION,
    query_parameter("interval", _chosen(get_args(Interval), "day"), "Length of a bucket; `hour` for accounts only."),
    query_parameter(
        "compare",
        _chosen(get_args(Comparison)),
        "Also the period of equal length before (`previous`), the same weekdays before (`weekday`), or the same dates "
        "of the year before (`year`). A range that has not ended is cut at the same hour in both.",
    ),
]
TOP = [
    query_parameter(
        "by", _chosen(get_args(Dimension)), "`link` or `group` for accounts, the others for publishers.", required=True
    ),
    *SELECTION,
    query_parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": DEFAULT_TOP}, "Rows."),
    query_parameter(
        "order",
        _chosen(get_args(Order), "clicks"),
        "Most `clicks`, largest `gain` or largest `loss` of clicks against the period of equal length before.",
    ),
]

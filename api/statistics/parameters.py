"""Parses the query parameters of statistics within the plan of the account. Pure functions.

All raise StatisticsError. An empty value is an error, except of `fill` and `nm`, and so is a parameter given twice: a
mistake must not select other data. Unknown parameters are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from starlette.datastructures import QueryParams

from api.access.plans import Plan
from api.catalog.scopes import AccountScope, GroupScope, LinkScope, Scope
from api.dates import parse_day
from api.http.errors import StatisticsCode, StatisticsError
from api.http.parameters import parse_integer, query_parameter
from ingest.event import MAX_ID, MAX_LINK_ID, normal_domain

MAX_PAGE = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Days:
    """Local days, both inclusive."""

    first: date
    last: date

    def all(self) -> list[date]:
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


def single_value(parameters: QueryParams, name: str) -> str | None:
    values = parameters.getlist(name)
    if len(values) > 1:
        raise invalid_parameter(f"{name} is given {len(values)} times; give it once.")
    return values[0] if values else None


def parse_ymd(parameters: QueryParams, name: str = "ymd") -> date:
    day = parse_day(single_value(parameters, name))
    if day is None:
        raise invalid_parameter(f"{name} must be a date written as YYYY-MM-DD.")
    return day


def parse_days(parameters: QueryParams, plan: Plan) -> Days:
    """`startYmd` to `endYmd`, no longer than the plan allows."""
    first, last = parse_ymd(parameters, "startYmd"), parse_ymd(parameters, "endYmd")
    if last < first:
        raise StatisticsError(StatisticsCode.RANGE, "endYmd is before startYmd.")
    length = (last - first).days + 1
    if length > plan.range_days:
        most = f"the {plan.name} plan allows at most {plan.range_days}"
        raise StatisticsError(StatisticsCode.RANGE, f"startYmd to endYmd are {length} days; {most}.")
    return Days(first, last)


def parse_scope(parameters: QueryParams, plan: Plan) -> Scope:
    """A link if one is given, else a group, else the whole account."""
    linked = parameters.keys() & {"linkId", "domain"}
    if not (linked or plan.whole_account):
        message = f"linkId and domain are both required on the {plan.name} plan."
        raise StatisticsError(StatisticsCode.LINK_INCOMPLETE, message)
    if linked:
        return parse_link(parameters)
    group = single_value(parameters, "grpIdx")
    return AccountScope() if group is None else GroupScope(parse_group(group))


def parse_link(parameters: QueryParams) -> LinkScope:
    link_id, domain = single_value(parameters, "linkId"), single_value(parameters, "domain")
    if not link_id or not domain:
        raise StatisticsError(StatisticsCode.LINK_INCOMPLETE, "linkId and domain are both required.")
    if len(link_id) > MAX_LINK_ID:
        raise invalid_parameter(f"linkId must have at most {MAX_LINK_ID} characters.")
    normal = normal_domain(domain)
    if normal is None:
        raise invalid_parameter("domain must be a domain, such as https://vvd.bz.")
    return LinkScope(domain=normal, link_id=link_id)


def parse_group(text: str, name: str = "grpIdx") -> int:
    number = parse_integer(text)
    if number is None:
        raise invalid_parameter(
            f"{name} must be an integer." if name == "grpIdx" else f"{name} must be integers, as in 151,207."
        )
    if not 1 <= number <= MAX_ID:
        raise not_found("group")
    return number


def parse_groups(text: str | None, name: str, plan: Plan) -> tuple[int, ...] | None:
    """The ids of a comma-separated list, ascending and without duplicates. None for all groups."""
    if text is None and plan.groups_a_call is None:
        return None
    if text is None:
        raise invalid_parameter(f"{name} is required on the {plan.name} plan: at most {plan.groups_a_call} groups.")
    groups = tuple(sorted({parse_group(part.strip(), name) for part in text.split(",")}))
    if plan.groups_a_call is not None and len(groups) > plan.groups_a_call:
        most = f"at most {plan.groups_a_call} groups a call, and {name} names {len(groups)}"
        raise StatisticsError(StatisticsCode.PLAN, f"The {plan.name} plan has {most}.")
    return groups


def parse_page(parameters: QueryParams) -> int:
    text = single_value(parameters, "pages")
    page = 1 if text is None else parse_integer(text)
    if page is None or not 1 <= page <= MAX_PAGE:
        raise invalid_parameter(f"pages must be an integer from 1 to {MAX_PAGE}.")
    return page


def parse_fill(parameters: QueryParams) -> bool:
    return single_value(parameters, "fill") == "1"


def invalid_parameter(message: str) -> StatisticsError:
    return StatisticsError(StatisticsCode.PARAMETER, message)


def not_found(what: str) -> StatisticsError:
    """The same error for what does not exist and for what is another account's."""
    return StatisticsError(StatisticsCode.UNKNOWN, f"There is no such {what} in this account.")


_DATE = {"type": "string", "format": "date", "examples": ["2025-04-20"]}
_LINK_ID = {"type": "string", "minLength": 1, "maxLength": MAX_LINK_ID, "examples": ["hello"]}
_DOMAIN = {"type": "string", "minLength": 1, "examples": ["https://vvd.bz"]}

YMD = [query_parameter("ymd", _DATE, "Day in the account's time zone.", required=True)]
RANGE = [
    query_parameter("startYmd", _DATE, "First day, in the account's time zone.", required=True),
    query_parameter(
        "endYmd", _DATE, "Last day, inclusive. At most 31 days in all; Personal 7, Premium 14.", required=True
    ),
]
LINK = [
    query_parameter("linkId", _LINK_ID, "Link, case-sensitive.", required=True),
    query_parameter("domain", _DOMAIN, "Domain of the link; https:// is assumed.", required=True),
]
SCOPE = [
    query_parameter("linkId", _LINK_ID, "Link, case-sensitive; needs domain. Personal plan: required."),
    query_parameter("domain", _DOMAIN, "Domain of the link; https:// is assumed. Needs linkId."),
    query_parameter(
        "grpIdx",
        {"type": "integer", "minimum": 1, "examples": [151]},
        "All links that are in this group now. Premium and up; ignored where a link is given, and on Personal.",
    ),
]
_FILL = {"type": "string", "enum": ["1"]}
FILL_HOURS = [query_parameter("fill", _FILL, "List every hour that the local day has, clicks or not.")]
FILL_DAYS = [query_parameter("fill", _FILL, "List every day that the account's time zone has, clicks or not.")]
PAGES = [
    query_parameter(
        "pages",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 1},
        "Page of 30; past the end it is empty.",
    )
]

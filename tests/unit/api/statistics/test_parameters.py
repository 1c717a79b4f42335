"""Parsing of days, scope, groups and pages within plans, each rule by itself."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from starlette.datastructures import QueryParams

from api.access.plans import DEFAULTS, Plan
from api.catalog.scopes import AccountScope, GroupScope, LinkScope, Scope
from api.http.errors import StatisticsError
from api.statistics.parameters import (
    Days,
    parse_days,
    parse_groups,
    parse_link,
    parse_page,
    parse_scope,
    parse_ymd,
    single_value,
)

LINK = "linkId=x&domain=https://vvd.bz"
A_LINK = LinkScope(domain="https://vvd.bz", link_id="x")
FREE, PERSONAL, PREMIUM, BUSINESS, *ABOVE = DEFAULTS
FIRST = date(2026, 3, 1)


def asked(query: str) -> QueryParams:
    return QueryParams(query)


@pytest.mark.parametrize("plan", [pytest.param(plan, id=plan.name) for plan in (PREMIUM, BUSINESS, *ABOVE)])
@pytest.mark.parametrize(
    ("query", "scope"),
    [
        pytest.param("", AccountScope(), id="nothing-is-the-account"),
        pytest.param(LINK, A_LINK, id="link"),
        pytest.param("grpIdx=5", GroupScope(5), id="group"),
        pytest.param(f"{LINK}&grpIdx=5", A_LINK, id="link-before-group"),
        pytest.param(f"{LINK}&grpIdx=x", A_LINK, id="link-before-a-malformed-group"),
        pytest.param(f"{LINK}&grpIdx=5&grpIdx=6", A_LINK, id="link-before-a-group-given-twice"),
        pytest.param("linkId=x&domain=VVD.bz/", A_LINK, id="domain-normalised"),
        pytest.param(
            "linkId=" + "ü" * 1024 + "&domain=a.b",
            LinkScope(domain="https://a.b", link_id="ü" * 1024),
            id="link-1024-long",
        ),
    ],
)
def test_scope_on_premium_and_up(plan: Plan, query: str, scope: Scope) -> None:
    assert parse_scope(asked(query), plan) == scope


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(LINK, id="link"),
        pytest.param(f"{LINK}&grpIdx=5", id="group-ignored"),
        pytest.param(f"{LINK}&grpIdx=x", id="malformed-group-ignored"),
    ],
)
def test_personal_gets_single_links(query: str) -> None:
    assert parse_scope(asked(query), PERSONAL) == A_LINK


@pytest.mark.parametrize(
    ("plan", "query", "code", "named"),
    [
        pytest.param(PERSONAL, "", 1002, "linkId", id="personal-without-a-link"),
        pytest.param(PERSONAL, "grpIdx=5", 1002, "linkId", id="personal-group-only"),
        pytest.param(PERSONAL, "linkId=x", 1002, "domain", id="personal-no-domain"),
        pytest.param(PREMIUM, "linkId=x", 1002, "domain", id="link-without-domain"),
        pytest.param(PREMIUM, "domain=a.b", 1002, "linkId", id="domain-without-link"),
        pytest.param(PREMIUM, "domain=a.b&grpIdx=5", 1002, "linkId", id="half-a-link-and-group"),
        pytest.param(PREMIUM, "linkId=&domain=a.b", 1002, "linkId", id="link-empty"),
        pytest.param(PREMIUM, "linkId=&domain=", 1002, "linkId", id="both-empty-is-not-the-account"),
        pytest.param(PREMIUM, "linkId=x&domain=a b", 1001, "domain", id="domain-malformed"),
        pytest.param(PREMIUM, "linkId=" + "x" * 1025 + "&domain=a.b", 1001, "linkId", id="link-1025-long"),
        pytest.param(PREMIUM, f"{LINK}&linkId=x", 1001, "linkId", id="link-given-twice"),
        pytest.param(PREMIUM, f"{LINK}&domain=a.b", 1001, "domain", id="domain-given-twice"),
        pytest.param(PREMIUM, "grpIdx=x", 1001, "grpIdx", id="group-not-an-integer"),
        pytest.param(PREMIUM, "grpIdx=", 1001, "grpIdx", id="group-empty-is-not-the-account"),
        pytest.param(PREMIUM, "grpIdx= 5", 1001, "grpIdx", id="group-with-a-space"),
        pytest.param(PREMIUM, "grpIdx=1.5", 1001, "grpIdx", id="group-fraction"),
        pytest.param(PREMIUM, "grpIdx=٣", 1001, "grpIdx", id="group-arabic-digit"),
        pytest.param(PREMIUM, "grpIdx=5&grpIdx=5", 1001, "grpIdx", id="group-given-twice"),
        pytest.param(PREMIUM, "grpIdx=" + "9" * 4000, 1004, "group", id="group-huge"),
        pytest.param(PREMIUM, "grpIdx=" + "9" * 5000, 1001, "grpIdx", id="group-beyond-huge"),
    ],
)
def test_a_scope_that_is_refused_has_its_code_and_a_name(plan: Plan, query: str, code: int, named: str) -> None:
    with pytest.raises(StatisticsError) as refused:
        parse_scope(asked(query), plan)
    assert refused.value.code == code
    assert named in str(refused.value)


def test_version_1_takes_a_link_only() -> None:
    assert parse_link(asked(f"{LINK}&grpIdx=5")) == A_LINK
    with pytest.raises(StatisticsError, match="linkId and domain") as refused:
        parse_link(asked("grpIdx=5"))
    assert refused.value.code == 1002


@pytest.mark.parametrize(
    "ymd",
    [
        pytest.param(None, id="missing"),
        pytest.param("", id="empty"),
        pytest.param("2026-02-29", id="no-such-day"),
        pytest.param("20260331", id="basic-format"),
        pytest.param("2026-3-31", id="month-without-zero"),
        pytest.param("2026-03-31 ", id="space-after"),
        pytest.param("2026-03-31T00:00:00", id="time"),
        pytest.param("２０２６-03-31", id="full-width-digits"),
        pytest.param("0000-01-01", id="year-0"),
        pytest.param("2026-03-31&{}=2026-03-31", id="twice"),
    ],
)
@pytest.mark.parametrize("name", ["ymd", "startYmd", "endYmd"])
def test_a_day_that_is_none_is_1001_and_named(name: str, ymd: str | None) -> None:
    other = {"startYmd": "&endYmd=2026-03-31", "endYmd": "&startYmd=2026-03-31"}.get(name, "")
    query = asked(("" if ymd is None else f"{name}={ymd.format(name)}") + other)
    with pytest.raises(StatisticsError) as refused:
        parse_ymd(query) if name == "ymd" else parse_days(query, BUSINESS)
    assert refused.value.code == 1001
    assert name in str(refused.value)


MAX_DAYS = {PERSONAL: 7, PREMIUM: 14} | dict.fromkeys((BUSINESS, *ABOVE), 31)


@pytest.mark.parametrize(
    ("plan", "most"), [pytest.param(*item, id=f"{item[0].name}-{item[1]}") for item in MAX_DAYS.items()]
)
def test_a_range_is_as_long_as_the_plan_allows_and_not_a_day_longer(plan: Plan, most: int) -> None:
    for length in (1, most):
        last = FIRST + timedelta(days=length - 1)
        assert parse_days(asked(f"startYmd={FIRST}&endYmd={last}"), plan) == Days(FIRST, last)
    with pytest.raises(
        StatisticsError, match=f"are {most + 1} days; the {plan.name} plan allows at most {most}"
    ) as refused:
        parse_days(asked(f"startYmd={FIRST}&endYmd={FIRST + timedelta(days=most)}"), plan)
    assert refused.value.code == 1005


def test_an_inverted_range_is_1005() -> None:
    with pytest.raises(StatisticsError, match="endYmd is before startYmd") as refused:
        parse_days(asked("startYmd=2026-03-02&endYmd=2026-03-01"), BUSINESS)
    assert refused.value.code == 1005


@pytest.mark.parametrize(
    ("plan", "text", "groups"),
    [
        pytest.param(PREMIUM, "1", (1,), id="one"),
        pytest.param(PREMIUM, "5,1,3,2,4", (1, 2, 3, 4, 5), id="premium-5-ascending"),
        pytest.param(PREMIUM, "1,1,1,1,1,1", (1,), id="each-once-before-they-are-counted"),
        pytest.param(PREMIUM, "151, 207", (151, 207), id="space-after-comma"),
        pytest.param(BUSINESS, ",".join(map(str, range(1, 500))), tuple(range(1, 500)), id="business-any"),
        pytest.param(BUSINESS, None, None, id="business-left-out-is-all"),
    ],
)
def test_groups_of_a_list(plan: Plan, text: str | None, groups: tuple[int, ...] | None) -> None:
    assert parse_groups(text, "grpIdxList", plan) == groups


@pytest.mark.parametrize(
    ("plan", "text", "code", "named"),
    [
        pytest.param(PREMIUM, None, 1001, "grpIdxList is required on the Premium plan", id="premium-left-out"),
        pytest.param(PREMIUM, "1,2,3,4,5,6", 1003, "at most 5 groups a call, and grpIdxList names 6", id="premium-6"),
        pytest.param(BUSINESS, "", 1001, "grpIdxList", id="empty"),
        pytest.param(BUSINESS, "1,,2", 1001, "grpIdxList", id="gap"),
        pytest.param(BUSINESS, "1,2,", 1001, "grpIdxList", id="comma-at-the-end"),
        pytest.param(BUSINESS, "1;2", 1001, "grpIdxList", id="semicolon"),
        pytest.param(BUSINESS, "1,x", 1001, "grpIdxList", id="not-an-integer"),
        pytest.param(BUSINESS, f"1,{2**64}", 1004, "group", id="huge"),
        pytest.param(BUSINESS, "0", 1004, "group", id="group-0-is-no-group"),
    ],
)
def test_a_list_that_is_refused(plan: Plan, text: str | None, code: int, named: str) -> None:
    with pytest.raises(StatisticsError) as refused:
        parse_groups(text, "grpIdxList", plan)
    assert refused.value.code == code
    assert named in str(refused.value)


@pytest.mark.parametrize(("query", "page"), [("", 1), ("pages=1", 1), ("pages=07", 7), ("pages=1000000000", 10**9)])
def test_pages(query: str, page: int) -> None:
    assert parse_page(asked(query)) == page


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "x", "1000000001", "9" * 5000, "1&pages=1"])
def test_a_page_that_is_none_is_1001(text: str) -> None:
    with pytest.raises(StatisticsError, match="pages") as refused:
        parse_page(asked(f"pages={text}"))
    assert refused.value.code == 1001


def test_a_parameter_that_no_call_knows_may_be_given_twice() -> None:
    assert single_value(asked("ymd=a&x=1&x=2"), "ymd") == "a"

"""Scope, plans and parameters of the hourly statistics, each rule by itself."""

from __future__ import annotations

import pytest

from api.errors import StatisticsError
from api.hourly_query import AccountScope, GroupScope, LinkScope, Scope, parse_hourly_query
from api.plans import DEFAULTS, Plan

DAY = {"ymd": "2026-03-31"}
LINK = {"linkId": "x", "domain": "https://vvd.bz"}
A_LINK = LinkScope("https://vvd.bz", "x")
FREE, PERSONAL, PREMIUM, *ABOVE = DEFAULTS


@pytest.mark.parametrize("plan", [pytest.param(plan, id=plan.name) for plan in (PREMIUM, *ABOVE)])
@pytest.mark.parametrize(
    ("given", "scope"),
    [
        pytest.param({}, AccountScope(), id="nothing-is-the-account"),
        pytest.param(LINK, A_LINK, id="link"),
        pytest.param({"grpIdx": "5"}, GroupScope(5), id="group"),
        pytest.param({**LINK, "grpIdx": "5"}, A_LINK, id="link-before-group"),
        pytest.param({**LINK, "grpIdx": "x"}, A_LINK, id="link-before-a-malformed-group"),
    ],
)
def test_scope_on_premium_and_up(plan: Plan, given: dict[str, str], scope: Scope) -> None:
    assert parse_hourly_query({**DAY, **given}, plan).scope == scope


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(LINK, id="link"),
        pytest.param({**LINK, "grpIdx": "5"}, id="group-ignored"),
        pytest.param({**LINK, "grpIdx": "x"}, id="malformed-group-ignored"),
    ],
)
def test_personal_gets_single_links(given: dict[str, str]) -> None:
    assert parse_hourly_query({**DAY, **given}, PERSONAL).scope == A_LINK


@pytest.mark.parametrize(
    ("plan", "given", "code", "named"),
    [
        pytest.param(FREE, {**DAY, **LINK}, 1003, "Free", id="free-has-no-statistics"),
        pytest.param(FREE, {}, 1003, "Free", id="free-before-parameters"),
        pytest.param(PREMIUM, {}, 1001, "ymd", id="ymd-missing"),
        pytest.param(PREMIUM, {"ymd": ""}, 1001, "ymd", id="ymd-empty"),
        pytest.param(PREMIUM, {"ymd": "2026-02-29"}, 1001, "ymd", id="ymd-no-such-day"),
        pytest.param(PREMIUM, {"ymd": "20260331"}, 1001, "ymd", id="ymd-basic-format"),
        pytest.param(PREMIUM, {"ymd": "2026-3-31"}, 1001, "ymd", id="ymd-month-without-zero"),
        pytest.param(PREMIUM, {"ymd": "2026-03-31 "}, 1001, "ymd", id="ymd-space-after"),
        pytest.param(PERSONAL, {**DAY}, 1002, "linkId", id="personal-without-a-link"),
        pytest.param(PERSONAL, {**DAY, "grpIdx": "5"}, 1002, "linkId", id="personal-group-only"),
        pytest.param(PERSONAL, {**DAY, "linkId": "x"}, 1002, "domain", id="personal-no-domain"),
        pytest.param(PREMIUM, {**DAY, "linkId": "x"}, 1002, "domain", id="link-without-domain"),
        pytest.param(PREMIUM, {**DAY, "domain": "a.b"}, 1002, "linkId", id="domain-without-link"),
        pytest.param(
            PREMIUM,
            {**DAY, "domain": "a.b", "grpIdx": "5"},
            1002,
            "linkId",
            id="half-a-link-and-group",
        ),
        pytest.param(PREMIUM, {**DAY, **LINK, "linkId": ""}, 1002, "linkId", id="link-empty"),
        pytest.param(
            PREMIUM,
            {**DAY, "linkId": "", "domain": ""},
            1002,
            "linkId",
            id="both-empty-is-not-the-account",
        ),
        pytest.param(PREMIUM, {**DAY, **LINK, "domain": "a b"}, 1001, "domain", id="domain-malformed"),
        pytest.param(PREMIUM, {**DAY, "grpIdx": "x"}, 1001, "grpIdx", id="group-not-an-integer"),
        pytest.param(PREMIUM, {**DAY, "grpIdx": ""}, 1001, "grpIdx", id="group-empty-is-not-the-account"),
        pytest.param(PREMIUM, {**DAY, "grpIdx": "1.5"}, 1001, "grpIdx", id="group-fraction"),
    ],
)
def test_what_is_refused_has_its_code_and_a_name(plan: Plan, given: dict[str, str], code: int, named: str) -> None:
    with pytest.raises(StatisticsError) as refused:
        parse_hourly_query(given, plan)
    assert refused.value.code == code
    assert named in str(refused.value)

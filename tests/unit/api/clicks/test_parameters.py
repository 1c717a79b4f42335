"""The parameters of the Clicks API, each rule on both sides of its limit."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from api.access.key_records import Principal
from api.clicks.cursor import Cursors
from api.clicks.parameters import ClicksQuery, parse_clicks_query
from api.http.errors import BadRequest

CURSORS = Cursors("root")
ADMIN = Principal("k", "admin")
OWNER = Principal("k", "publisher", publisher_id=45)


def parse(given: Mapping[str, str | None], principal: Principal = ADMIN) -> ClicksQuery:
    parameters = {"start_date": "2026-03-01", "end_date": "2026-03-31", **given}
    return parse_clicks_query({k: v for k, v in parameters.items() if v is not None}, principal, CURSORS)


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        pytest.param("2026-03-01", "2026-03-01", 1, id="one-day"),
        pytest.param("2026-01-01", "2026-03-31", 90, id="90-days"),
        pytest.param("2024-02-29", "2024-02-29", 1, id="leap-day"),
        pytest.param("0001-01-01", "0001-01-01", 1, id="first-day-of-the-calendar"),
        pytest.param("9999-12-31", "9999-12-31", 1, id="last-day-of-the-calendar"),
    ],
)
def test_ranges_that_are_taken(start: str, end: str, days: int) -> None:
    assert parse({"start_date": start, "end_date": end}).days == days


@pytest.mark.parametrize(
    ("given", "field"),
    [
        pytest.param({"start_date": None}, "start_date", id="start-missing"),
        pytest.param({"end_date": None}, "end_date", id="end-missing"),
        pytest.param({"start_date": ""}, "start_date", id="start-empty"),
        pytest.param({"end_date": "2026-02-28"}, "end_date", id="inverted-by-a-day"),
        pytest.param({"start_date": "2026-01-01", "end_date": "2026-04-01"}, "end_date", id="91-days"),
        pytest.param({"start_date": "2026-3-01"}, "start_date", id="month-without-zero"),
        pytest.param({"start_date": "20260301"}, "start_date", id="basic-format"),
        pytest.param({"start_date": "2026-W10-1"}, "start_date", id="week-date"),
        pytest.param({"end_date": "2026-02-29"}, "end_date", id="no-leap-year"),
        pytest.param({"end_date": "2026-03-32"}, "end_date", id="no-such-day"),
        pytest.param({"end_date": "2026-03-31T00:00:00Z"}, "end_date", id="with-a-time"),
        pytest.param({"end_date": " 2026-03-31"}, "end_date", id="space-before"),
        pytest.param({"end_date": "2026-03-31\n"}, "end_date", id="newline-after"),
        pytest.param({"end_date": "٢٠٢٦-03-31"}, "end_date", id="digits-of-another-script"),
        pytest.param({"start_date": "0000-01-01"}, "start_date", id="year-0"),
        pytest.param({"page": "two"}, "page", id="page-not-an-integer"),
        pytest.param({"page": "1.0"}, "page", id="page-fraction"),
        pytest.param({"per_page": "ten"}, "per_page", id="per_page-not-an-integer"),
        pytest.param({"per_page": ""}, "per_page", id="per_page-empty"),
        pytest.param({"per_page": "1e2"}, "per_page", id="per_page-exponent"),
        pytest.param({"per_page": "1_000"}, "per_page", id="per_page-underscore"),
        pytest.param({"per_page": "9" * 5000}, "per_page", id="per_page-too-many-digits"),
        pytest.param({"limit": "x"}, "limit", id="limit-not-an-integer"),
        pytest.param({"per_page": "5", "limit": "x"}, "limit", id="limit-wrong-beside-per_page"),
        pytest.param({"publisher_id": "abc"}, "publisher_id", id="publisher-not-an-integer"),
        pytest.param({"publisher_id": ""}, "publisher_id", id="publisher-empty"),
    ],
)
def test_what_is_refused_names_its_field(given: dict[str, str | None], field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse(given)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("given", "size"),
    [
        pytest.param({}, 100, id="default"),
        pytest.param({"per_page": "1"}, 1, id="least"),
        pytest.param({"per_page": "0"}, 1, id="zero-is-clamped"),
        pytest.param({"per_page": "-7"}, 1, id="negative-is-clamped"),
        pytest.param({"per_page": "1000"}, 1000, id="most"),
        pytest.param({"per_page": "1001"}, 1000, id="more-is-clamped"),
        pytest.param({"limit": "7"}, 7, id="limit-alone"),
        pytest.param({"limit": "0"}, 1, id="limit-zero-is-clamped"),
        pytest.param({"limit": "5000"}, 1000, id="limit-more-is-clamped"),
        pytest.param({"per_page": "20", "limit": "10"}, 10, id="limit-smaller"),
        pytest.param({"per_page": "10", "limit": "20"}, 10, id="per_page-smaller"),
        pytest.param({"per_page": "0", "limit": "20"}, 1, id="one-of-both-clamped"),
    ],
)
def test_page_size(given: dict[str, str], size: int) -> None:
    assert parse(given).per_page == size


@pytest.mark.parametrize(
    ("principal", "given", "in_effect"),
    [
        pytest.param(ADMIN, None, None, id="admin-all"),
        pytest.param(ADMIN, "+46", 46, id="admin-signed"),
        pytest.param(OWNER, None, 45, id="publisher-own"),
        pytest.param(OWNER, "46", 45, id="publisher-foreign-ignored"),
        pytest.param(OWNER, "nonsense", 45, id="publisher-nonsense-ignored"),
    ],
)
def test_publisher_in_effect(principal: Principal, given: str | None, in_effect: int | None) -> None:
    assert parse({"publisher_id": given}, principal).publisher_id == in_effect

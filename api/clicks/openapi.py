"""The Clicks API in the OpenAPI document: parameters, responses in each format, examples."""

from __future__ import annotations

import json
from typing import Any

from typing_extensions import TypedDict

from api.clicks.parameters import DEFAULT_PER_PAGE, MAX_DAYS, MAX_PER_PAGE, ClickMeta
from api.clicks.queries import ClickRow
from api.http.openapi import Responses, error_responses, success_responses
from api.http.parameters import query_parameter


class ClickPage(TypedDict):
    data: list[ClickRow]
    meta: ClickMeta


_ROW: ClickRow = {
    "advertiser_id": 123,
    "advertiser_name": "Alpha Store",
    "advertiser_slug": "alpha-store",
    "publisher_id": 45,
    "publisher_name": "Example Publisher",
    "network_id": 7,
    "network_name": "Awin",
    "click_date": "2026-03-31",
    "click_count": 120,
}
_META: ClickMeta = {
    "current_page": 1,
    "next_page": None,
    "prev_page": None,
    "total_pages": 1,
    "total_count": 1,
    "start_date": "2026-03-01",
    "end_date": "2026-03-31",
    "days": 31,
    "publisher_id": 45,
}
_CURSOR_EXAMPLE = "UEwAAAAAAAAAewAAAAAAAAAtAAAAAAAAAAcAAAACc2lnbmVkLWJ5LWNsaWNrbWls"
_EXAMPLES: dict[str, dict[str, Any]] = {
    "page": {"summary": "A page", "value": {"data": [_ROW], "meta": _META}},
    "cursor": {
        "summary": "A page of a walk by cursor",
        "value": {
            "data": [_ROW],
            "meta": {**_META, "total_pages": 2, "total_count": 101, "next_cursor": _CURSOR_EXAMPLE},
        },
    },
}
_CSV_EXAMPLE = (
    "advertiser_id,advertiser_name,advertiser_slug,publisher_id,publisher_name,network_id,network_name,click_date,"
    'click_count\r\n123,"Alpha Store","alpha-store",45,"Example Publisher",7,"Awin","2026-03-31",120\r\n'
)

_DATE = {"type": "string", "format": "date", "examples": ["2026-03-31"]}
_SIZE = {"type": "integer", "minimum": 1, "maximum": MAX_PER_PAGE, "default": DEFAULT_PER_PAGE}
_CURSOR = {"type": "string", "pattern": "^(start|[A-Za-z0-9_-]{64})$"}

PARAMETERS = [
    query_parameter("start_date", _DATE, "First day, in the publisher's time zone.", required=True),
    query_parameter("end_date", _DATE, f"Last day, included; at most {MAX_DAYS} days in all.", required=True),
    query_parameter(
        "publisher_id",
        {"type": "integer", "examples": [45]},
        "Admins: this publisher only. Publishers always get their own.",
    ),
    query_parameter("page", {"type": "integer", "minimum": 1, "default": 1}, "Page number."),
    query_parameter("per_page", _SIZE, "Rows a page."),
    query_parameter("limit", _SIZE, "Another name of per_page; the smaller of both applies."),
    query_parameter("cursor", _CURSOR, "`start`, then each `meta.next_cursor`: no row twice while clicks arrive."),
    query_parameter("after", _CURSOR, "Another name of cursor; decides if both are given."),
]


def _responses() -> Responses:
    responses = success_responses(
        "A page of the listing: newest day first, most clicks first. With a cursor, and in every other format, rows "
        "of a day are by advertiser, publisher and network. The other formats hold the whole range.",
        _EXAMPLES,
    )
    responses[200]["content"] |= {
        "text/csv": {"schema": {"type": "string"}, "examples": {"file": {"value": _CSV_EXAMPLE}}},
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "A ClickRow a line."},
            "examples": {"file": {"value": json.dumps(_ROW) + "\n"}},
        },
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
    }
    return {**responses, **error_responses(400)}


RESPONSES = _responses()

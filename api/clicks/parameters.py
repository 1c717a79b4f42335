"""Parses the parameters of the Clicks API and builds the `meta` of its responses. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import NotRequired

from typing_extensions import TypedDict

from api.access.key_records import Principal
from api.clicks.cursor import START_CURSOR, Cursors, Position
from api.dates import parse_day
from api.http.errors import BadRequest
from api.http.parameters import parse_integer

MAX_DAYS = 90
DEFAULT_PER_PAGE = 100
MAX_PER_PAGE = 1000


class ClickMeta(TypedDict):
    current_page: int
    next_page: int | None
    prev_page: int | None
    total_pages: int
    total_count: int
    start_date: str
    end_date: str
    days: int
    publisher_id: int | None
    next_cursor: NotRequired[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClicksQuery:
    """A valid request. `publisher_id` is the publisher in effect, None for all publishers.

    With `after` (cursor pagination) rows are in the order of their identity, and `page` is the page that the cursor
    has counted.
    """

    start: date
    end: date
    publisher_id: int | None
    page: int
    per_page: int
    after: Position | None = None

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.per_page


def parse_clicks_query(parameters: Mapping[str, str], principal: Principal, cursors: Cursors) -> ClicksQuery:
    """Raises BadRequest. A publisher always gets its own `publisher_id`, whatever was sent."""
    start, end = _day(parameters, "start_date"), _day(parameters, "end_date")
    if end < start:
        raise BadRequest("end_date must not be before start_date.", field="end_date")
    if (end - start).days + 1 > MAX_DAYS:
        raise BadRequest(f"The range may hold at most {MAX_DAYS} days, both ends included.", field="end_date")
    publisher_id = principal.publisher_id if principal.role == "publisher" else _integer(parameters, "publisher_id")
    page = _integer(parameters, "page")
    sizes = [size for name in ("per_page", "limit") if (size := _integer(parameters, name)) is not None]
    after = _position(parameters, cursors, cursor_scope(start, end, publisher_id))
    return ClicksQuery(
        start=start,
        end=end,
        publisher_id=publisher_id,
        page=after.page if after else 1 if page is None else max(page, 1),
        per_page=max(1, min(*sizes, MAX_PER_PAGE)) if sizes else DEFAULT_PER_PAGE,
        after=after,
    )


def cursor_scope(start: date, end: date, publisher_id: int | None) -> str:
    """What a cursor is valid for: one range of days of one publisher, or of all."""
    return f"{start} {end} {publisher_id}"


def clicks_meta(query: ClicksQuery, total_count: int) -> ClickMeta:
    """The `meta` without `next_cursor`. Past the end `prev_page` is the last page with rows.

    With a cursor both `next_page` and `prev_page` are None: numbered pages have another order.
    """
    total_pages = -(-total_count // query.per_page)
    numbered = query.after is None
    return {
        "current_page": query.page,
        "next_page": query.page + 1 if numbered and query.page < total_pages else None,
        "prev_page": (min(query.page - 1, total_pages) or None) if numbered else None,
        "total_pages": total_pages,
        "total_count": total_count,
        "start_date": query.start.isoformat(),
        "end_date": query.end.isoformat(),
        "days": query.days,
        "publisher_id": query.publisher_id,
    }


def _day(parameters: Mapping[str, str], name: str) -> date:
    text = parameters.get(name)
    if text is None:
        raise BadRequest(f"{name} is required, as YYYY-MM-DD.", field=name)
    day = parse_day(text)
    if day is None:
        raise BadRequest(f"{name} must be a date written as YYYY-MM-DD.", field=name)
    return day


def _integer(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    number = parse_integer(text)
    if number is None:
        raise BadRequest(f"{name} must be an integer.", field=name)
    return number


def _position(parameters: Mapping[str, str], cursors: Cursors, scope: str) -> Position | None:
    """The position of the cursor, if any. `after` wins over `cursor`: clients add it to their first query."""
    name = "after" if "after" in parameters else "cursor"
    text = parameters.get(name)
    if text is None:
        return None
    position = cursors.read(text, scope)
    if position is None:
        raise BadRequest(
            f"{name} is no cursor of this listing: it was changed, belongs to other dates or another publisher, or "
            f"was signed with a secret that is no more. Begin again with {name}={START_CURSOR}.",
            field=name,
        )
    return position

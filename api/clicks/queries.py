"""Rows of the Clicks API: read page by page or behind a position, and given their names."""

from __future__ import annotations

from datetime import date
from typing import Any

from typing_extensions import TypedDict

from api.catalog.catalog import Catalog
from api.clicks.cursor import START_POSITION, Position
from api.clicks.parameters import ClicksQuery
from api.dates import stored_range
from rollups.clickhouse import ClickHouse, Row

# Identity decides the order of a walk: it never changes, where counts do.
_BY_COUNT = "ORDER BY day DESC, click_count DESC, advertiser_id, owner, network_id"
_BY_IDENTITY = "ORDER BY day DESC, advertiser_id, owner, network_id"
_AFTER_POSITION = (
    "(day < {day:Date} OR day = {day:Date} AND (advertiser_id, owner, network_id) > "
    "({advertiser:UInt64}, {owner:UInt64}, {network:UInt64}))"
)


class ClickRow(TypedDict):
    advertiser_id: int
    advertiser_name: str | None
    advertiser_slug: str | None
    publisher_id: int
    publisher_name: str | None
    network_id: int
    network_name: str | None
    click_date: str
    click_count: int


def read_page(db: ClickHouse, query: ClicksQuery) -> tuple[list[Row], int]:
    """The rows of the page (day, publisher, advertiser, network, clicks), and how many all pages have."""
    size = {"size": query.per_page, "offset": min(query.offset, 2**63)}
    tail = f"{_BY_COUNT} LIMIT {{size:UInt64}} OFFSET {{offset:UInt64}}"
    return _read(db, query, tail, size, first=query.page == 1)


def read_page_after(db: ClickHouse, query: ClicksQuery, after: Position) -> tuple[list[Row], int, bool]:
    """The page behind a position, by identity; how many rows the listing has in all; whether more follow."""
    tail = f"WHERE {_AFTER_POSITION} {_BY_IDENTITY} LIMIT {{size:UInt64}}"
    size = {"size": query.per_page + 1}
    rows, total = _read(db, query, tail, {**size, **_bound_position(after)}, first=after == START_POSITION)
    return rows[: query.per_page], total, len(rows) > query.per_page


def read_chunk(db: ClickHouse, query: ClicksQuery, days: tuple[date, date], after: Position, size: int) -> list[Row]:
    """The first `size` rows behind a position, by identity, within those days of the range."""
    sql = f"{_matching(query, _AFTER_POSITION)} {_BY_IDENTITY} LIMIT {{size:UInt64}}"
    return list(db.query(sql, {**_parameters(query, days), **_bound_position(after), "size": size}))


def rows_by_day(db: ClickHouse, query: ClicksQuery) -> list[tuple[date, int]]:
    """Newest day first; about how many rows each has, never fewer: parts that are not merged yet count apart."""
    days = _days(query)
    if days is None:
        return []
    sql = f"SELECT day, count() FROM rollup WHERE {_conditions(query)} GROUP BY day ORDER BY day DESC"
    return [(day, rows) for day, rows in db.query(sql, _parameters(query, days))]


def position_after(row: Row, page: int) -> Position:
    day, publisher, advertiser, network, _ = row
    return Position(day=day, advertiser_id=advertiser, publisher_id=publisher, network_id=network, page=page)


def with_names(rows: list[Row], catalog: Catalog) -> list[ClickRow]:
    """The rows as they are served; an id that the catalogue does not know has null names."""
    if not rows:
        return []
    _, publishers, advertisers, networks, _ = (set(column) for column in zip(*rows, strict=True))
    names = catalog.names(publishers, advertisers, networks)
    served: list[ClickRow] = []
    for day, publisher, advertiser, network, clicks in rows:
        name, slug = names.advertisers.get(advertiser, (None, None))
        served.append(
            {
                "advertiser_id": advertiser,
                "advertiser_name": name,
                "advertiser_slug": slug,
                "publisher_id": publisher,
                "publisher_name": names.publishers.get(publisher),
                "network_id": network,
                "network_name": names.networks.get(network),
                "click_date": day.isoformat(),
                "click_count": clicks,
            }
        )
    return served


def _read(
    db: ClickHouse, query: ClicksQuery, tail: str, parameters: dict[str, Any], *, first: bool
) -> tuple[list[Row], int]:
    """The rows that `tail` picks of the listing, and the number of rows of the whole listing. `first`: from its
    beginning, so that no rows there are no rows at all."""
    days = _days(query)
    if days is None:
        return [], 0
    matching, bound = _matching(query), _parameters(query, days)
    found = db.query(f"SELECT * FROM (SELECT *, count() OVER () FROM ({matching})) {tail}", {**bound, **parameters})
    if found:
        return [row[:-1] for row in found], found[0][-1]
    return [], 0 if first else db.query(f"SELECT count() FROM ({matching})", bound)[0][0]


def _matching(query: ClicksQuery, also: str = "1") -> str:
    return f"""
        SELECT day, owner, advertiser_id, network_id, sum(clicks) AS click_count
        FROM rollup
        WHERE {_conditions(query)} AND {also}
        GROUP BY day, owner, advertiser_id, network_id
        HAVING click_count > 0"""


def _conditions(query: ClicksQuery) -> str:
    publisher = "" if query.publisher_id is None else " AND owner = {publisher:UInt64}"
    return f"grain = 'affiliate_day' AND day BETWEEN {{first:Date}} AND {{last:Date}}{publisher}"


def _parameters(query: ClicksQuery, days: tuple[date, date]) -> dict[str, Any]:
    return {"first": days[0], "last": days[1], "publisher": query.publisher_id or 0}


def _bound_position(position: Position) -> dict[str, Any]:
    return {
        "day": position.day,
        "advertiser": position.advertiser_id,
        "owner": position.publisher_id,
        "network": position.network_id,
    }


def _days(query: ClicksQuery) -> tuple[date, date] | None:
    """The days to look at; none for a number that no publisher can have and that ClickHouse could not read."""
    if query.publisher_id is not None and not 0 < query.publisher_id < 2**64:
        return None
    return stored_range(query.start, query.end)

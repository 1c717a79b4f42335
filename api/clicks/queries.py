"""The queries of the Clicks API: pages by number or after a position, and names from the catalogue."""

from __future__ import annotations

from datetime import date
from typing import Any

from typing_extensions import TypedDict

from api.catalog.catalog import Catalog
from api.clicks.cursor import START_POSITION, Position
from api.clicks.parameters import ClicksQuery
from api.dates import stored_range
from rollups.clickhouse import ClickHouse, Row

# Cursor pages are in the order of identity, which does not change as clicks arrive.
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
    """The rows of a page as (day, publisher, advertiser, network, clicks), and the total number of rows. Blocks."""
    size = {"size": query.per_page, "offset": min(query.offset, 2**63)}
    tail = f"{_BY_COUNT} LIMIT {{size:UInt64}} OFFSET {{offset:UInt64}}"
    return _read(db, query, tail, size, first=query.page == 1)


def read_page_after(db: ClickHouse, query: ClicksQuery, after: Position) -> tuple[list[Row], int, bool]:
    """The rows after a position by identity, the total number of rows, and whether more rows follow. Blocks."""
    tail = f"WHERE {_AFTER_POSITION} {_BY_IDENTITY} LIMIT {{size:UInt64}}"
    size = {"size": query.per_page + 1}
    rows, total = _read(db, query, tail, {**size, **_bound_position(after)}, first=after == START_POSITION)
    return rows[: query.per_page], total, len(rows) > query.per_page


def read_chunk(db: ClickHouse, query: ClicksQuery, days: tuple[date, date], after: Position, size: int) -> list[Row]:
    """The first `size` rows of these days after a position by identity. Blocks."""
    sql = f"{_matching(query, _AFTER_POSITION)} {_BY_IDENTITY} LIMIT {{size:UInt64}}"
    return list(db.query(sql, {**_parameters(query, days), **_bound_position(after), "size": size}))


def rows_by_day(db: ClickHouse, query: ClicksQuery) -> list[tuple[date, int]]:
    """Days, newest first, each with an upper bound of its rows (unmerged parts count separately). Blocks."""
    days = _days(query)
    if days is None:
        return []
    sql = f"SELECT day, count() FROM rollup WHERE {_conditions(query)} GROUP BY day ORDER BY day DESC"
    return [(day, rows) for day, rows in db.query(sql, _parameters(query, days))]


def position_after(row: Row, page: int) -> Position:
    day, publisher, advertiser, network, _ = row
    return Position(day=day, advertiser_id=advertiser, publisher_id=publisher, network_id=network, page=page)


def with_names(rows: list[Row], catalog: Catalog) -> list[ClickRow]:
    """The rows as JSON objects. Names are None for ids that are not in the catalogue. Blocks."""
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
    """The rows that `tail` selects, and the total number of rows. `first`: `tail` begins at the first row, so an empty
    result means a total of 0."""
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
    """The days to read. None for an impossible publisher id, which ClickHouse could not parse."""
    if query.publisher_id is not None and not 0 < query.publisher_id < 2**64:
        return None
    return stored_range(query.start, query.end)

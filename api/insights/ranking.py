"""The query of top: the values of a dimension with the most clicks, or with the largest change against before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from api.dates import stored_range
from api.insights.buckets import WALL_HOUR, day_of
from api.insights.parameters import Dimension, Order, Selection
from api.insights.queries import selection_condition
from rollups.clickhouse import ClickHouse

_COLUMNS: dict[Dimension, str] = {
    "link": "domain, link_id",
    "group": "grp_idx",
    "advertiser": "advertiser_id",
    "network": "network_id",
    "publisher": "owner",
}
# Whether a value is a row of its own, and what rows are ordered by. Links without a group have grp_idx 0.
_RANKS: dict[Order, tuple[str, str]] = {
    "clicks": ("now_clicks > 0", "now_clicks DESC"),
    "gain": ("now_clicks > before_clicks", "toInt64(now_clicks) - toInt64(before_clicks) DESC"),
    "loss": ("now_clicks < before_clicks", "toInt64(now_clicks) - toInt64(before_clicks)"),
}
_WITH_GROUPS = """
rollup LEFT JOIN
(
    SELECT domain, link_id, grp_idx FROM links FINAL WHERE account_id = {account:UInt64}
) AS members USING (domain, link_id)
"""
_TOP = """
SELECT *, sum(now_clicks) OVER (), sum(now_bots) OVER (), sum(before_clicks) OVER ()
FROM
(
    SELECT {columns}, {ranked} AS ranked, sumIf(clicks, now) AS now_clicks, {users} AS now_users,
        sumIf(bots, now) AS now_bots, sumIf(clicks, before) AS before_clicks
    FROM
    (
        SELECT *, {wall} AS wall, wall >= {{now_start:Int32}} AND wall < {{now_end:Int32}} AS now,
            wall >= {{before_start:Int32}} AND wall < {{before_end:Int32}} AS before
        FROM {source} WHERE {condition} AND day BETWEEN {{first:Date}} AND {{last:Date}}
    )
    GROUP BY {columns}
)
ORDER BY ranked DESC, {order}, {columns} LIMIT {{limit:UInt32}}
"""


class Totals(NamedTuple):
    clicks: int
    users: int | None
    bots: int
    previous: int


@dataclass(frozen=True, slots=True)
class Span:
    """Wall hours, without the end."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """Values in order, each a tuple of its columns; and the rest of all clicks, whose users are not counted."""

    rows: list[tuple[tuple[Any, ...], Totals]]
    rest: Totals


def read_ranking(
    db: ClickHouse, selection: Selection, dimension: Dimension, order: Order, limit: int, now: Span, before: Span
) -> Ranking:
    """At most `limit` values by their clicks in `now`, or by the change since `before`. Blocks."""
    nothing = Totals(0, None, 0, 0)
    days = stored_range(day_of(before.start), day_of(now.end - 1))
    if days is None:
        return Ranking([], nothing)
    condition, parameters = selection_condition(selection, by_link=True)
    ranked, ordered = _RANKS[order]
    columns = _COLUMNS[dimension]
    found = db.query(
        _TOP.format(
            columns=columns,
            wall=WALL_HOUR,
            ranked=f"{ranked} AND grp_idx > 0" if dimension == "group" else ranked,
            users="0" if selection.account_id is None else "uniqMergeIf(users, now)",
            source=_WITH_GROUPS if dimension == "group" else "rollup",
            condition=condition,
            order=ordered,
        ),
        {
            **parameters,
            "now_start": now.start,
            "now_end": now.end,
            "before_start": before.start,
            "before_end": before.end,
            "first": days[0],
            "last": days[1],
            "limit": limit,
        },
    )
    if not found:
        return Ranking([], nothing)
    width = columns.count(",") + 1
    rows = [(row[:width], _totals(selection, *row[width + 1 : -3])) for row in found if row[width]]
    clicks, bots, previous = found[0][-3:]
    rest = Totals(
        clicks - sum(totals.clicks for _, totals in rows),
        None,
        bots - sum(totals.bots for _, totals in rows),
        previous - sum(totals.previous for _, totals in rows),
    )
    return Ranking(rows, rest)


def _totals(selection: Selection, clicks: int, users: int, bots: int, previous: int) -> Totals:
    return Totals(clicks, None if selection.account_id is None else min(users, clicks), bots, previous)

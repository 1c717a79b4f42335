"""The queries of insights, over the coarsest rows of the rollup that have the answer."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from api.catalog.scopes import AccountScope, scope_condition, scope_exists
from api.dates import stored_range
from api.http.errors import NotFound
from api.insights.buckets import DAY, HOUR, WALL_HOUR, Buckets, day_of, wall_hour
from api.insights.parameters import Selection
from rollups.clickhouse import ClickHouse
from rollups.model import REPEATED

# A repeated hour that is no bucket of its own belongs to the hour.
_HOUR_KEY = f"{WALL_HOUR} - (hour >= {REPEATED} AND NOT has({{repeated:Array(Int32)}}, toInt32({WALL_HOUR})))"


class Counts(NamedTuple):
    """`users` is the number of different users; None where they are not counted."""

    clicks: int
    users: int | None
    bots: int


def read_buckets(db: ClickHouse, selection: Selection, wanted: Buckets, *, hourly: bool) -> list[Counts]:
    """The counts of each bucket. Blocks. `hourly`: buckets begin at any hour, else with days."""
    nothing = Counts(0, None if selection.account_id is None else 0, 0)
    days = stored_range(day_of(wanted.starts[0]), day_of(wanted.end - 1)) if wanted.starts else None
    found: dict[int, Counts] = {}
    if days is not None:
        key = _HOUR_KEY if hourly else f"toInt32(day) * {DAY}"
        strays, starts = _strays(wanted, days, hourly=hourly)
        bucket = f"transform({key}, {{strays:Array(Int32)}}, {{starts:Array(Int32)}}, {key})" if strays else key
        condition, parameters = selection_condition(selection)
        rows = db.query(
            f"SELECT toInt32({bucket}) AS bucket, sum(clicks), sum(bots), {_users(selection)} FROM rollup "
            f"WHERE {condition} AND day BETWEEN {{first:Date}} AND {{last:Date}} "
            f"AND {WALL_HOUR} < {{end:Int32}} GROUP BY bucket",
            {
                **parameters,
                "first": days[0],
                "last": days[1],
                "end": wanted.end,
                "strays": strays,
                "starts": starts,
                "repeated": [start for start in wanted.starts if start % HOUR],
            },
        )
        found = {start: _counts(selection, clicks, bots, users) for start, clicks, bots, users in rows}
    return [found.get(start, nothing) if start < end else nothing for start, end in wanted.pairs()]


def selection_condition(selection: Selection, *, by_link: bool = False) -> tuple[str, dict[str, Any]]:
    """The SQL condition on rollup rows of a selection, besides its days, and its parameters.

    `by_link`: the rows of each link, also for a whole account.
    """
    if selection.account_id is not None:
        condition, parameters = scope_condition(selection.scope)
        if by_link and isinstance(selection.scope, AccountScope):
            condition = "grain = 'link_hour'"
        return f"{condition} AND owner = {{account:UInt64}}", {"account": selection.account_id, **parameters}
    conditions, parameters = ["grain = 'affiliate_day'"], {}
    publisher_id = selection.owner and selection.owner.id
    for column, value in (
        ("owner", publisher_id),
        ("advertiser_id", selection.advertiser_id),
        ("network_id", selection.network_id),
    ):
        if value is not None:
            conditions.append(f"{column} = {{{column}:UInt64}}")
            parameters[column] = value
    return " AND ".join(conditions), parameters


def require_existence(db: ClickHouse, selection: Selection) -> None:
    """Raises NotFound if the account has no such link or group. Blocks."""
    account_id, scope = selection.account_id, selection.scope
    if account_id is not None and not scope_exists(db, account_id, scope):
        raise NotFound("There is no such link or group in this account.")


def _users(selection: Selection) -> str:
    return "0" if selection.account_id is None else "uniqMerge(users)"


def _counts(selection: Selection, clicks: int, bots: int, users: int) -> Counts:
    """Large numbers of users are estimates, which may exceed the clicks."""
    return Counts(clicks, None if selection.account_id is None else min(users, clicks), bots)


def _strays(wanted: Buckets, days: tuple[date, date], *, hourly: bool) -> tuple[list[int], list[int]]:
    """The keys of rows that do not begin a bucket, and the start of the bucket of each."""
    step = HOUR if hourly else DAY
    known = set(wanted.starts)
    keys = range(max(wanted.starts[0], wall_hour(days[0])), min(wanted.end, wall_hour(days[1]) + DAY), step)
    strays = [key for key in keys if key not in known]
    return strays, [wanted.start_of(key) for key in strays]

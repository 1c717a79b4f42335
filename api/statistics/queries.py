"""The queries of statistics: clicks and unique users by hour, day or group, and the groups of an account."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter

from api.catalog.scopes import LinkScope, Scope, scope_condition, scope_exists
from api.dates import stored_range
from api.statistics.parameters import not_found
from rollups.clickhouse import ClickHouse, Row
from rollups.model import REPEATED

log = logging.getLogger(__name__)

_EXACT_USERS = 65_536  # up to here `uniq` is exact or too low; above it is an estimate
_ESTIMATE_ERROR = 0.01

_BY_GROUP = """
SELECT grp_idx, sum(clicks) AS click_count, uniqMerge(users)
FROM rollup INNER JOIN
(
    SELECT domain, link_id, grp_idx FROM links FINAL
    WHERE account_id = {account:UInt64} AND grp_idx IN {groups:Array(UInt64)}
) AS members USING (domain, link_id)
WHERE grain = 'link_hour' AND owner = {account:UInt64} AND day BETWEEN {first:Date} AND {last:Date}
GROUP BY grp_idx HAVING click_count > 0
"""

PAGE_SIZE = 30

_GROUPS = """
SELECT grp_idx, max(named), max(name), max(memo), sum(links), max(created), max(modified), count() OVER ()
FROM
(
    SELECT grp_idx, true AS named, name, memo, 0 AS links,
        toUnixTimestamp(created_at) AS created, toUnixTimestamp(version) AS modified
    FROM groups FINAL WHERE account_id = {account:UInt64}
    UNION ALL
    SELECT grp_idx, false, '', '', count(), 0, 0
    FROM links FINAL WHERE account_id = {account:UInt64} AND grp_idx > 0 GROUP BY grp_idx
)
GROUP BY grp_idx
"""


class ClickCount(NamedTuple):
    clicks: int
    users: int


NO_CLICKS = ClickCount(clicks=0, users=0)


class ClickCounts:
    """Reads clicks and unique users of one account. Users are unions of sets, never sums. All methods block.

    Hours, days and groups without clicks are left out. If nothing is found and the account has no such link or group,
    the methods raise StatisticsError 1004.

    Users never exceed clicks: larger numbers are capped and counted in `clickmill_users_above_clicks_total`. The cause
    is `estimate` if the set is large and the excess within 1 %, the error of the estimate; all else is `damage` in the
    rollups and is logged as an error.
    """

    def __init__(self, db: ClickHouse, registry: CollectorRegistry | None = None) -> None:
        self._db = db
        self._above = Counter(
            "clickmill_users_above_clicks",
            "Counts read with more users than clicks",
            ["cause"],
            registry=registry or CollectorRegistry(),
        )
        for cause in ("estimate", "damage"):
            self._above.labels(cause)

    def by_hour(self, account_id: int, scope: Scope, first: date, last: date) -> dict[tuple[date, int], ClickCount]:
        rows = self._read(f"day, hour % {REPEATED}", account_id, scope, first, last)
        return {(day, hour): count for (day, hour), count in self._capped_rows(rows, account_id)}

    def by_day(self, account_id: int, scope: Scope, first: date, last: date) -> dict[date, ClickCount]:
        rows = self._read("day", account_id, scope, first, last)
        return {day: count for (day,), count in self._capped_rows(rows, account_id)}

    def by_group(self, account_id: int, groups: Sequence[int], first: date, last: date) -> dict[int, ClickCount]:
        """Clicks by group id, on the links that are in the group now."""
        days = stored_range(first, last)
        if days is None or not groups:
            return {}
        parameters = {"account": account_id, "groups": list(groups), "first": days[0], "last": days[1]}
        rows = self._db.query(_BY_GROUP, parameters)
        return {group: count for (group,), count in self._capped_rows(rows, account_id)}

    def _read(self, by: str, account_id: int, scope: Scope, first: date, last: date) -> Sequence[Row]:
        days = stored_range(first, last)
        if days is None:
            ensure_exists(self._db, account_id, scope)
            return []
        rows, parameters = scope_condition(scope)
        found = self._db.query(
            f"SELECT {by}, sum(clicks) AS click_count, uniqMerge(users) FROM rollup "
            f"WHERE {rows} AND owner = {{account:UInt64}} AND day BETWEEN {{first:Date}} AND {{last:Date}} "
            f"GROUP BY {by} HAVING click_count > 0",
            {"account": account_id, "first": days[0], "last": days[1], **parameters},
        )
        if not found:
            ensure_exists(self._db, account_id, scope)
        return found

    def _capped_rows(self, rows: Iterable[Row], account_id: int) -> list[tuple[tuple[Any, ...], ClickCount]]:
        """Pairs of what a row is grouped by and its count, with users capped at clicks."""
        return [
            (row[:-2], self._capped(account_id, row[:-2], ClickCount(clicks=row[-2], users=row[-1]))) for row in rows
        ]

    def _capped(self, account_id: int, group: tuple[Any, ...], count: ClickCount) -> ClickCount:
        clicks, users = count
        if users <= clicks:
            return count
        if users > _EXACT_USERS and users <= clicks * (1 + _ESTIMATE_ERROR):
            self._above.labels("estimate").inc()
        else:
            self._above.labels("damage").inc()
            message = "account %s, %s: %s users of %s clicks; run `clickmill audit`"
            log.error(message, account_id, " ".join(map(str, group)), users, clicks)
        return ClickCount(clicks=clicks, users=clicks)


def ensure_exists(db: ClickHouse, account_id: int, scope: Scope) -> None:
    """Raises StatisticsError 1004 if the account has no such link or group. Blocks."""
    if not scope_exists(db, account_id, scope):
        raise not_found("link" if isinstance(scope, LinkScope) else "group")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group and the number of its links. The rest is None for a group without an entry; times are Unix seconds."""

    grp_idx: int
    name: str | None
    memo: str | None
    links: int
    created_at: int | None
    modified_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of groups; `total` counts the groups of all pages."""

    number: int
    groups: list[Group]
    total: int


def read_groups(
    db: ClickHouse, account_id: int, number: int, only: Sequence[int] | None = None, part: str = ""
) -> Page:
    """A page of the account's groups by id. `only`: these ids; `part`: names that contain it in any case. Blocks."""
    conditions = ["grp_idx IN {only:Array(UInt64)}"] if only is not None else []
    conditions += ["positionCaseInsensitiveUTF8(max(name), {part:String}) > 0"] if part else []
    having = f"HAVING {' AND '.join(conditions)}" if conditions else ""
    parameters = {"account": account_id, "only": list(only or []), "part": part}
    rows = db.query(
        f"{_GROUPS} {having} ORDER BY grp_idx LIMIT {PAGE_SIZE} OFFSET {{offset:UInt64}}",
        {**parameters, "offset": (number - 1) * PAGE_SIZE},
    )
    if rows:
        return Page(number=number, groups=[_group(row) for row in rows], total=rows[0][-1])
    total = db.query(f"SELECT count() FROM ({_GROUPS} {having})", parameters)[0][0] if number > 1 else 0
    return Page(number=number, groups=[], total=total)


def _group(row: Row) -> Group:
    grp_idx, named, name, memo, links, created, modified, _ = row
    return Group(
        grp_idx=grp_idx,
        name=name if named else None,
        memo=memo if named else None,
        links=links,
        created_at=created if named else None,
        modified_at=modified if named else None,
    )

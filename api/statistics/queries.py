"""Clicks and unique users out of the rollups, by hour, day or group; users are unions of sets, never sums."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter

from api.dates import stored_range
from api.statistics.scopes import Scope, condition, ensure_exists
from rollups.clickhouse import ClickHouse, Row

log = logging.getLogger(__name__)

_EXACT_USERS = 65_536  # up to here `uniq` counts, and never too many; beyond it estimates
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


class ClickCount(NamedTuple):
    clicks: int
    users: int


class ClickCounts:
    """Reads counts of one account. Every call may block on ClickHouse. What has no clicks is missing; if nothing
    has, and the account has no such link or group, StatisticsError says so.

    There are never more users than clicks. Where the rollups say otherwise the answer has as many users as clicks, and
    `clickmill_users_above_clicks_total` tells: cause `estimate` where nearly every click is of another user and the
    estimate of large sets errs upwards, within its 1 %; `damage` for anything else, which is logged as an error.
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
        rows = self._read("day, hour", account_id, scope, first, last)
        return {(day, hour): count for (day, hour), count in self._checked(rows, account_id)}

    def by_day(self, account_id: int, scope: Scope, first: date, last: date) -> dict[date, ClickCount]:
        rows = self._read("day", account_id, scope, first, last)
        return {day: count for (day,), count in self._checked(rows, account_id)}

    def by_group(self, account_id: int, groups: Sequence[int], first: date, last: date) -> dict[int, ClickCount]:
        """Clicks on the links that are in each group now."""
        days = stored_range(first, last)
        if days is None or not groups:
            return {}
        parameters = {"account": account_id, "groups": list(groups), "first": days[0], "last": days[1]}
        rows = self._db.query(_BY_GROUP, parameters)
        return {group: count for (group,), count in self._checked(rows, account_id)}

    def _read(self, by: str, account_id: int, scope: Scope, first: date, last: date) -> Sequence[Row]:
        days = stored_range(first, last)
        if days is None:
            ensure_exists(self._db, account_id, scope)
            return []
        rows, parameters = condition(scope)
        found = self._db.query(
            f"SELECT {by}, sum(clicks) AS click_count, uniqMerge(users) FROM rollup "
            f"WHERE {rows} AND owner = {{account:UInt64}} AND day BETWEEN {{first:Date}} AND {{last:Date}} "
            f"GROUP BY {by} HAVING click_count > 0",
            {"account": account_id, "first": days[0], "last": days[1], **parameters},
        )
        if not found:
            ensure_exists(self._db, account_id, scope)
        return found

    def _checked(self, rows: Iterable[Row], account_id: int) -> list[tuple[tuple[Any, ...], ClickCount]]:
        """What each row is about, and its count, with no more users than clicks."""
        return [(row[:-2], self._at_most(account_id, row[:-2], ClickCount(*row[-2:]))) for row in rows]

    def _at_most(self, account_id: int, place: tuple[Any, ...], count: ClickCount) -> ClickCount:
        clicks, users = count
        if users <= clicks:
            return count
        if users > _EXACT_USERS and users <= clicks * (1 + _ESTIMATE_ERROR):
            self._above.labels("estimate").inc()
        else:
            self._above.labels("damage").inc()
            told = "account %s, %s: %s users of %s clicks; run `clickmill audit`"
            log.error(told, account_id, " ".join(map(str, place)), users, clicks)
        return ClickCount(clicks, clicks)

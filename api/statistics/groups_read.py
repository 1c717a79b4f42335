"""The groups of an account: those of the catalogue, and those that only links name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollups.clickhouse import ClickHouse

PAGE = 30

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


@dataclass(frozen=True, slots=True)
class Group:
    """A group and how many links are in it now. What the catalogue does not tell is None; times are Unix seconds."""

    grp_idx: int
    name: str | None
    memo: str | None
    links: int
    created_at: int | None
    modified_at: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of groups, and how many there are on all pages."""

    number: int
    groups: list[Group]
    total: int


def read_groups(
    db: ClickHouse, account_id: int, number: int, only: Sequence[int] | None = None, part: str = ""
) -> Page:
    """A page of the account's groups by id: all, or only some; `part` is a part of the name, in either case."""
    conditions = ["grp_idx IN {only:Array(UInt64)}"] if only is not None else []
    conditions += ["positionCaseInsensitiveUTF8(max(name), {part:String}) > 0"] if part else []
    having = f"HAVING {' AND '.join(conditions)}" if conditions else ""
    parameters = {"account": account_id, "only": list(only or []), "part": part}
    rows = db.query(
        f"{_GROUPS} {having} ORDER BY grp_idx LIMIT {PAGE} OFFSET {{offset:UInt64}}",
        {**parameters, "offset": (number - 1) * PAGE},
    )
    if rows:
        return Page(number, [_group(*row[:-1]) for row in rows], rows[0][-1])
    total = db.query(f"SELECT count() FROM ({_GROUPS} {having})", parameters)[0][0] if number > 1 else 0
    return Page(number, [], total)


def _group(grp_idx: int, named: bool, name: str, memo: str, links: int, created: int, modified: int) -> Group:
    if not named:
        return Group(grp_idx, None, None, links, None, None)
    return Group(grp_idx, name, memo, links, created, modified)

"""What statistics can be about: a link, the links of a group, or a whole account; and whether the account has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.http.errors import StatisticsCode, StatisticsError
from rollups.clickhouse import ClickHouse

_IN_GROUP = "account_id = {account:UInt64} AND grp_idx = {group:UInt64}"


@dataclass(frozen=True, slots=True)
class LinkScope:
    domain: str
    link_id: str


@dataclass(frozen=True, slots=True)
class GroupScope:
    """The links that are in the group now."""

    grp_idx: int


@dataclass(frozen=True, slots=True)
class AccountScope:
    pass


Scope = LinkScope | GroupScope | AccountScope


def condition(scope: Scope) -> tuple[str, dict[str, Any]]:
    """What picks the rollup rows of a scope, with the parameters that it binds besides `account`."""
    match scope:
        case LinkScope(domain, link_id):
            condition = "grain = 'link_hour' AND domain = {domain:String} AND link_id = {link:String}"
            return condition, {"domain": domain, "link": link_id}
        case GroupScope(grp_idx):
            members = f"SELECT domain, link_id FROM links FINAL WHERE {_IN_GROUP}"
            return f"grain = 'link_hour' AND (domain, link_id) IN ({members})", {"group": grp_idx}
        case AccountScope():
            return "grain = 'account_hour'", {}


def not_found(what: str) -> StatisticsError:
    """One answer for what does not exist and for what belongs to somebody else."""
    return StatisticsError(StatisticsCode.UNKNOWN, f"There is no such {what} in this account.")


def ensure_exists(db: ClickHouse, account_id: int, scope: Scope) -> None:
    """Raises 1004 unless the account has what the scope names."""
    if not _exists(db, account_id, scope):
        raise not_found("link" if isinstance(scope, LinkScope) else "group")


def _exists(db: ClickHouse, account_id: int, scope: Scope) -> bool:
    """Whether the account has the link (catalogued, or ever clicked) or the group (named, or of any link)."""
    match scope:
        case LinkScope():
            link = "account_id = {account:UInt64} AND domain = {domain:String} AND link_id = {link:String}"
            rows, parameters = condition(scope)
            sql = (
                f"SELECT 1 FROM links WHERE {link} LIMIT 1 UNION ALL "
                f"SELECT 1 FROM rollup WHERE {rows} AND owner = {{account:UInt64}} LIMIT 1"
            )
            return bool(db.query(sql, {"account": account_id, **parameters}))
        case GroupScope(grp_idx):
            sql = (
                f"SELECT 1 FROM groups WHERE {_IN_GROUP} LIMIT 1 UNION ALL "
                f"SELECT 1 FROM links FINAL WHERE {_IN_GROUP} LIMIT 1"
            )
            return bool(db.query(sql, {"account": account_id, "group": grp_idx}))
        case AccountScope():
            return True

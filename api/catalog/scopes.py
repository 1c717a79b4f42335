"""The part of an account that a call is about: a link, a group, or all of it; and its rows of the rollup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollups.clickhouse import ClickHouse

_IN_GROUP = "account_id = {account:UInt64} AND grp_idx = {group:UInt64}"


@dataclass(frozen=True, slots=True, kw_only=True)
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


def scope_condition(scope: Scope) -> tuple[str, dict[str, Any]]:
    """The SQL condition on rollup rows of a scope, and its parameters besides `account`."""
    match scope:
        case LinkScope(domain=domain, link_id=link_id):
            condition = "grain = 'link_hour' AND domain = {domain:String} AND link_id = {link:String}"
            return condition, {"domain": domain, "link": link_id}
        case GroupScope(grp_idx):
            members = f"SELECT domain, link_id FROM links FINAL WHERE {_IN_GROUP}"
            return f"grain = 'link_hour' AND (domain, link_id) IN ({members})", {"group": grp_idx}
        case AccountScope():
            return "grain = 'account_hour'", {}


def scope_exists(db: ClickHouse, account_id: int, scope: Scope) -> bool:
    """A link exists if it is in the catalogue or was ever clicked, a group if it has a name or a link. Blocks."""
    match scope:
        case LinkScope():
            link = "account_id = {account:UInt64} AND domain = {domain:String} AND link_id = {link:String}"
            rows, parameters = scope_condition(scope)
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

"""The audit as an admin call: what the rollups say of themselves, for `clickmill audit` to compare with Kafka."""

from __future__ import annotations

from datetime import date
from typing import Annotated, NotRequired

from fastapi import APIRouter, Query
from typing_extensions import TypedDict

from api.admin import guarded_router
from api.errors import BadRequest
from api.keys import KeyRing
from api.openapi import example, refused
from rollups.audit import Days, PartitionAccount, audit, clicks_by_day
from rollups.store import Store


class AuditAnswer(TypedDict):
    """`zones`: of accounts and of publishers, by id, where it is not UTC."""

    partitions: list[PartitionAccount]
    problems: list[str]
    days: NotRequired[Days]
    zones: NotRequired[dict[str, dict[int, str]]]


_EXAMPLE = {
    "partitions": [
        {
            "source": 7,
            "partition": 0,
            "watermark": 3,
            "unverified": 0,
            "records": {"counted": 2, "duplicate": 1},
            "events": {"counted": 2, "duplicate": 1},
        }
    ],
    "problems": [],
}


def audit_router(store: Store, keys: KeyRing) -> APIRouter:
    router = guarded_router(keys)

    @router.get(
        "/audit",
        operation_id="getAudit",
        summary="What was read of each partition, by reason, and whether it adds up",
        responses={**example(200, _EXAMPLE), **refused(400)},
    )
    def get_audit(
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
    ) -> AuditAnswer:
        found = audit(store)
        answer: AuditAnswer = {"partitions": found.partitions, "problems": found.problems}
        if first is not None or last is not None:
            if first is None or last is None or last < first:
                raise BadRequest("from and to are two days, the second not before the first.", field="from")
            answer["days"] = clicks_by_day(store, first, last)
            answer["zones"] = {
                table: dict(store.query(f"SELECT {owner}, time_zone FROM {table} FINAL WHERE time_zone != 'UTC'"))
                for table, owner in (("accounts", "account_id"), ("publishers", "publisher_id"))
            }
        return answer

    return router

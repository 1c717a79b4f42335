"""The audit as an admin call: what the rollups say of themselves, for `clickmill audit` to compare with Kafka."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.admin import guarded_router
from api.errors import BadRequest
from api.keys import KeyRing
from api.openapi import refused
from rollups.audit import audit, clicks_by_day
from rollups.store import Store


def audit_router(store: Store, keys: KeyRing) -> APIRouter:
    router = guarded_router(keys)

    @router.get(
        "/audit",
        operation_id="getAudit",
        summary="What was read of each partition, by reason, and whether it adds up",
        responses=refused(400),
    )
    def get_audit(
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
    ) -> dict[str, Any]:
        answer: dict[str, Any] = asdict(audit(store))
        if first is not None or last is not None:
            if first is None or last is None or last < first:
                raise BadRequest("from and to are two days, the second not before the first.", field="from")
            answer["days"] = asdict(clicks_by_day(store, first, last))
            answer["zones"] = {
                table: dict(store.query(f"SELECT {owner}, time_zone FROM {table} FINAL WHERE time_zone != 'UTC'"))
                for table, owner in (("accounts", "account_id"), ("publishers", "publisher_id"))
            }
        return answer

    return router

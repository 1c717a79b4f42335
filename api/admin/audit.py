"""`GET /admin/audit`: what the rollups report of themselves, for `clickmill audit` to compare with Kafka."""

from __future__ import annotations

from datetime import date
from typing import Annotated, NotRequired

from fastapi import APIRouter, Query
from typing_extensions import TypedDict

from api.access.authentication import Authentication
from api.admin.endpoints import admin_router
from api.http.errors import BadRequest
from api.http.openapi import error_responses, example_response
from rollups.audit import Days, Growth, PartitionAccount, Trouble, audit, clicks_by_day
from rollups.clickhouse import ClickHouse
from rollups.kafka_log.marks import marks

_FEW_MARKS, _MANY_MARKS = 8, 500  # of each partition: to check the log, and to recount days from it


class AuditAnswer(TypedDict):
    """`marks`: source, partition, offset and CRC of records that were counted. `zones`: of accounts and of publishers,
    by id, where it is not UTC."""

    partitions: list[PartitionAccount]
    problems: list[str]
    troubles: list[Trouble]
    growths: list[Growth]
    marks: list[tuple[int, int, int, int]]
    days: NotRequired[Days]
    zones: NotRequired[dict[str, dict[int, str]]]


_EXAMPLE = {
    "partitions": [
        {
            "source": 7,
            "partition": 0,
            "watermark": 3,
            "as_of_ms": 1767225600000,
            "unverified": 0,
            "records": {"counted": 2, "duplicate": 1},
            "events": {"counted": 2, "duplicate": 1},
        }
    ],
    "problems": [],
    "troubles": [],
    "growths": [],
    "marks": [[7, 0, 2, 3632233996]],
}


def audit_router(db: ClickHouse, authentication: Authentication) -> APIRouter:
    router = admin_router(authentication)

    @router.get(
        "/audit",
        operation_id="getAudit",
        summary="What was read of each partition, by reason, and whether it adds up",
        responses={**example_response(200, _EXAMPLE), **error_responses(400)},
    )
    def get_audit(
        first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None,
    ) -> AuditAnswer:
        if (first is None) != (last is None) or (first and last and last < first):
            raise BadRequest("from and to are two days, the second not before the first.", field="from")
        return audit_answer(db, first, last)

    return router


def audit_answer(db: ClickHouse, first: date | None, last: date | None) -> AuditAnswer:
    """What the rollups report of themselves, and of the days from `first` to `last` if both are given. Blocks."""
    found = audit(db)
    of_days = first is not None and last is not None
    answer: AuditAnswer = {
        "partitions": found.partitions,
        "problems": found.problems,
        "troubles": found.troubles,
        "growths": found.growths,
        "marks": marks(db, _MANY_MARKS if of_days else _FEW_MARKS),
    }
    if first is not None and last is not None:
        answer["days"] = clicks_by_day(db, first, last)
        answer["zones"] = {
            table: dict(db.query(f"SELECT {owner}, time_zone FROM {table} FINAL WHERE time_zone != 'UTC'"))
            for table, owner in (("accounts", "account_id"), ("publishers", "publisher_id"))
        }
    return answer

"""`GET /admin/lag` and `GET /admin/dead-letters`: what the log has that is not counted yet, and what cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from anyio import to_thread
from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from typing_extensions import TypedDict

from api.access.authentication import Authentication
from api.admin.endpoints import admin_router
from api.dates import iso_utc
from api.http.errors import RETRY_AFTER_SECONDS
from api.http.openapi import error_responses, example_response
from api.query.change_detection import NEWEST_SOURCE
from api.settings import Settings
from rollups.clickhouse import ClickHouse

if TYPE_CHECKING:  # the client of Kafka is loaded with the first of these calls
    from rollups.delivery.dead_letters import PublishedDeadLetter

_NEWEST = 5000  # records of each partition
_MAX_BYTES = 500  # of a letter
_RETRY_AFTER = {"Retry-After": str(RETRY_AFTER_SECONDS)}
_COUNTED = f"SELECT partition, next, toUnixTimestamp64Milli(as_of) FROM watermarks WHERE source = {NEWEST_SOURCE}"


class PartitionLag(TypedDict):
    """Offsets: the first and the end of the log, the next one to count. `lag` is how many are not counted."""

    partition: int
    first: int
    end: int
    next: int
    lag: int
    as_of: str | None


class LagAnswer(TypedDict):
    topic: str
    lag: int
    partitions: list[PartitionLag]


class DeadLetterView(TypedDict):
    """`raw` has at most 500 bytes of the record, as text; `size` is that of all of it."""

    id: str
    origin: str
    reason: str
    error: str
    message: str
    published_at: str
    size: int
    raw: str | None


class DeadLetterList(TypedDict):
    """Letters that were not replayed, the newest first, and how many there are by reason and error.

    `complete` is false if there are older records than those that were read.
    """

    data: list[DeadLetterView]
    by_error: dict[str, dict[str, int]]
    complete: bool


_LAG: LagAnswer = {
    "topic": "clicks",
    "lag": 2,
    "partitions": [
        {"partition": 0, "first": 0, "end": 1502, "next": 1500, "lag": 2, "as_of": "2026-03-31T12:00:00.250Z"}
    ],
}
_LETTER: DeadLetterView = {
    "id": "6f0d2c1f3f7a9b5e8d1c0a42",
    "origin": "clicks/0/1207",
    "reason": "invalid",
    "error": "time_invalid",
    "message": "clicked_at is no time",
    "published_at": "2026-03-31T12:00:00Z",
    "size": 93,
    "raw": '{"clicked_at": "yesterday"}',
}
_LETTERS: DeadLetterList = {"data": [_LETTER], "by_error": {"invalid": {"time_invalid": 1}}, "complete": True}


def log_status_router(db: ClickHouse, settings: Settings, authentication: Authentication) -> APIRouter:
    router = admin_router(authentication)

    @router.get(
        "/lag",
        operation_id="getLag",
        summary="How much of the log is not counted yet, by partition",
        responses=example_response(200, _LAG),
    )
    async def get_lag() -> LagAnswer:
        from ingest.kafka.reader import fetched_bounds

        async with _kafka():
            bounds = await fetched_bounds(settings, settings.topic)
        rows = await to_thread.run_sync(db.query, _COUNTED, {"topic": settings.topic})
        counted = {partition: (position, as_of) for partition, position, as_of in rows}
        partitions = [_lag(partition, first, end, counted) for partition, (first, end, _) in bounds.items()]
        return {"topic": settings.topic, "lag": sum(row["lag"] for row in partitions), "partitions": partitions}

    @router.get(
        "/dead-letters",
        operation_id="listDeadLetters",
        summary="Records that could not be counted, the newest first",
        responses={**example_response(200, _LETTERS), **error_responses(400)},
    )
    async def get_dead_letters(limit: Annotated[int, Query(ge=1, le=500)] = 100) -> DeadLetterList:
        from rollups.delivery.dead_letters import read_newest_dead_letters

        async with _kafka():
            letters, complete = await read_newest_dead_letters(settings, _NEWEST, _MAX_BYTES)
        found = sorted(letters.open(), key=lambda letter: letter.published_ms, reverse=True)
        by_error: dict[str, Counter[str]] = {}
        for letter in found:
            by_error.setdefault(letter.reason, Counter())[letter.error] += 1
        shown = [_view(letter) for letter in found[:limit]]
        return {
            "data": shown,
            "by_error": {reason: dict(errors.most_common()) for reason, errors in by_error.items()},
            "complete": complete,
        }

    return router


@asynccontextmanager
async def _kafka() -> AsyncIterator[None]:
    """Turns an absent broker into a 503."""
    from ingest.kafka.admin import KafkaError

    try:
        yield
    except KafkaError as error:
        raise HTTPException(503, "Kafka cannot be reached at the moment; try again.", _RETRY_AFTER) from error


def _lag(partition: int, first: int, end: int, counted: dict[int, tuple[int, int]]) -> PartitionLag:
    position, as_of = counted.get(partition, (0, 0))
    position = max(first, position)
    return {
        "partition": partition,
        "first": first,
        "end": end,
        "next": position,
        "lag": max(0, end - position),
        "as_of": iso_utc(as_of / 1000) if as_of > 0 else None,
    }


def _view(letter: PublishedDeadLetter) -> DeadLetterView:
    return {
        "id": letter.id,
        "origin": letter.origin,
        "reason": letter.reason,
        "error": letter.error,
        "message": letter.message,
        "published_at": iso_utc(letter.published_ms / 1000),
        "size": letter.size,
        "raw": None if letter.raw is None else letter.raw.decode(errors="backslashreplace"),
    }

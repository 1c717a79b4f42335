"""The whole listing as a stream, a chunk of rows in memory at a time, at the pace of whoever reads it.

Each chunk is a query of its own behind the last row, so a slow reader holds neither a connection to the database nor
anything in it. A stream that fails ends without its last chunk of HTTP, so that no client takes it for complete.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import date

from starlette.responses import StreamingResponse

from api.catalog.catalog import Catalog
from api.clicks.cursor import START_POSITION
from api.clicks.formats import CONTENT_TYPES, FORMATS, Format
from api.clicks.parameters import ClicksQuery
from api.clicks.queries import ClickRow, position_after, read_chunk, rows_by_day, with_names
from api.query.executor import QueryExecutor
from rollups.clickhouse import ClickHouse, ClickHouseBusy, ClickHouseError, Row

log = logging.getLogger(__name__)

CHUNK_ROWS = 10_000
_PIECE_BYTES = 64 * 1024
_NAMED_AT_ONCE = 1_000  # ids travel in the URL of the query for their names
MAX_READERS = 2  # streams that read at a time: the other connections to the database are for pages
START_TIMEOUT_SECONDS = 1.8  # for a slot, before the first chunk
CHUNK_TIMEOUT_SECONDS = 30.0  # for a slot, before each later chunk: a stream half sent outranks a new one


class Exports:
    """Starts streams; one for an application, so that they share the slots at the database."""

    def __init__(self, db: ClickHouse, catalog: Catalog, executor: QueryExecutor) -> None:
        self._db = db
        self._catalog = catalog
        self._executor = executor
        self._slots = asyncio.Semaphore(MAX_READERS)

    async def start(
        self, query: ClicksQuery, media_type: str, headers: Mapping[str, str], request_id: str
    ) -> StreamingResponse:
        """The answer, begun: what fails before its first chunk is an ordinary error."""
        parts = self._parts(query, FORMATS[media_type]())
        first = await self._next(parts, START_TIMEOUT_SECONDS)
        body = self._pieces(parts, first, request_id)
        return StreamingResponse(body, headers=headers, media_type=CONTENT_TYPES.get(media_type, media_type))

    def _parts(self, query: ClicksQuery, form: Format) -> Iterator[bytes]:
        begun = form.begin()
        for rows in chunks(self._db, query):
            named: list[ClickRow] = []
            for at in range(0, len(rows), _NAMED_AT_ONCE):
                named += with_names(rows[at : at + _NAMED_AT_ONCE], self._catalog)
            yield begun + form.rows(named)
            begun = b""
        yield begun + form.end()

    async def _next(self, parts: Iterator[bytes], patience: float) -> bytes | None:
        """The next part. Its slot is held until its thread is back, also if the caller was cancelled."""
        try:
            async with asyncio.timeout(patience):
                await self._slots.acquire()
        except TimeoutError:
            raise ClickHouseBusy("as many streams as may are being read") from None
        return await self._executor.run(lambda: next(parts, None), self._slots.release)

    async def _pieces(self, parts: Iterator[bytes], part: bytes | None, request_id: str) -> AsyncIterator[bytes]:
        while part is not None:
            for at in range(0, len(part), _PIECE_BYTES):
                yield part[at : at + _PIECE_BYTES]
            try:
                part = await self._next(parts, CHUNK_TIMEOUT_SECONDS)
            except ClickHouseError as error:
                log.error("a stream was cut off (request %s): %s", request_id, error)
                raise


def chunks(db: ClickHouse, query: ClicksQuery) -> Iterator[list[Row]]:
    """The rows of the range behind `query.after`, by identity (newest day first), at most `CHUNK_ROWS` at a time.

    Days are read in stretches of about a chunk, so that no chunk costs the work of the whole range.
    """
    after = query.after or START_POSITION
    for first, last in _stretches(rows_by_day(db, query)):
        rows = None
        while rows is None or len(rows) == CHUNK_ROWS:
            rows = read_chunk(db, query, (first, last), after, CHUNK_ROWS)
            if rows:
                yield rows
                after = position_after(rows[-1], after.page)


def _stretches(days: list[tuple[date, int]]) -> Iterator[tuple[date, date]]:
    """First and last day of stretches that have fewer rows than a chunk, or are one day. `days`: newest first."""
    rows, newest, oldest = 0, None, None
    for day, count in days:
        if newest and oldest and rows + count >= CHUNK_ROWS:
            yield oldest, newest
            rows, newest = 0, None
        rows, newest, oldest = rows + count, newest or day, day
    if newest and oldest:
        yield oldest, newest

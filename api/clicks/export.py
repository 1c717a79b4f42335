"""Streams the whole listing at the pace of its reader, one chunk of rows in memory at a time.

Each chunk is a separate query that continues after the last row, so a slow reader holds no connection to the database.
A stream that fails ends without the last chunk of HTTP, so clients can tell that it is incomplete.
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
_WRITE_BYTES = 64 * 1024
_NAMES_PER_QUERY = 1_000  # parameters of a query travel in its URL
MAX_READERS = 2  # streams that may query at a time; the other connections to the database are for pages
START_TIMEOUT_SECONDS = 1.8  # to get a slot for the first chunk
CHUNK_TIMEOUT_SECONDS = 30.0  # to get a slot for a later chunk: a new stream can be refused, a half-sent one not


class Exports:
    """Starts streams. One instance for an application: its streams share the slots for queries."""

    def __init__(self, db: ClickHouse, catalog: Catalog, executor: QueryExecutor) -> None:
        self._db = db
        self._catalog = catalog
        self._executor = executor
        self._slots = asyncio.Semaphore(MAX_READERS)

    async def start(
        self, query: ClicksQuery, media_type: str, headers: Mapping[str, str], request_id: str
    ) -> StreamingResponse:
        """A response whose first chunk has been read: until then errors become ordinary error responses.

        Raises ClickHouseBusy if no slot gets free in `START_TIMEOUT_SECONDS`.
        """
        encoded = self._chunks(query, FORMATS[media_type]())
        first = await self._next(encoded, START_TIMEOUT_SECONDS)
        body = self._body(encoded, first, request_id)
        return StreamingResponse(body, headers=headers, media_type=CONTENT_TYPES.get(media_type, media_type))

    def _chunks(self, query: ClicksQuery, form: Format) -> Iterator[bytes]:
        head = form.begin()
        for rows in read_chunks(self._db, query):
            named: list[ClickRow] = []
            for at in range(0, len(rows), _NAMES_PER_QUERY):
                named += with_names(rows[at : at + _NAMES_PER_QUERY], self._catalog)
            yield head + form.rows(named)
            head = b""
        yield head + form.end()

    async def _next(self, encoded: Iterator[bytes], timeout: float) -> bytes | None:
        """The next chunk. Its thread keeps the slot until it returns, also if this task is cancelled."""
        try:
            async with asyncio.timeout(timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise ClickHouseBusy("as many streams as may are being read") from None
        return await self._executor.run(lambda: next(encoded, None), self._slots.release)

    async def _body(self, encoded: Iterator[bytes], chunk: bytes | None, request_id: str) -> AsyncIterator[bytes]:
        while chunk is not None:
            for at in range(0, len(chunk), _WRITE_BYTES):
                yield chunk[at : at + _WRITE_BYTES]
            try:
                chunk = await self._next(encoded, CHUNK_TIMEOUT_SECONDS)
            except ClickHouseError as error:
                log.error("a stream was cut off (request %s): %s", request_id, error)
                raise


def read_chunks(db: ClickHouse, query: ClicksQuery) -> Iterator[list[Row]]:
    """All rows after `query.after` by identity, newest day first, at most `CHUNK_ROWS` at a time. Blocks on ClickHouse.

    A query covers only the days of about one chunk, so it need not aggregate the whole range.
    """
    after = query.after or START_POSITION
    for first, last in _day_ranges(rows_by_day(db, query)):
        rows = None
        while rows is None or len(rows) == CHUNK_ROWS:
            rows = read_chunk(db, query, (first, last), after, CHUNK_ROWS)
            if rows:
                yield rows
                after = position_after(rows[-1], after.page)


def _day_ranges(days: list[tuple[date, int]]) -> Iterator[tuple[date, date]]:
    """Ranges of days with fewer rows than a chunk each, or of one day. `days` has the rows of each, newest first."""
    rows, newest, oldest = 0, None, None
    for day, count in days:
        if newest and oldest and rows + count >= CHUNK_ROWS:
            yield oldest, newest
            rows, newest = 0, None
        rows, newest, oldest = rows + count, newest or day, day
    if newest and oldest:
        yield oldest, newest

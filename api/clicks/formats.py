"""The formats of a streamed listing."""

from __future__ import annotations

import io
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Protocol

import msgspec
import pyarrow as pa
from pyarrow import parquet

from api.clicks.queries import ClickRow
from api.http.tabular import CSV, CSV_CONTENT_TYPE, csv_header, csv_line

COLUMNS = tuple(ClickRow.__annotations__)

_SCHEMA = pa.schema(
    [
        pa.field("advertiser_id", pa.int64(), nullable=False),
        pa.field("advertiser_name", pa.string()),
        pa.field("advertiser_slug", pa.string()),
        pa.field("publisher_id", pa.int64(), nullable=False),
        pa.field("publisher_name", pa.string()),
        pa.field("network_id", pa.int64(), nullable=False),
        pa.field("network_name", pa.string()),
        pa.field("click_date", pa.date32(), nullable=False),
        pa.field("click_count", pa.int64(), nullable=False),
    ]
)


class Format(Protocol):
    """An encoder of one file. The file is the output of `begin`, of `rows` for each chunk, and of `end`."""

    def begin(self) -> bytes: ...
    def rows(self, rows: list[ClickRow]) -> bytes: ...
    def end(self) -> bytes: ...


class Csv:
    """With a header line."""

    def begin(self) -> bytes:
        return csv_header(COLUMNS)

    def rows(self, rows: list[ClickRow]) -> bytes:
        return b"".join(csv_line(_values(row)) for row in rows)

    def end(self) -> bytes:
        return b""


class Ndjson:
    """One line of JSON a row, with the keys of the JSON response."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()

    def begin(self) -> bytes:
        return b""

    def rows(self, rows: list[ClickRow]) -> bytes:
        return self._encoder.encode_lines(rows)

    def end(self) -> bytes:
        return b""


class Parquet:
    """One row group a chunk. The file is readable only once it is complete."""

    def __init__(self) -> None:
        self._file = _DrainedFile()
        self._writer = parquet.ParquetWriter(self._file, _SCHEMA)

    def begin(self) -> bytes:
        return self._file.drain()

    def rows(self, rows: list[ClickRow]) -> bytes:
        self._writer.write_table(pa.Table.from_pylist(rows).select(COLUMNS).cast(_SCHEMA))
        return self._file.drain()

    def end(self) -> bytes:
        self._writer.close()
        return self._file.drain()


FORMATS: dict[str, Callable[[], Format]] = {
    CSV: Csv,
    "application/x-ndjson": Ndjson,
    "application/vnd.apache.parquet": Parquet,
}
CONTENT_TYPES = {CSV: CSV_CONTENT_TYPE}  # where it differs from the media type

_values: Callable[[ClickRow], tuple[str | int | None, ...]] = itemgetter(*COLUMNS)


class _DrainedFile(io.RawIOBase):
    """A writable file that hands over its content piece by piece and keeps counting its length."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._length += len(part)
        return len(part)

    def tell(self) -> int:
        return self._length

    def drain(self) -> bytes:
        drained, self._parts = b"".join(self._parts), []
        return drained

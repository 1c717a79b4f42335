"""The formats of a streamed listing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Protocol

import msgspec
import pyarrow as pa
from pyarrow import parquet

from api.clicks.queries import ClickRow

COLUMNS = tuple(ClickRow.__annotations__)

# Spreadsheets run a cell that begins with one of these as a formula; a leading apostrophe makes it text. A spreadsheet
# set to another separator also begins a cell after a semicolon, tab, bar or line break inside our quotes.
_FORMULA = re.compile(r'^(?=[\t\r\n])|(^|[;|\t\r\n])([ "]*)(?=[=+\-@＝＋－＠])')

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
    """RFC 4180 in UTF-8 with a header line. Texts are quoted; null is an empty field without quotes."""

    def begin(self) -> bytes:
        return f"{','.join(COLUMNS)}\r\n".encode()

    def rows(self, rows: list[ClickRow]) -> bytes:
        return b"".join(_line(_values(row)) for row in rows)

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
    "text/csv": Csv,
    "application/x-ndjson": Ndjson,
    "application/vnd.apache.parquet": Parquet,
}
CONTENT_TYPES = {"text/csv": "text/csv; charset=utf-8; header=present"}  # where it differs from the media type

_values: Callable[[ClickRow], tuple[str | int | None, ...]] = itemgetter(*COLUMNS)


def _line(values: Iterable[str | int | None]) -> bytes:
    return f"{','.join(map(_field, values))}\r\n".encode()


def _field(value: str | int | None) -> str:
    if isinstance(value, str):
        quoted = _FORMULA.sub(r"\1\2'", value).replace('"', '""')
        return f'"{quoted}"'
    return "" if value is None else str(value)


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

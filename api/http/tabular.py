"""Lines of CSV (RFC 4180) for spreadsheets. Texts are quoted; null is an empty field without quotes."""

from __future__ import annotations

import re
from collections.abc import Iterable

CSV = "text/csv"
CSV_CONTENT_TYPE = "text/csv; charset=utf-8; header=present"

# Spreadsheets run a cell that begins with one of these as a formula; a leading apostrophe makes it text. A spreadsheet
# set to another separator also begins a cell after a semicolon, tab, bar or line break inside our quotes.
_FORMULA = re.compile(r'^(?=[\t\r\n])|(^|[;|\t\r\n])([ "]*)(?=[=+\-@＝＋－＠])')


def csv_header(columns: Iterable[str]) -> bytes:
    return f"{','.join(columns)}\r\n".encode()


def csv_line(values: Iterable[str | int | None]) -> bytes:
    return f"{','.join(map(_field, values))}\r\n".encode()


def _field(value: str | int | None) -> str:
    if isinstance(value, str):
        quoted = _FORMULA.sub(r"\1\2'", value).replace('"', '""')
        return f'"{quoted}"'
    return "" if value is None else str(value)

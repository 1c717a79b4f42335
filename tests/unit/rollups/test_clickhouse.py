"""The client: lists of any length as parameters, and error codes with ClickHouse's names."""

from __future__ import annotations

import pytest

from rollups.clickhouse import ClickHouse
from rollups.clickhouse_codes import IMPAIRED, TOO_LARGE, TOO_MUCH


def test_codes_have_the_names_of_clickhouse(db: ClickHouse) -> None:
    codes = [*IMPAIRED, *TOO_LARGE, *TOO_MUCH]
    [(names,)] = db.query("SELECT arrayMap(code -> errorCodeToName(code), {codes:Array(UInt16)})", {"codes": codes})
    assert names == [code.name for code in codes]


@pytest.mark.parametrize("length", [0, 1, 1000, 1001, 20_000])
def test_lists_may_be_longer_than_a_parameter(db: ClickHouse, length: int) -> None:
    """20,000 of these numbers are 400 kB, and ClickHouse takes no parameter above 128 KiB."""
    ids = [10**18 + number for number in range(length)]
    sql = "SELECT pair.1, pair.2 FROM (SELECT arrayJoin(arrayZip({a:Array(UInt64)}, {b:Array(UInt64)})) AS pair)"
    assert db.query_lists(sql, {"a": ids, "b": ids[::-1]}) == list(zip(ids, ids[::-1], strict=True))

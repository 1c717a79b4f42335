"""The client: lists of any length as parameters, and error codes with ClickHouse's names."""

from __future__ import annotations

import pytest

from rollups.clickhouse import ClickHouse
from rollups.clickhouse_codes import IMPAIRED, TOO_LARGE, TOO_MUCH


def test_codes_have_the_names_of_clickhouse(db: ClickHouse) -> None:
    codes = [*IMPAIRED, *TOO_LARGE, *TOO_MUCH]
    [(names,)] = db.query("SELECT arrayMap(code -> errorCodeToName(code), {codes:Array(UInt16)})", {"codes": codes})
    assert names == [code.name for code in codes]


def test_trouble_of_replicas_and_starting_servers_is_not_taken_for_poison(db: ClickHouse) -> None:
    """Else clicks become dead letters while a server starts."""
    trouble = "REPLICA|QUORUM|KEEPER|INITIALIZED|ASYNC_LOAD|OVERLOADED|LOCKED|RESTARTED|DROPPED|CANCEL"
    sql = "SELECT number, errorCodeToName(number) FROM numbers(1100) WHERE match(errorCodeToName(number), {t:String})"
    found = db.query(sql, {"t": trouble})
    assert (667, "NOT_INITIALIZED") in found
    other = {"POSTGRESQL_REPLICATION_INTERNAL_ERROR"}
    assert not [row for row in found if row[0] not in {*IMPAIRED, *TOO_MUCH} and row[1] not in other]


@pytest.mark.parametrize("length", [0, 1, 1000, 1001, 20_000])
def test_lists_may_be_longer_than_a_parameter(db: ClickHouse, length: int) -> None:
    """20,000 of these numbers are 400 kB, and ClickHouse takes no parameter above 128 KiB."""
    ids = [10**18 + number for number in range(length)]
    sql = "SELECT pair.1, pair.2 FROM (SELECT arrayJoin(arrayZip({a:Array(UInt64)}, {b:Array(UInt64)})) AS pair)"
    assert db.query_lists(sql, {"a": ids, "b": ids[::-1]}) == list(zip(ids, ids[::-1], strict=True))

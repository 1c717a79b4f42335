"""The last write to the catalogue wins, whatever the clocks of earlier writers said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from api.catalog import newest
from api.catalog.newest import write_newest
from rollups.clickhouse import ClickHouse, ClickHouseBusy
from rollups.transform.timezones import OwnerZones
from tests.support.seed import upsert

# An entry of each table, what is written after it, and the columns that tell.
TABLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "accounts": ({"account_id": 7, "plan": "Free", "time_zone": "UTC"}, {"time_zone": "Asia/Seoul"}),
    "links": ({"account_id": 7, "domain": "https://a.example", "link_id": "x", "grp_idx": 1}, {"grp_idx": 2}),
    "groups": ({"account_id": 7, "grp_idx": 1, "name": "old", "memo": ""}, {"name": "new"}),
    "publishers": ({"publisher_id": 5, "name": "old", "time_zone": "UTC"}, {"name": "new"}),
    "advertisers": ({"advertiser_id": 6, "name": "old", "slug": "old"}, {"name": "new", "slug": "new"}),
    "networks": ({"network_id": 8, "name": "old"}, {"name": "new"}),
}
AHEAD = ["1 MICROSECOND", "1 DAY", "20 YEAR"]


def stands(db: ClickHouse, table: str, wanted: dict[str, Any]) -> bool:
    rows = db.query(f"SELECT {', '.join(wanted)} FROM {table} FINAL")
    return [tuple(row) for row in rows] == [tuple(wanted.values())]


def moved(db: ClickHouse, table: str, interval: str) -> None:
    """All rows again, written by a machine whose clock is ahead."""
    columns = [
        name
        for (name,) in db.query(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
            "AND name != 'version'",
            {"table": table},
        )
    ]
    db.command(
        f"INSERT INTO {table} ({', '.join(columns)}, version) "
        f"SELECT {', '.join(columns)}, now64(6) + INTERVAL {interval} FROM {table}"
    )


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("interval", AHEAD)
def test_the_last_upload_wins(db: ClickHouse, table: str, interval: str) -> None:
    entry, changes = TABLES[table]
    upsert(db, **{table: [entry]})
    moved(db, table, interval)
    for wanted in ({**entry, **changes}, entry, {**entry, **changes}):
        upsert(db, **{table: [wanted]})
        assert stands(db, table, wanted)
    db.command(f"OPTIMIZE TABLE {table} FINAL")
    assert stands(db, table, {**entry, **changes})


def test_an_entry_that_is_ahead_holds_up_no_other(db: ClickHouse) -> None:
    networks = [{"network_id": number, "name": "old"} for number in (1, 2)]
    upsert(db, networks=networks)
    moved(db, "networks", "1 DAY")
    upsert(db, networks=[{"network_id": 3, "name": "other"}])
    upsert(db, networks=[{"network_id": 2, "name": "new"}])
    assert db.query("SELECT name FROM networks FINAL ORDER BY network_id") == [("old",), ("new",), ("other",)]


def test_workers_hear_of_a_zone_that_was_written_after_one_from_tomorrow(db: ClickHouse) -> None:
    upsert(db, accounts=[{"account_id": 7, "plan": "Free", "time_zone": "UTC"}])
    moved(db, "accounts", "1 DAY")
    zones = OwnerZones(db, "accounts", "account_id")
    assert zones.zones_of([7]) == {7: "UTC"}
    zones.refresh()
    upsert(db, accounts=[{"account_id": 7, "plan": "Free", "time_zone": "Asia/Seoul"}])
    zones.refresh()
    assert zones.zones_of([7]) == {7: "Asia/Seoul"}


class Crowded(ClickHouse):
    """Another client writes network 1 right after each of the first writes to this database."""

    def __init__(self, url: str, times: int) -> None:
        super().__init__(url)
        self.times = times
        self.written: list[int] = []

    def insert(self, table: str, rows: Sequence[Sequence[Any]], columns: Sequence[str]) -> None:
        super().insert(table, rows, columns)
        self.written.append(len(rows))
        if self.times:
            self.times -= 1
            self.command(
                f"INSERT INTO {table} (network_id, name, version) "
                f"SELECT 1, 'theirs', max(version) + toIntervalSecond(1) FROM {table}"
            )


ENTRIES = [{"network_id": number, "name": "ours"} for number in (1, 2, 3)]


def test_an_entry_that_another_row_wins_over_meanwhile_is_written_again_alone(db: ClickHouse) -> None:
    crowded = Crowded(db.url, times=2)
    write_newest(crowded, "networks", ("network_id",), ENTRIES)
    assert crowded.written == [3, 1, 1]
    assert db.query("SELECT DISTINCT name FROM networks FINAL") == [("ours",)]


def test_who_never_wins_is_told(db: ClickHouse) -> None:
    crowded = Crowded(db.url, times=100)
    with pytest.raises(ClickHouseBusy, match="networks"):
        write_newest(crowded, "networks", ("network_id",), ENTRIES)
    assert len(crowded.written) == newest.TRIES
    assert db.query("SELECT count() FROM networks FINAL WHERE name = 'ours'") == [(2,)]


def test_nothing_is_written_of_nothing(db: ClickHouse) -> None:
    crowded = Crowded(db.url, times=0)
    write_newest(crowded, "networks", ("network_id",), [])
    assert crowded.written == []

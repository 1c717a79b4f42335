"""Local days and hours against the zone database itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollups.clickhouse import ClickHouse, Row
from rollups.model import REPEATED
from rollups.transform import timezones as zones_module
from rollups.transform.timezones import OwnerZones, local_day_hour
from tests.support import some

ZONES = [
    "UTC",
    "Asia/Kolkata",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/St_Johns",
]


class Fixed(OwnerZones):
    """Owner n has the n-th zone; no database behind it."""

    def __init__(self) -> None:
        pass

    def zones_of(self, owners: Iterable[int]) -> dict[int, str]:
        return {owner: ZONES[owner] for owner in owners}


@given(st.lists(st.tuples(st.integers(0, 4_000_000_000_000), st.integers(0, len(ZONES) - 1)), min_size=1, max_size=50))
def test_days_and_hours_are_local(clicks: list[tuple[int, int]]) -> None:
    times, owners = (np.array(column, np.int64) for column in zip(*clicks, strict=True))
    days, hours = local_day_hour(times, owners, Fixed())
    for (at, owner), day, hour in some(zip(clicks, days.tolist(), hours.tolist(), strict=True)):
        local = datetime.fromtimestamp(at // 1000, ZoneInfo(ZONES[owner]))
        expected = (local.date() - datetime(1970, 1, 1).date()).days, local.hour + local.fold * REPEATED
        if expected[0] >= 0:  # ClickHouse's dates start in 1970
            assert (day, hour) == expected


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "utc", "local"),
    [
        ("Europe/Berlin", "2026-03-29T00:59:59", ("2026-03-29", 1)),
        ("Europe/Berlin", "2026-03-29T01:00:00", ("2026-03-29", 3)),
        ("Europe/Berlin", "2026-10-25T00:30:00", ("2026-10-25", 2)),
        ("Europe/Berlin", "2026-10-25T01:30:00", ("2026-10-25", 2 + REPEATED)),
        ("Australia/Lord_Howe", "2026-04-04T15:15:00", ("2026-04-05", 1 + REPEATED)),
        ("Pacific/Apia", "2011-12-30T09:59:59", ("2011-12-29", 23)),
        ("Pacific/Apia", "2011-12-30T10:00:00", ("2011-12-31", 0)),
        ("America/St_Johns", "2006-04-02T03:30:59", ("2006-04-02", 0)),
        ("America/St_Johns", "2006-04-02T03:31:00", ("2006-04-02", 1)),
    ],
)
def test_both_sides_of_a_change(zone: str, utc: str, local: tuple[str, int]) -> None:
    days, hours = local_day_hour(np.array([at(utc)]), np.array([ZONES.index(zone)]), Fixed())
    assert (str(np.datetime64(0, "D") + int(days[0])), int(hours[0])) == local


def test_zones_come_from_the_catalogue_and_change_on_refresh(db: ClickHouse) -> None:
    zones = OwnerZones(db, "accounts", "account_id")
    columns = ["account_id", "name", "plan", "time_zone"]
    db.insert("accounts", [(1, "", "Free", "Asia/Kolkata")], columns)
    assert zones.zones_of([1, 2]) == {1: "Asia/Kolkata", 2: "UTC"}
    db.insert("accounts", [(2, "", "Free", "Europe/Berlin"), (3, "", "Free", "not/a zone")], columns)
    assert zones.zones_of([1, 2]) == {1: "Asia/Kolkata", 2: "UTC"}, "a known owner is asked for again on refresh only"
    zones.refresh()
    assert zones.zones_of([1, 2, 3]) == {1: "Asia/Kolkata", 2: "Europe/Berlin", 3: "UTC"}
    db.insert("accounts", [(1, "", "Free", "Asia/Kathmandu")], columns)
    zones.refresh()
    assert zones.zones_of([1]) == {1: "Asia/Kathmandu"}


COLUMNS = ["account_id", "name", "plan", "time_zone"]


class Counting(ClickHouse):
    """Counts its queries."""

    queries = 0

    def query(self, *arguments: Any, **named: Any) -> Sequence[Row]:
        self.queries += 1
        return super().query(*arguments, **named)


@pytest.fixture
def counting(db: ClickHouse) -> Iterator[Counting]:
    counting = Counting(db.url)
    yield counting
    counting.close()


def held(zones: OwnerZones) -> int:
    """How many owners are in memory."""
    return sum(len(kept) for kept in vars(zones).values() if isinstance(kept, dict))


def test_made_up_owners_are_forgotten(counting: Counting) -> None:
    counting.insert("accounts", [(1, "", "Free", "Asia/Kolkata")], COLUMNS)
    zones = OwnerZones(counting, "accounts", "account_id", remembered=100)
    for batch in range(200):
        made_up = range(1000 + 50 * batch, 1050 + 50 * batch)
        assert zones.zones_of([1, *made_up]) == {1: "Asia/Kolkata"} | dict.fromkeys(made_up, "UTC")
        assert held(zones) <= 2 * 100 + 51


def test_a_busy_owner_is_queried_once(counting: Counting) -> None:
    counting.insert("accounts", [(1, "", "Free", "Asia/Kolkata")], COLUMNS)
    zones = OwnerZones(counting, "accounts", "account_id", remembered=10)
    for batch in range(100):
        zones.zones_of([1, 2, 1000 + batch])
    before = counting.queries
    assert zones.zones_of([1, 2]) == {1: "Asia/Kolkata", 2: "UTC"}
    assert counting.queries == before


def test_a_batch_of_strangers_is_asked_for_by_the_thousand(counting: Counting) -> None:
    zones = OwnerZones(counting, "accounts", "account_id")
    before = counting.queries
    assert zones.zones_of(range(1, 10_001)) == dict.fromkeys(range(1, 10_001), "UTC")
    assert counting.queries - before == 10


def test_a_refresh_reads_large_changes_in_pieces(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones_module, "READ_AT_ONCE", 7)
    zones = OwnerZones(counting, "accounts", "account_id")
    zones.zones_of(range(1, 31))
    counting.insert("accounts", [(number, "", "Free", "Asia/Kolkata") for number in range(1, 101)], COLUMNS)
    zones.refresh()
    assert zones.zones_of(range(1, 31)) == dict.fromkeys(range(1, 31), "Asia/Kolkata")
    assert held(zones) == 30, "owners without clicks are not kept"


def test_a_refresh_reads_what_is_new_once_it_has_settled(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones_module, "OVERLAP", timedelta(0))
    zones = OwnerZones(counting, "accounts", "account_id")
    counting.insert("accounts", [(number, "", "Free", "Asia/Kolkata") for number in range(1, 101)], COLUMNS)
    zones.refresh()
    monkeypatch.setattr(zones_module, "READ_AT_ONCE", 50)
    before = counting.queries
    zones.refresh()
    assert counting.queries - before < 3, "what was read is not read again"

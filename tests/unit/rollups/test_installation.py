"""What belongs to one database for good: the key of event ids, and the hash of the visitor secret."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from ingest.event import Click
from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.installation import ensure_event_id_key, event_id_key
from rollups.migrations.migrate import migrate
from rollups.transform.click_columns import ClickColumns
from rollups.transform.identity import IdentityHasher

CLICK = Click(1_767_225_600_000, event_id="e", account_id=1, domain="d.e", link_id="a", ip="192.0.2.1")


@pytest.fixture
def fresh(db: ClickHouse) -> Iterator[ClickHouse]:
    """A database before `migrate` has inserted anything."""
    db.command("TRUNCATE TABLE installation")
    yield db
    migrate(db)


def test_the_key_is_made_once(fresh: ClickHouse) -> None:
    with pytest.raises(ClickHouseError, match="run `clickmill migrate`"):
        IdentityHasher.from_database(fresh, "secret")
    migrate(fresh)
    key = event_id_key(fresh)
    migrate(fresh)
    assert event_id_key(fresh) == key
    assert len(key) == 16
    assert fresh.query("SELECT count() FROM installation") == [(1,)]


def test_of_two_keys_that_were_made_at_once_the_earlier_is_used(fresh: ClickHouse) -> None:
    columns = ["name", "value", "created_at"]
    fresh.insert("installation", [("event_id_key", "bb" * 16, "2026-01-01 00:00:00.000001")], columns)
    fresh.insert("installation", [("event_id_key", "aa" * 16, "2026-01-01 00:00:00.000002")], columns)
    ensure_event_id_key(fresh)
    assert event_id_key(fresh) == bytes.fromhex("bb" * 16)


def test_another_secret_is_said_once(fresh: ClickHouse, caplog: pytest.LogCaptureFixture) -> None:
    ensure_event_id_key(fresh)
    said, ids = [], set()
    with caplog.at_level(logging.WARNING):
        for secret in ("one", "one", "two", "two", "one"):
            caplog.clear()
            ids.add(
                int(IdentityHasher.from_database(fresh, secret).hash_clicks(ClickColumns.from_clicks([CLICK])).ids[0])
            )
            said.append(len(caplog.records))
            assert all("CLICKMILL_VISITOR_SECRET" in record.message for record in caplog.records)
    assert said == [0, 0, 1, 0, 1]
    assert len(ids) == 1
    kept = fresh.query("SELECT value FROM installation WHERE name = 'visitor_secret'")
    assert len(kept) == 3
    assert not any("one" in value or "two" in value for (value,) in kept)

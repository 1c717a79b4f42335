"""The life of a key: created, used, cached, expired, revoked here and by another process."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from api.access import keys
from api.access.key_records import KeyRecords, Principal, Role
from api.access.keys import KNOWN_SECONDS, UNKNOWN_SECONDS, USES_SECONDS, KeyRing
from api.settings import Settings
from rollups.clickhouse import ClickHouse, ClickHouseUnavailable, Row
from tests.support.clock import Clock
from tests.support.seed import UNKNOWN_KEY, Away, away


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def ring(db: ClickHouse, clock: Clock) -> KeyRing:
    return KeyRing(db, Settings(admin_key="root-of-the-key-tests"), clock)


def resolved(ring: KeyRing, key: str | None) -> Principal | None:
    return asyncio.run(ring.resolve(key))


def another_process(db: ClickHouse, clock: Clock) -> KeyRing:
    return KeyRing(db, Settings(admin_key="root-of-the-key-tests"), clock)


@pytest.mark.parametrize(
    ("role", "publisher_id", "account_id"),
    [("admin", None, None), ("publisher", 45, None), ("account", None, 2**63 - 1), ("ingest", None, None)],
)
def test_a_new_key_resolves_to_its_principal(
    db: ClickHouse, ring: KeyRing, clock: Clock, role: Role, publisher_id: int, account_id: int
) -> None:
    record, key = ring.create(role, publisher_id=publisher_id, account_id=account_id, name="n")
    expected = Principal(record.id, role, publisher_id, account_id)
    assert resolved(ring, key) == expected
    assert resolved(another_process(db, clock), key) == expected


def test_only_the_hash_of_a_key_is_stored(db: ClickHouse, ring: KeyRing) -> None:
    _, key = ring.create("admin", name="n")
    rows = db.query("SELECT *, toString(hash) FROM api_keys")
    assert rows[0][-1] == hashlib.sha256(key.encode()).hexdigest()
    assert key not in repr(rows)
    assert key[3:] not in repr(rows)


def test_keys_are_long_random_and_all_different(ring: KeyRing) -> None:
    made = {ring.create("admin")[1] for _ in range(5)}
    assert len(made) == 5
    assert all(key.startswith("cm_") and len(key) == 46 for key in made)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param(UNKNOWN_KEY, id="unknown"),
        pytest.param("cm_no", id="short"),
        pytest.param(UNKNOWN_KEY[:-1] + "é", id="no-letter-of-keys"),
        pytest.param(UNKNOWN_KEY + "\n", id="line-end"),
        pytest.param("é", id="not-ascii"),
        pytest.param("a" * 100_000, id="long"),
    ],
)
def test_no_such_key(ring: KeyRing, key: str | None) -> None:
    assert resolved(ring, key) is None


def test_the_admin_key_of_the_settings_needs_no_database() -> None:
    ring = KeyRing(Away(), Settings(admin_key="root-of-the-key-tests"))
    assert resolved(ring, "root-of-the-key-tests") == Principal("settings", "admin")
    assert resolved(ring, "roo") is None, "nothing of that form is in the database"
    with pytest.raises(ClickHouseUnavailable):
        resolved(ring, UNKNOWN_KEY)


def test_without_an_admin_key_the_empty_one_is_nobody(db: ClickHouse) -> None:
    assert resolved(KeyRing(db, Settings(admin_key="")), "") is None


def test_an_expired_key_stops_on_the_second_even_if_remembered(ring: KeyRing, clock: Clock) -> None:
    _, key = ring.create("admin", expires_at=int(clock.now) + 5)
    clock.now += 4
    assert resolved(ring, key) is not None
    clock.now += 0.999
    assert resolved(ring, key) is not None
    clock.now += 0.001
    assert resolved(ring, key) is None


def test_a_key_that_expired_long_ago_never_resolves(ring: KeyRing, clock: Clock) -> None:
    _, key = ring.create("admin", expires_at=int(clock.now) - 100)
    assert resolved(ring, key) is None


def test_a_key_revoked_here_stops_at_once(ring: KeyRing) -> None:
    record, key = ring.create("admin")
    assert resolved(ring, key) is not None
    assert ring.revoke(record.id) is True
    assert resolved(ring, key) is None


def test_a_key_revoked_elsewhere_stops_within_thirty_seconds(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    record, key = ring.create("admin")
    assert resolved(ring, key) is not None
    another_process(db, clock).revoke(record.id)
    clock.now += KNOWN_SECONDS - 0.01
    assert resolved(ring, key) is not None, "a remembered answer is used until its time"
    clock.now += 0.01
    assert resolved(ring, key) is None
    assert KNOWN_SECONDS <= 10


def test_revoking_twice_keeps_the_first_time_and_unknown_ids_are_told(ring: KeyRing, clock: Clock) -> None:
    record, _ = ring.create("admin", name="x")
    assert ring.revoke(record.id)
    first = int(clock.now)
    clock.now += 50
    assert ring.revoke(record.id)
    assert ring.records()[0].revoked_at == first
    assert ring.records()[0].name == "x"
    assert ring.revoke("nope") is False


def test_a_key_unknown_a_moment_ago_is_looked_up_again(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    key = UNKNOWN_KEY
    assert resolved(ring, key) is None
    record, _ = another_process(db, clock).create("admin")
    digest = hashlib.sha256(key.encode()).hexdigest()
    db.command(
        "INSERT INTO api_keys (id, hash, role, name, created_at) "
        "SELECT id, {hash:String}, role, name, created_at FROM api_keys WHERE id = {id:String}",
        {"hash": digest, "id": record.id},
    )
    clock.now += 0.01
    assert resolved(ring, key) is not None, "who has it waits for the next look"


def test_a_clock_set_back_makes_answers_old(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    record, key = ring.create("admin")
    assert resolved(ring, key) is not None
    another_process(db, clock).revoke(record.id)
    clock.now -= 3600
    assert resolved(ring, key) is None


def test_what_is_remembered_is_served_while_the_store_is_away(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    _, key = ring.create("admin")
    with away(db):
        clock.now += KNOWN_SECONDS - 0.01
        assert resolved(ring, key) is not None
        clock.now += 0.01
        with pytest.raises(ClickHouseUnavailable):
            resolved(ring, key)


class Asked(ClickHouse):
    """Counts queries, and may be slow."""

    def __init__(self, url: str, seconds: float = 0.0) -> None:
        super().__init__(url)
        self.questions: list[str] = []
        self.threads: set[int] = set()
        self.seconds = seconds

    def query(self, sql: str, *arguments: Any, **more: Any) -> Sequence[Row]:
        self.questions.append(sql)
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        return super().query(sql, *arguments, **more)


def test_made_up_keys_share_a_look_at_the_database(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    asked = Asked(db.url)
    _, key = ring.create("admin")
    here = KeyRing(asked, Settings(), clock)

    async def strangers(count: int) -> None:
        made_up = [f"cm_{number:043}" for number in range(count)]
        assert await asyncio.gather(*(here.resolve(each) for each in made_up)) == [None] * count
        assert await here.resolve(key) is not None

    asyncio.run(strangers(2000))
    assert len(asked.questions) == 2, "the parts, and the keys"
    clock.now += 0.01
    began = time.monotonic()
    asyncio.run(strangers(2000))
    assert time.monotonic() - began >= UNKNOWN_SECONDS - 0.02, "they wait for it"
    assert len(asked.questions) == 3, "the parts, which are the same"


def test_a_clock_set_back_meanwhile_makes_no_one_ask_for_ever(db: ClickHouse, clock: Clock) -> None:
    class SetBack(Asked):
        def query(self, sql: str, *arguments: Any, **more: Any) -> Sequence[Row]:
            clock.now -= 600
            return super().query(sql, *arguments, **more)

    asked = SetBack(db.url)
    here = KeyRing(asked, Settings(), clock)
    assert asyncio.run(here.resolve(f"cm_{1:043}")) is None
    assert len(asked.questions) <= 4


def test_nobody_with_a_key_waits_behind_strangers(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    asked = Asked(db.url)
    _, key = ring.create("admin")
    here = KeyRing(asked, Settings(), clock)

    async def both() -> float:
        assert await here.resolve(key) is not None
        clock.now += UNKNOWN_SECONDS
        asked.seconds = 0.5
        strangers = asyncio.gather(*(here.resolve(f"cm_{number:043}") for number in range(100)))
        await asyncio.sleep(0.1)
        began = time.monotonic()
        assert await here.resolve(key) is not None
        took = time.monotonic() - began
        await strangers
        return took

    assert asyncio.run(both()) < 0.1
    assert len(asked.threads) <= 2, "strangers take one thread"


def test_what_is_no_key_is_not_looked_for(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    asked = Asked(db.url)
    here = KeyRing(asked, Settings(admin_key="root-of-the-key-tests"), clock)
    for key in ("cm_no", UNKNOWN_KEY + "x", "sk_" + UNKNOWN_KEY[3:], "x" * 60_000):
        assert resolved(here, key) is None
    assert asked.questions == []


def test_known_keys_are_read_anew_before_anybody_waits_for_it(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    record, key = ring.create("admin")
    another_process(db, clock).revoke(record.id)
    clock.now += KNOWN_SECONDS / 2

    async def use() -> list[bool]:
        first = await ring.resolve(key)
        await asyncio.sleep(0.3)
        return [first is not None, await ring.resolve(key) is not None]

    assert asyncio.run(use()) == [True, False]


# -- clocks -----------------------------------------------------------------------------------------------------


def from_tomorrow(db: ClickHouse, key_id: str) -> None:
    """The row of the key again, written by a machine whose clock is a day ahead."""
    columns = "id, hash, role, publisher_id, account_id, name, created_at, expires_at, requests_per_hour"
    db.command(
        f"INSERT INTO api_keys ({columns}, version) SELECT {columns}, now64(6) + INTERVAL 1 DAY FROM api_keys "
        "WHERE id = {id:String} LIMIT 1",
        {"id": key_id},
    )


def test_a_revocation_wins_whatever_the_clocks_say(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    record, key = ring.create("admin")
    from_tomorrow(db, record.id)
    assert ring.revoke(record.id) is True
    assert resolved(ring, key) is None
    from_tomorrow(db, record.id)
    db.command("OPTIMIZE TABLE api_keys FINAL")
    assert resolved(another_process(db, clock), key) is None
    assert ring.records()[0].revoked_at == int(clock.now)


@pytest.mark.parametrize("overlap", [0, 60])
def test_a_rotation_wins_whatever_the_clocks_say(db: ClickHouse, ring: KeyRing, clock: Clock, overlap: int) -> None:
    record, key = ring.create("admin")
    from_tomorrow(db, record.id)
    assert ring.rotate(record.id, overlap) is not None
    from_tomorrow(db, record.id)
    clock.now += overlap
    assert resolved(ring, key) is None
    assert resolved(another_process(db, clock), key) is None


def test_without_an_overlap_a_clock_that_is_ahead_does_not_prolong_the_old_key(db: ClickHouse, ring: KeyRing) -> None:
    record, key = ring.create("admin")
    ahead = another_process(db, Clock(1_800_000_000.0 + 86_400))
    assert ahead.rotate(record.id, 0) is not None
    assert resolved(another_process(db, Clock(1_800_000_000.0)), key) is None


def test_a_rotation_on_its_way_does_not_undo_a_revocation(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    record, key = ring.create("admin")
    elsewhere = another_process(db, clock)
    create = ring.create

    def slowly(*arguments: Any, **more: Any) -> Any:
        made = create(*arguments, **more)
        elsewhere.revoke(record.id)
        return made

    ring.create = slowly  # type: ignore[method-assign]
    assert ring.rotate(record.id, 3600) is not None
    assert resolved(ring, key) is None


def test_ends_only_come_closer(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    record, _ = ring.create("admin", expires_at=int(clock.now) + 1000)
    KeyRecords(db).end(record.id, expires_at=int(clock.now) + 60)
    KeyRecords(db).end(record.id, expires_at=int(clock.now) + 5000)
    db.command("OPTIMIZE TABLE api_key_ends FINAL")
    assert ring.records()[0].expires_at == int(clock.now) + 60


def test_keys_revoked_before_ends_had_a_table_stay_revoked(db: ClickHouse, ring: KeyRing) -> None:
    record, key = ring.create("admin")
    columns = "id, hash, role, name, created_at"
    db.command(f"INSERT INTO api_keys ({columns}, revoked_at) SELECT {columns}, now() FROM api_keys")
    assert resolved(KeyRing(db, Settings()), key) is None
    assert ring.records()[0].revoked_at is not None
    assert ring.revoke(record.id) is True


def test_a_change_that_the_database_does_not_show_is_an_error(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "READ_BACK_PAUSE", 0.01)
    record, _ = ring.create("admin")
    monkeypatch.setattr(KeyRecords, "end", lambda *_, **__: None)
    with pytest.raises(ClickHouseUnavailable):
        ring.revoke(record.id)
    with pytest.raises(ClickHouseUnavailable):
        ring.rotate(record.id, 60)
    monkeypatch.setattr(KeyRecords, "add", lambda *_: None)
    with pytest.raises(ClickHouseUnavailable):
        ring.create("admin")


def test_records_are_oldest_first_and_whole(ring: KeyRing, clock: Clock) -> None:
    first, _ = ring.create("publisher", publisher_id=45, name="a", expires_at=int(clock.now) + 9)
    clock.now += 10
    second, _ = ring.create("ingest")
    assert ring.records() == [first, second]


def test_a_rotated_key_lives_on_for_the_overlap(ring: KeyRing, clock: Clock) -> None:
    old, key = ring.create("publisher", publisher_id=45, name="shop", requests_per_hour=7)
    assert resolved(ring, key) is not None
    made = ring.rotate(old.id, 60)
    assert made is not None
    new, new_key = made
    assert (new.role, new.publisher_id, new.name, new.requests_per_hour) == ("publisher", 45, "shop", 7)
    assert new.id != old.id
    assert new.expires_at is None
    clock.now += 59
    assert [resolved(ring, each) is not None for each in (key, new_key)] == [True, True]
    clock.now += 1
    assert [resolved(ring, each) is not None for each in (key, new_key)] == [False, True]


def test_without_an_overlap_the_old_key_ends_at_once(ring: KeyRing) -> None:
    old, key = ring.create("admin")
    assert resolved(ring, key) is not None
    assert ring.rotate(old.id, 0) is not None
    assert resolved(ring, key) is None


def test_a_rotated_key_is_made_for_as_long_and_an_overlap_prolongs_nothing(ring: KeyRing, clock: Clock) -> None:
    old, key = ring.create("admin", expires_at=int(clock.now) + 1000)
    clock.now += 990
    made = ring.rotate(old.id, 500)
    assert made is not None
    assert made[0].expires_at == int(clock.now) + 1000
    clock.now += 10
    assert resolved(ring, key) is None
    assert resolved(ring, made[1]) is not None


def test_what_has_ended_is_not_rotated(ring: KeyRing, clock: Clock) -> None:
    revoked, _ = ring.create("admin")
    ring.revoke(revoked.id)
    expired, _ = ring.create("admin", expires_at=int(clock.now) + 1)
    clock.now += 2
    assert [ring.rotate(key_id, 60) for key_id in (revoked.id, expired.id, "nope", "settings")] == [None] * 4


def uses_written(db: ClickHouse) -> int:
    [(count,)] = db.query("SELECT count() FROM key_uses")
    return int(count)


def test_uses_are_noted_at_once_and_written_once_a_minute(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    record, key = ring.create("admin")
    unused, _ = ring.create("admin")

    async def use(times: int) -> None:
        for _ in range(times):
            await ring.resolve(key)
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(use(20))
    assert ring.uses.read() == {record.id: int(clock.now)}
    assert uses_written(db) == 0
    clock.now += USES_SECONDS
    asyncio.run(use(20))
    assert uses_written(db) == 1
    assert another_process(db, clock).uses.read() == {record.id: int(clock.now)}
    assert unused.id not in ring.uses.read()


def test_uses_that_cannot_be_written_are_kept(db: ClickHouse, ring: KeyRing, clock: Clock) -> None:
    ring.uses.note("a")
    with away(db):
        ring.uses.write()
    ring.uses.write()
    ring.uses.write()
    assert another_process(db, clock).uses.read() == {"a": int(clock.now)}
    assert uses_written(db) == 1


def test_a_use_that_is_noted_during_a_write_is_not_lost(ring: KeyRing) -> None:
    class SlowToNote(str):
        def __hash__(self) -> int:
            if writer.ident is None:
                writer.start()
                writer.join(0.2)  # it ends here, or waits until the use is noted
            return super().__hash__()

    writer = threading.Thread(target=ring.uses.write)
    ring.uses.note("first")
    ring.uses.note(SlowToNote("second"))
    writer.join()
    assert ring.uses.read().keys() == {"first", "second"}


def test_the_key_of_the_settings_and_strangers_leave_no_use(ring: KeyRing) -> None:
    async def use() -> None:
        for key in ("root-of-the-key-tests", UNKNOWN_KEY, None):
            await ring.resolve(key)

    asyncio.run(use())
    assert ring.uses.read() == {}


def test_resolving_from_the_event_loop(ring: KeyRing) -> None:
    _, key = ring.create("admin")

    async def twice() -> list[Principal | None]:
        return [await ring.resolve(k) for k in (key, key, "no", None, "root-of-the-key-tests")]

    looked_up, remembered, unknown, missing, root = asyncio.run(twice())
    assert looked_up is not None
    assert looked_up == remembered
    assert (unknown, missing) == (None, None)
    assert root == Principal("settings", "admin")

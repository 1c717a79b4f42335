"""The life of a key: made, used, remembered, expired, revoked here and by another process."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from api import key_uses
from api import keys as keys_module
from api.keys import KNOWN_SECONDS, UNKNOWN_SECONDS, KeyRing, Principal
from ingest.settings import Settings
from rollups.store import Store, StoreUnavailable
from tests.support.clock import Clock
from tests.support.seed import Away


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def ring(store: Store, clock: Clock) -> KeyRing:
    return KeyRing(store, Settings(admin_key="root-of-the-key-tests"), clock)


def another_process(store: Store, clock: Clock) -> KeyRing:
    return KeyRing(store, Settings(admin_key="root-of-the-key-tests"), clock)


@pytest.mark.parametrize(
    ("role", "publisher_id", "account_id"),
    [("admin", None, None), ("publisher", 45, None), ("account", None, 2**63 - 1), ("ingest", None, None)],
)
def test_a_new_key_resolves_to_its_principal(
    store: Store, ring: KeyRing, clock: Clock, role: keys_module.Role, publisher_id: int, account_id: int
) -> None:
    record, key = ring.create(role, publisher_id=publisher_id, account_id=account_id, name="n")
    expected = Principal(record.id, role, publisher_id, account_id)
    assert ring.resolve(key) == expected
    assert another_process(store, clock).resolve(key) == expected


def test_only_the_hash_of_a_key_is_stored(store: Store, ring: KeyRing) -> None:
    _, key = ring.create("admin", name="n")
    rows = store.query("SELECT *, toString(hash) FROM api_keys")
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
        pytest.param("cm_no", id="unknown"),
        pytest.param("é", id="not-ascii"),
        pytest.param("a" * 100_000, id="long"),
    ],
)
def test_no_such_key(ring: KeyRing, key: str | None) -> None:
    assert ring.resolve(key) is None


def test_the_admin_key_of_the_settings_needs_no_database() -> None:
    ring = KeyRing(Away(), Settings(admin_key="root-of-the-key-tests"))
    assert ring.resolve("root-of-the-key-tests") == Principal("settings", "admin")
    with pytest.raises(StoreUnavailable):
        ring.resolve("roo")


def test_without_an_admin_key_the_empty_one_is_nobody(store: Store) -> None:
    assert KeyRing(store, Settings(admin_key="")).resolve("") is None


def test_an_expired_key_stops_on_the_second_even_if_remembered(ring: KeyRing, clock: Clock) -> None:
    _, key = ring.create("admin", expires_at=int(clock.now) + 5)
    clock.now += 4
    assert ring.resolve(key) is not None
    clock.now += 0.999
    assert ring.resolve(key) is not None
    clock.now += 0.001
    assert ring.resolve(key) is None


def test_a_key_that_expired_long_ago_never_resolves(ring: KeyRing, clock: Clock) -> None:
    _, key = ring.create("admin", expires_at=int(clock.now) - 100)
    assert ring.resolve(key) is None


def test_a_key_revoked_here_stops_at_once(ring: KeyRing) -> None:
    record, key = ring.create("admin")
    assert ring.resolve(key) is not None
    assert ring.revoke(record.id) is True
    assert ring.resolve(key) is None


def test_a_key_revoked_elsewhere_stops_within_thirty_seconds(store: Store, ring: KeyRing, clock: Clock) -> None:
    record, key = ring.create("admin")
    assert ring.resolve(key) is not None
    another_process(store, clock).revoke(record.id)
    clock.now += KNOWN_SECONDS - 0.01
    assert ring.resolve(key) is not None, "a remembered answer is used until its time"
    clock.now += 0.01
    assert ring.resolve(key) is None
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


def test_a_key_unknown_a_moment_ago_is_looked_up_again(store: Store, ring: KeyRing, clock: Clock) -> None:
    key = "cm_restored"
    assert ring.resolve(key) is None
    record, _ = another_process(store, clock).create("admin")
    digest = hashlib.sha256(key.encode()).hexdigest()
    store.command(
        "INSERT INTO api_keys (id, hash, role, name, created_at) "
        "SELECT id, {hash:String}, role, name, created_at FROM api_keys WHERE id = {id:String}",
        {"hash": digest, "id": record.id},
    )
    clock.now += UNKNOWN_SECONDS - 0.01
    assert ring.resolve(key) is None
    clock.now += 0.01
    assert ring.resolve(key) is not None


def test_a_clock_set_back_makes_answers_old(store: Store, ring: KeyRing, clock: Clock) -> None:
    record, key = ring.create("admin")
    assert ring.resolve(key) is not None
    another_process(store, clock).revoke(record.id)
    clock.now -= 3600
    assert ring.resolve(key) is None


def test_what_is_remembered_is_served_while_the_store_is_away(store: Store, ring: KeyRing, clock: Clock) -> None:
    _, key = ring.create("admin")
    assert ring.resolve(key) is not None
    ring._store = Away()
    clock.now += KNOWN_SECONDS - 0.01
    assert ring.resolve(key) is not None
    clock.now += 0.01
    with pytest.raises(StoreUnavailable):
        ring.resolve(key)


def test_the_memory_is_bounded_and_strangers_push_nobody_out(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "MEMORY", 3)
    _, key = ring.create("admin")
    assert ring.resolve(key) is not None
    for number in range(10):
        ring.resolve(f"stranger-{number}")
    assert len(ring._unknown._answers) == 3
    ring._store = Away()
    assert ring.resolve(key) is not None


def test_records_are_oldest_first_and_whole(ring: KeyRing, clock: Clock) -> None:
    first, _ = ring.create("publisher", publisher_id=45, name="a", expires_at=int(clock.now) + 9)
    clock.now += 10
    second, _ = ring.create("ingest")
    assert ring.records() == [first, second]


def test_a_rotated_key_lives_on_for_the_overlap(ring: KeyRing, clock: Clock) -> None:
    old, key = ring.create("publisher", publisher_id=45, name="shop", requests_per_hour=7)
    assert ring.resolve(key) is not None
    made = ring.rotate(old.id, 60)
    assert made is not None
    new, new_key = made
    assert (new.role, new.publisher_id, new.name, new.requests_per_hour) == ("publisher", 45, "shop", 7)
    assert new.id != old.id
    assert new.expires_at is None
    clock.now += 59
    assert [ring.resolve(each) is not None for each in (key, new_key)] == [True, True]
    clock.now += 1
    assert [ring.resolve(each) is not None for each in (key, new_key)] == [False, True]


def test_without_an_overlap_the_old_key_ends_at_once(ring: KeyRing) -> None:
    old, key = ring.create("admin")
    assert ring.resolve(key) is not None
    assert ring.rotate(old.id, 0) is not None
    assert ring.resolve(key) is None


def test_a_rotated_key_is_made_for_as_long_and_an_overlap_prolongs_nothing(ring: KeyRing, clock: Clock) -> None:
    old, key = ring.create("admin", expires_at=int(clock.now) + 1000)
    clock.now += 990
    made = ring.rotate(old.id, 500)
    assert made is not None
    assert made[0].expires_at == int(clock.now) + 1000
    clock.now += 10
    assert ring.resolve(key) is None
    assert ring.resolve(made[1]) is not None


def test_what_has_ended_is_not_rotated(ring: KeyRing, clock: Clock) -> None:
    revoked, _ = ring.create("admin")
    ring.revoke(revoked.id)
    expired, _ = ring.create("admin", expires_at=int(clock.now) + 1)
    clock.now += 2
    assert [ring.rotate(key_id, 60) for key_id in (revoked.id, expired.id, "nope", "settings")] == [None] * 4


def uses_written(store: Store) -> int:
    [(count,)] = store.query("SELECT count() FROM key_uses")
    return int(count)


def test_uses_are_noted_at_once_and_written_once_a_minute(store: Store, ring: KeyRing, clock: Clock) -> None:
    record, key = ring.create("admin")
    unused, _ = ring.create("admin")

    async def use(times: int) -> None:
        for _ in range(times):
            await ring.resolve_async(key)
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(use(20))
    assert ring.uses.read() == {record.id: int(clock.now)}
    assert uses_written(store) == 0
    clock.now += key_uses.WRITE_SECONDS
    asyncio.run(use(20))
    assert uses_written(store) == 1
    assert another_process(store, clock).uses.read() == {record.id: int(clock.now)}
    assert unused.id not in ring.uses.read()


def test_uses_that_cannot_be_written_are_kept(store: Store, ring: KeyRing, clock: Clock) -> None:
    ring.uses.note("a")
    ring.uses._store = Away()
    ring.uses.write()
    ring.uses._store = store
    ring.uses.write()
    ring.uses.write()
    assert another_process(store, clock).uses.read() == {"a": int(clock.now)}
    assert uses_written(store) == 1


def test_the_key_of_the_settings_and_strangers_leave_no_use(ring: KeyRing) -> None:
    async def use() -> None:
        for key in ("root-of-the-key-tests", "cm_stranger", None):
            await ring.resolve_async(key)

    asyncio.run(use())
    assert ring.uses.read() == {}


def test_resolving_from_the_event_loop(ring: KeyRing) -> None:
    _, key = ring.create("admin")

    async def twice() -> list[Principal | None]:
        return [await ring.resolve_async(k) for k in (key, key, "no", None, "root-of-the-key-tests")]

    looked_up, remembered, unknown, missing, root = asyncio.run(twice())
    assert looked_up is not None
    assert looked_up == remembered
    assert (unknown, missing) == (None, None)
    assert root == Principal("settings", "admin")

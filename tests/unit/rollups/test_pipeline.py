"""The main path over a log in memory and the real engine: what goes in comes out once, under its reason."""

from __future__ import annotations

import asyncio
import gc
import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from ingest.event.addresses import AddressHasher
from rollups.clickhouse import ClickHouse, ClickHouseUnavailable
from rollups.delivery.fences import Fences
from rollups.delivery.markers import Marker, Markers
from rollups.delivery.sources import SourceReplaced
from rollups.model import FetchPosition, State
from rollups.settings import Settings
from rollups.transform.seen import Seen
from tests.support.memory_log import LOG_TIME_MS, MemoryLog
from tests.support.worker import SOURCE, Harness, harness, until


def click(number: int, **fields: object) -> dict[str, object]:
    event: dict[str, object] = {
        "event_id": f"e{number}",
        "clicked_at": LOG_TIME_MS + 5000 * number,
        "account_id": 1,
        "domain": "VVD.bz/",
        "link_id": "a",
        "publisher_id": 5,
        "advertiser_id": 6,
        "network_id": 7,
        "visitor_id": f"v{number % 3}",
    }
    return event | fields


def ledger(db: ClickHouse) -> dict[str, int]:
    return {str(reason): records for reason, records in db.query("SELECT reason, sum(records) FROM ledger GROUP BY 1")}


def hourly(db: ClickHouse) -> list[Any]:
    return list(
        db.query("SELECT account_id, domain, link_id, hour, clicks, bots, users FROM clicks_hourly ORDER BY ALL")
    )


async def consumed(
    db: ClickHouse, log: MemoryLog, partitions: set[int], *, most: int | None = None, **options: Any
) -> Harness:
    async with harness(db, log, **options) as worker:
        await worker.claim(partitions)
        await worker.consume(most)
        return worker


def test_counts_every_grain_once(db: ClickHouse) -> None:
    log = MemoryLog()
    for number in range(10):
        log.append(number % 2, click(number))
    asyncio.run(consumed(db, log, {0, 1}))
    assert hourly(db) == [(1, "https://vvd.bz", "a", 0, 10, 0, 3)]
    assert db.query("SELECT account_id, clicks, users FROM clicks_hourly_by_account") == [(1, 10, 3)]
    assert db.query("SELECT publisher_id, advertiser_id, network_id, clicks FROM clicks_daily") == [(5, 6, 7, 10)]
    assert ledger(db) == {"counted": 10}
    assert {p: marker.next for p, marker in Markers(db, SOURCE).read().items()} == {0: 5, 1: 5}


def test_every_reason_is_counted_and_moves_the_watermark(db: ClickHouse) -> None:
    log = MemoryLog()
    log.append(0, click(1))
    log.append(0, click(1))  # a retry
    log.append(0, click(2, user_agent="Googlebot/2.1 (+http://www.google.com/bot.html)"))
    log.append(0, click(3, purpose="prefetch"))
    log.append(0, click(4, clicked_at="2099-01-01T00:00:00Z"))
    log.append(0, b"{")
    log.append(0, None)
    log.append(0, [click(5), {"clicked_at": "nope"}, click(6)])
    worker = asyncio.run(consumed(db, log, {0}))
    # The array is one record: its first click accounts for it, the bad one beside it is an event without a record.
    assert ledger(db) == {"counted": 2, "duplicate": 1, "bot": 1, "prefetch": 1, "future": 1, "invalid": 2}
    events = {str(reason): n for reason, n in db.query("SELECT reason, sum(events) FROM ledger GROUP BY reason")}
    assert events == {"counted": 3, "duplicate": 1, "bot": 1, "prefetch": 1, "future": 1, "invalid": 3}
    assert hourly(db) == [(1, "https://vvd.bz", "a", 0, 3, 2, 3)]
    assert Markers(db, SOURCE).read()[0].next == 8
    assert [(letter.offset, letter.index, letter.error) for _, letter in worker.log.dead] == [
        (4, None, "future"),
        (5, None, "not_json"),
        (6, None, "tombstone"),
        (7, 1, "time_invalid"),
    ]
    assert json.loads(worker.log.dead[0][1].raw or b"")["event_id"] == "e4"


def test_what_is_left_out_of_garbage_collection_stays_out(db: ClickHouse) -> None:
    log = MemoryLog()
    log.append(0, click(1))
    gc.freeze()
    try:
        asyncio.run(consumed(db, log, {0}))
        assert gc.get_freeze_count()
        assert gc.isenabled()
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_collection_is_left_as_it_was(db: ClickHouse, collecting: bool) -> None:
    log = MemoryLog()
    log.append(0, click(1))
    if not collecting:
        gc.disable()
    try:
        asyncio.run(consumed(db, log, {0}))
        assert gc.isenabled() is collecting
    finally:
        gc.enable()


def test_a_restart_goes_on_at_the_watermark(db: ClickHouse) -> None:
    log = MemoryLog()
    for number in range(3):
        log.append(0, click(number))
    asyncio.run(consumed(db, log, {0}))
    for number in range(3, 5):
        log.append(0, click(number))
    asyncio.run(consumed(db, log, {0}))
    assert ledger(db) == {"counted": 5}


def test_a_zombie_is_fenced_and_its_partition_claimed_again(db: ClickHouse) -> None:
    log = MemoryLog()
    log.append(0, click(1))

    async def scenario() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0})
            first = worker.leases.held[0]
            await asyncio.to_thread(Fences(db, SOURCE).raise_fences, [0])  # another worker claims
            await worker.consume()
            assert worker.leases.held[0].epoch > first.epoch
            assert worker.pipeline.stats.inserts == {"fenced": 1, "applied": 1}

    asyncio.run(scenario())
    assert ledger(db) == {"counted": 1}


def test_an_insert_that_had_landed_is_not_applied_twice(db: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MemoryLog()
    for number in range(4):
        log.append(0, click(number))
    insert_arrow = db.insert_arrow
    answers = [True, False, True]

    def lose_the_answer(table: str, batch: pa.Table, settings: dict[str, Any]) -> None:
        insert_arrow(table, batch, settings)
        if table == "landing" and not answers.pop(0):
            raise ClickHouseUnavailable("timed out")

    monkeypatch.setattr(db, "insert_arrow", lose_the_answer)

    async def scenario() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0})
            await worker.consume(most=2)
            log.append(0, click(4))
            await worker.consume()
            assert worker.pipeline.stats.inserts == {"applied": 2, "unknown": 1}

    asyncio.run(scenario())
    assert ledger(db) == {"counted": 5}


def test_a_dropped_batch_is_fetched_again(db: ClickHouse) -> None:
    log = MemoryLog()
    for number in range(6):
        log.append(0, click(number))

    async def scenario() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0})
            log.fetch(worker.leases.held[0], 2)  # Faust drops this one on its way
            await worker.consume(most=2)

    asyncio.run(scenario())
    assert ledger(db) == {"counted": 6}


def test_retention_loss_stops_the_partition_and_no_other(db: ClickHouse) -> None:
    log = MemoryLog()
    for number in range(4):
        log.append(number % 2, click(number))
    asyncio.run(consumed(db, log, {0, 1}))
    log.partitions[0], log.first[0] = [], 10  # the head is gone, beyond the watermark
    log.append(1, click(9))
    worker = asyncio.run(consumed(db, log, {0, 1}))
    assert worker.leases.held[0].state is State.HALTED
    assert "retention" in worker.leases.halted()[0]
    assert ledger(db) == {"counted": 5}


def test_a_log_that_ends_before_the_watermark_stops_the_partition(db: ClickHouse) -> None:
    # Nothing is noted of its last record, as by earlier versions.
    db.insert("rollup", [("watermark", SOURCE, 0, 1)], ["grain", "source", "partition", "next"])

    async def scenario() -> None:
        async with harness(db, MemoryLog({0: []})) as worker:
            await worker.claim({0})
            assert worker.leases.held[0].ready, "a low end alone is no proof"
            worker.leases.reclaim(list(worker.leases.held.values()), "refused by the broker", out_of_range=True)
            await until(lambda: bool(worker.leases.halted()))
            assert "before the watermark" in worker.leases.halted()[0]

    asyncio.run(scenario())


def test_a_log_whose_head_was_gone_at_first_sight_starts_with_a_gap(db: ClickHouse) -> None:
    log = MemoryLog(first={0: 10})
    log.append(0, click(1))
    asyncio.run(consumed(db, log, {0}))
    assert ledger(db) == {"gap": 10, "counted": 1}
    assert Markers(db, SOURCE).read()[0].next == 11


def test_gaps_in_the_log_are_accounted_for(db: ClickHouse) -> None:
    log = MemoryLog()
    for number in range(5):
        log.append(0, click(number))
    del log.partitions[0][1:3]  # as transaction markers or compaction leave it

    async def scenario() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0})
            lease = worker.leases.held[0]
            batch = log.fetch(lease)
            assert lease.position is not None
            batch.end = lease.position.offset = 5
            await worker.put(batch)
            while lease.next < 5:
                await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert ledger(db) == {"counted": 3, "gap": 2}


def test_local_days_and_hours_are_those_of_the_owner(db: ClickHouse) -> None:
    db.insert("accounts", [(1, "A", "Free", "Asia/Kolkata")], ["account_id", "name", "plan", "time_zone"])
    db.insert("publishers", [(5, "P", "Pacific/Auckland")], ["publisher_id", "name", "time_zone"])
    log = MemoryLog()
    log.append(0, click(1, clicked_at="2026-01-01T19:00:00Z"), at=LOG_TIME_MS + 20 * 3_600_000)
    asyncio.run(consumed(db, log, {0}))
    assert [(str(day), hour) for day, hour in db.query("SELECT day, hour FROM clicks_hourly")] == [("2026-01-02", 0)]
    assert [str(day) for (day,) in db.query("SELECT day FROM clicks_daily")] == ["2026-01-02"]


def test_an_hour_that_the_clock_repeats_is_one_in_the_views(db: ClickHouse) -> None:
    db.insert("accounts", [(1, "A", "Free", "Europe/Berlin")], ["account_id", "name", "plan", "time_zone"])
    first = 1_792_888_200_000  # 2026-10-25, 2:30 in summer
    log = MemoryLog()
    for number, at in enumerate((first, first + 3_600_000, first + 7_200_000)):
        log.append(0, click(number, clicked_at=at, visitor_id="v"), at=first + 7_200_000)
    asyncio.run(consumed(db, log, {0}))
    for view in ("clicks_hourly", "clicks_hourly_by_account"):
        assert db.query(f"SELECT hour, clicks, users FROM {view} ORDER BY hour") == [(2, 2, 1), (3, 1, 1)]
    assert db.query("SELECT DISTINCT hour FROM rollup WHERE grain = 'account_hour' ORDER BY hour") == [
        (2,),
        (3,),
        (34,),
    ]


def test_a_repeat_counts_once_and_its_own_retry_is_a_duplicate(db: ClickHouse) -> None:
    log = MemoryLog()
    log.append(0, click(0))
    log.append(0, click(0, event_id="again", clicked_at=LOG_TIME_MS + 4999))  # the same slot
    log.append(0, click(0, event_id="again", clicked_at=LOG_TIME_MS + 4999))
    log.append(0, click(0, event_id="later", clicked_at=LOG_TIME_MS + 5000))
    log.append(0, click(0, event_id="other", link_id="b"))
    log.append(0, click(0, event_id="bot", clicked_at=LOG_TIME_MS + 10_000, purpose="prefetch"))
    log.append(0, click(0, event_id="person", clicked_at=LOG_TIME_MS + 10_001))
    asyncio.run(consumed(db, log, {0}))
    assert ledger(db) == {"counted": 4, "repeat": 1, "duplicate": 1, "prefetch": 1}


def test_the_next_owner_remembers_what_was_applied_and_nothing_else(db: ClickHouse) -> None:
    log = MemoryLog()
    for number in range(3):
        log.append(0, click(number))

    async def cut_off() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0})
            await worker.put(log.fetch(worker.leases.held[0], 2))
            await until(lambda: worker.leases.held[0].next == 2)
            lease = worker.leases.held[0]
            await asyncio.to_thread(Fences(db, SOURCE).raise_fences, [0])
            await worker.pipeline.apply(worker.transformer.transform([(lease, log.fetch(lease))]).prepared)
            assert worker.pipeline.stats.inserts["fenced"] == 1  # it dies between `seen` and the clicks of a batch

    asyncio.run(cut_off())
    assert db.query("SELECT max(end_offset) FROM seen") == [(3,)]
    for number in (0, 1, 2):
        log.append(0, click(number))
    asyncio.run(consumed(db, log, {0}))
    assert ledger(db) == {"counted": 3, "duplicate": 3}


def test_a_new_incarnation_of_the_topic_knows_what_the_last_one_saw(db: ClickHouse) -> None:
    for source, topic in ((SOURCE - 1, "clicks"), (SOURCE, "clicks"), (SOURCE - 2, "other")):
        db.insert("sources", [(source, "c", topic, str(source))], ["source", "cluster_id", "topic", "topic_id"])
    for source, number in ((SOURCE - 1, 0), (SOURCE - 2, 1), (SOURCE, 0), (SOURCE, 1)):
        log = MemoryLog()
        log.append(0, click(number))
        log.first[0] = Markers(db, source).read().get(0, Marker()).next
        asyncio.run(consumed(db, log, {0}, source=source))
    assert db.query("SELECT source, reason, records FROM ledger ORDER BY ALL") == [
        (SOURCE - 2, "counted", 1),
        (SOURCE - 1, "counted", 1),
        (SOURCE, "counted", 1),
        (SOURCE, "duplicate", 1),
    ]


def test_what_could_not_be_verified_is_counted_as_such(db: ClickHouse) -> None:
    log = MemoryLog()
    log.append(0, click(0))
    log.append(0, click(1, event_id=None))
    log.append(0, click(2, clicked_at=LOG_TIME_MS - 61 * 60_000))  # may have been delivered before the horizon
    log.append(0, click(3))
    log.append(0, click(4))  # does not fit
    asyncio.run(consumed(db, log, {0}, settings=Settings(batch_linger_ms=0, dedupe_max_keys=3)))
    assert db.query("SELECT reason, records, unverified FROM ledger") == [("counted", 5, 4)]


def test_a_click_whose_client_gave_no_id_is_not_verified(db: ClickHouse) -> None:
    log = MemoryLog()
    log.append(0, click(0))
    log.append(0, click(1, id_assigned=True))
    log.append(0, click(2, event_id=""))
    log.append(0, click(3, event_id="", id_assigned=True))
    log.append(0, click(1, id_assigned=True))
    asyncio.run(consumed(db, log, {0}))
    found = db.query("SELECT reason, events, unverified FROM ledger ORDER BY reason")
    assert found == [("counted", 4, 3), ("duplicate", 1, 0)]


def test_a_click_of_a_record_without_a_key_is_not_verified(db: ClickHouse) -> None:
    log = MemoryLog()
    log.append(0, [click(0), click(1)], key=None)
    log.append(0, click(2), key=b"")
    log.append(0, click(3))
    asyncio.run(consumed(db, log, {0}))
    assert db.query("SELECT reason, events, unverified FROM ledger") == [("counted", 4, 3)]


def test_the_id_of_another_owner_is_another_id(db: ClickHouse) -> None:
    log = MemoryLog()
    linked = click(1, publisher_id=None, advertiser_id=None, network_id=None)
    placed = click(1, account_id=None, domain=None, link_id=None)
    for number, event in enumerate((click(1), click(1, account_id=2), click(1, publisher_id=6), linked, placed)):
        for _ in range(2):
            log.append(0, event | {"visitor_id": f"v{number}"})
    asyncio.run(consumed(db, log, {0}))
    assert ledger(db) == {"counted": 5, "duplicate": 5}


def test_an_event_is_known_under_another_visitor_secret(db: ClickHouse) -> None:
    log = MemoryLog()
    for secret in ("one secret of the tests", "two secrets of the tests"):
        log.append(0, click(0, visitor_id=None, ip="192.0.2.1", user_agent="a"))
        log.append(0, click(1))
        asyncio.run(consumed(db, log, {0}, settings=Settings(batch_linger_ms=0, visitor_secret=secret)))
    assert ledger(db) == {"counted": 2, "duplicate": 2}


def test_a_visitor_who_comes_both_ways_is_one_user(db: ClickHouse) -> None:
    log = MemoryLog()
    for number, ip in enumerate(("192.0.2.1", AddressHasher("secret of the tests").hash_address("192.0.2.1"))):
        log.append(0, click(number, visitor_id=None, ip=ip, user_agent="a"))
    log.append(0, click(2, clicked_at=LOG_TIME_MS, visitor_id=None, ip="192.0.2.1", user_agent="a"))
    asyncio.run(consumed(db, log, {0}, settings=Settings(batch_linger_ms=0, visitor_secret="secret of the tests")))
    assert hourly(db) == [(1, "https://vvd.bz", "a", 0, 2, 0, 1)]
    assert ledger(db) == {"counted": 2, "repeat": 1}


def person(number: int) -> dict[str, object]:
    return click(number, clicked_at=LOG_TIME_MS, visitor_id=f"v{number}")


def test_too_much_poison_stops_the_worker_before_it_is_drained(db: ClickHouse) -> None:
    log = MemoryLog()
    for number in range(1500):
        log.append(0, person(number))
    asyncio.run(consumed(db, log, {0}))
    for number in range(2000):
        log.append(0, b"{" if number % 2 else b'{"clicked_at": 1}')
    log.append(1, person(1500))
    worker = asyncio.run(consumed(db, log, {0, 1}))
    assert list(worker.leases.halted()) == [0]
    assert "1000 of the last 1000 records are poison" in worker.leases.halted()[0]
    assert (worker.log.dead, ledger(db)) == ([], {"counted": 1501}), "the partition beside it goes on"
    asyncio.run(consumed(db, log, {0, 1}, settings=Settings(batch_linger_ms=0, poison_share=1)))
    assert ledger(db) == {"counted": 1501, "invalid": 2000}


def test_a_little_poison_among_many_does_not(db: ClickHouse) -> None:
    log = MemoryLog()
    for number in range(3000):
        log.append(0, b"{" if number % 3 == 0 else person(number))
    log.append(0, [1] * 5000)  # one bad record, however much it holds
    asyncio.run(consumed(db, log, {0}))
    assert ledger(db) == {"counted": 2000, "invalid": 1001}


def test_a_topic_that_was_made_again_ends_the_session(db: ClickHouse) -> None:
    log = MemoryLog()
    log.append(0, click(1))

    async def scenario() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0})
            epoch = worker.leases.held[0].epoch
            log.replaced = True
            worker.leases.assign({0})
            with pytest.raises(SourceReplaced):
                await worker.tasks[0]
            assert Markers(db, SOURCE).read()[0].epoch == epoch, "Kafka is asked before a fence is raised"

    asyncio.run(scenario())


def test_a_future_click_is_a_dead_letter_as_it_came(db: ClickHouse) -> None:
    log = MemoryLog()
    raw = b'{"clicked_at": "2099-01-01T00:00:00Z", "extra": 1, "account_id": 1, "domain": "D.E/", "link_id": "a"}'
    log.append(0, raw)
    log.append(0, b" [" + raw + b", " + raw + b"]")
    worker = asyncio.run(consumed(db, log, {0}))
    assert [(letter.raw, letter.index) for _, letter in worker.log.dead] == [(raw, None), (raw, 0), (raw, 1)]


def test_a_batch_of_an_older_cursor_is_void(db: ClickHouse) -> None:
    log = MemoryLog()
    log.append(0, click(1))

    async def scenario() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0})
            stale = log.fetch(worker.leases.held[0])
            worker.leases.held[0].position = FetchPosition(worker.leases.held[0].next_intake)
            await worker.put(stale)
            assert worker.leases.held[0].next_intake == 0
            await worker.consume()

    asyncio.run(scenario())
    assert ledger(db) == {"counted": 1}


def test_what_no_partition_needs_is_forgotten_by_the_logs_time(db: ClickHouse) -> None:
    hour = 3_600_000
    log = MemoryLog()
    for partition in (0, 1):
        log.append(partition, click(0))
        log.append(partition, click(1), at=LOG_TIME_MS + 10 * hour)
    asyncio.run(consumed(db, log, {0, 1}, most=1))
    seen = Seen(db, SOURCE, "clicks")
    db.insert("sources", [(SOURCE, "c", "clicks", "t")], ["source", "cluster_id", "topic", "topic_id"])
    assert db.query("SELECT uniq(generation) FROM seen") == [(2,)]
    seen.forget(11 * 60)
    assert db.query("SELECT uniq(generation) FROM seen") == [(2,)]
    seen.forget(2 * 60)
    assert db.query("SELECT DISTINCT toUInt64(generation) * 60000 FROM seen") == [(LOG_TIME_MS + 10 * hour,)]
    Markers(db, SOURCE).write_tail_times({2: (1, 0, datetime.fromtimestamp(LOG_TIME_MS / 1000, UTC))})
    log.append(0, click(2), at=LOG_TIME_MS + 30 * hour)
    asyncio.run(consumed(db, log, {0}))
    seen.forget(2 * 60)
    assert db.query("SELECT uniq(generation) FROM seen") == [(2,)], "one partition has not come so far"


def test_a_partition_that_has_failed_for_hours_is_still_tried_again(db: ClickHouse) -> None:
    log = MemoryLog()

    async def scenario() -> None:
        async with harness(db, log) as worker:
            await worker.claim({0})
            lease = worker.leases.held[0]
            lease.failures, lease.failed_at = 5000, lease.next
            worker.leases.fail(lease, "why")
            assert worker.leases.held[0].failures == 5001
            assert "5001 batches in a row failed" in worker.reporter.failing()[0]

    asyncio.run(scenario())

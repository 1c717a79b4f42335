"""The audit finds what does not add up, and the recount agrees with the workers over random logs."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.event.addresses import AddressHasher
from rollups.audit import audit, clicks_by_day
from rollups.clickhouse import ClickHouse
from rollups.kafka_log.broker_clock import wall_ms
from rollups.recount import Recount, Zones
from rollups.settings import Settings
from tests.support.memory_log import LOG_TIME_MS, MemoryLog
from tests.support.worker import SOURCE, harness

LINK = {"account_id": 1, "domain": "d.e", "link_id": "a"}


async def consumed(db: ClickHouse, log: MemoryLog, most: int | None = None) -> None:
    async with harness(db, log) as worker:
        await worker.claim(set(log.partitions))
        await worker.consume(most)


def applied(db: ClickHouse) -> None:
    log = MemoryLog()
    for number in range(6):
        log.append(number % 2, {"clicked_at": LOG_TIME_MS, "event_id": str(number // 3), "visitor_id": "v", **LINK})
    log.append(0, b"{")
    asyncio.run(consumed(db, log))


def test_it_adds_up(db: ClickHouse) -> None:
    applied(db)
    found = audit(db)
    assert found.problems == []
    assert [(account.source, account.partition, account.watermark, account.read) for account in found.partitions] == [
        (SOURCE, 0, 4, 4),
        (SOURCE, 1, 3, 3),
    ]
    assert found.partitions[0].events == {"counted": 1, "duplicate": 1, "invalid": 1, "repeat": 1}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"grain": "ledger", "source": SOURCE, "partition": 1, "records": 1}, "4 records are accounted for"),
        ({"grain": "watermark", "source": SOURCE, "partition": 1, "next": 9}, "the watermark is 9"),
        ({"grain": "link_hour", "owner": 1, "clicks": 1}, "clicks by account and hour"),
        ({"grain": "account_hour", "owner": 1, "bots": 1}, "linked clicks and bots"),
        ({"grain": "affiliate_day", "owner": 1, "clicks": 1}, "by affiliate and day"),
    ],
)
def test_a_row_too_many_in_any_grain_is_found(db: ClickHouse, row: dict[str, Any], problem: str) -> None:
    applied(db)
    db.insert("rollup", [tuple(row.values())], list(row))
    assert any(problem in found for found in audit(db).problems)


events = st.lists(
    st.tuples(
        st.integers(0, 1),  # partition
        st.integers(0, 200),  # log minute
        st.sampled_from([None] * 9 + [2**62, -(2**62), 0, -1, LOG_TIME_MS + 10**8]),  # a stamp in its place
        st.fixed_dictionaries(
            {
                "clicked_at": st.sampled_from(
                    [LOG_TIME_MS + step for step in (0, 1000, 5000, 10**7, -(10**7), 3 * 10**7)]
                )
            },
            optional={
                "event_id": st.sampled_from(["a", "b", "c", "d", ""]),
                "id_assigned": st.just(True),
                "account_id": st.just(2),
                "visitor_id": st.sampled_from("vw"),
                "ip": st.sampled_from(["192.0.2.1", AddressHasher("").hash_address("192.0.2.1"), ""]),
                "method": st.just("HEAD"),
                "user_agent": st.just("Googlebot/2.1"),
                "publisher_id": st.sampled_from([5, 6]),
            },
        ),
    ),
    max_size=25,
)


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events, st.integers(1, 30), st.sampled_from([0, 1]))
def test_the_recount_is_what_the_workers_count(
    engine: ClickHouse, drawn: list[tuple[int, int, int | None, dict[str, Any]]], most: int, kind: int
) -> None:
    for table in ("rollup", "seen"):
        engine.command(f"TRUNCATE TABLE {table}")
    log, recount = MemoryLog({0: [], 1: []}), Recount(Settings(), Zones({1: "Asia/Kolkata"}, {}), wall_ms())
    engine.insert("accounts", [(1, "Asia/Kolkata")], ["account_id", "time_zone"])
    minutes = 0
    for partition, minute, stamp, event in drawn:
        minutes += minute
        affiliate = {"advertiser_id": 6, "network_id": 7} if "publisher_id" in event else {}
        if "event_id" in event:  # a producer sends an id to one partition
            event["event_id"] += str(partition)
        at = LOG_TIME_MS + minutes * 60_000 if stamp is None else stamp
        log.append(partition, {**LINK, **event, **affiliate}, at=at, kind=kind)
        recount.add(log.partitions[partition][-1])
    asyncio.run(consumed(engine, log, most))
    served = clicks_by_day(engine, date(2025, 12, 1), date(2026, 2, 1))
    assert served.links == {day.isoformat(): clicks for day, clicks in recount.links.items()}
    assert served.placements == {day.isoformat(): clicks for day, clicks in recount.placements.items()}
    assert audit(engine).problems == []
    for partition in log.partitions:
        again = recount.ledgers[partition]
        rows = engine.query(
            "SELECT toString(reason), records, events, unverified FROM ledger WHERE partition = {partition:UInt16}",
            {"partition": partition},
        )
        assert {reason: records for reason, records, _, _ in rows if records} == +again.records
        assert {reason: clicks for reason, _, clicks, _ in rows if clicks} == again.events
        assert sum(unverified for *_, unverified in rows) >= again.unverified

"""One record in 100,000 makes a step of the worker raise every time; it alone becomes a dead letter."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from deploy.settings import Settings
from ingest.event import Click, parse_record
from rollups.audit import audit
from rollups.clickhouse import ClickHouse, ClickHouseError
from rollups.installation import event_id_key
from rollups.transform import batch_transformer, decode
from rollups.transform.click_columns import ClickColumns
from rollups.transform.dedupe import DedupeState
from rollups.transform.identity import IdentityHasher
from rollups.transform.seen import Seen
from tests.faults.conftest import Record
from tests.support.memory_log import LOG_TIME_MS, MemoryLog
from tests.support.worker import Harness, harness, until

RECORDS = 100_000
POISON = 61_803
WHY = "an unknown defect"
BYSTANDER = 1  # a partition without poison


def value(number: int, **fields: object) -> dict[str, object]:
    link = {"account_id": 1, "domain": "d.e", "link_id": f"l{number % 10}"}
    return {"event_id": f"e{number}", "clicked_at": LOG_TIME_MS, "visitor_id": f"v{number}", **link, **fields}


def raise_if(found: object) -> None:
    if found:
        raise ValueError(WHY)


def poisonous(columns: ClickColumns) -> bool:
    return "poison" in columns.link_id.to_pylist()


def wrap(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, check: Callable[..., object]) -> None:
    original = getattr(owner, name)

    def checked(*arguments: Any, **options: Any) -> Any:
        raise_if(check(*arguments))
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, checked)


def refuse_insert(monkeypatch: pytest.MonkeyPatch, db: ClickHouse) -> None:
    original = db.insert_arrow

    def insert_arrow(table: str, batch: pa.Table, settings: dict[str, Any]) -> None:
        if table == "landing" and "poison" in batch["link_id"].to_pylist():
            raise ClickHouseError(WHY, code=70)
        original(table, batch, settings)

    monkeypatch.setattr(db, "insert_arrow", insert_arrow)


def poison_key(db: ClickHouse) -> int:
    click = parse_record(json.dumps(value(0, event_id="poison")).encode())
    assert isinstance(click, Click)
    return int(
        IdentityHasher(Settings().visitor_secret, event_id_key(db))
        .hash_clicks(ClickColumns.from_clicks([click]))
        .ids[0]
    )


# The entry point of each step, and how to recognise the record in its arguments.
STEPS: dict[str, tuple[Any, str, Callable[..., object]]] = {
    "decode": (decode, "parse_record", lambda raw: raw and b"poison" in raw),
    "classify": (batch_transformer, "classify", lambda decoded, *_: poisonous(decoded.rows.columns)),
    "identify": (IdentityHasher, "hash_clicks", lambda _, columns: poisonous(columns)),
    "mark": (DedupeState, "mark_duplicates", lambda _, rows, *_more: poisonous(rows.columns)),
    "landing": (batch_transformer, "to_landing_table", lambda rows, *_more, **_named: poisonous(rows.columns)),
    "publish": (
        MemoryLog,
        "publish_dead_letters",
        lambda *given: any(letter.error == "text_too_long" for letter in given[2]),
    ),
}


def break_step(step: str, monkeypatch: pytest.MonkeyPatch, db: ClickHouse) -> None:
    if step == "insert":
        refuse_insert(monkeypatch, db)
    elif step == "seen":
        key = poison_key(db)
        wrap(monkeypatch, Seen, "write", lambda _, rows: any(key in each.keys for *_, kept in rows for each in kept))
    else:
        wrap(monkeypatch, *STEPS[step])


def test_a_partition_that_cannot_be_claimed_holds_up_no_other(
    db: ClickHouse, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    log = MemoryLog()
    for partition in (0, BYSTANDER):
        log.append(partition, value(partition))
    broken = True
    wrap(monkeypatch, Seen, "load", lambda _, partition, *_more: broken and partition == 0)

    async def scenario() -> None:
        nonlocal broken
        async with harness(db, log) as worker:
            worker.leases.assign({0, BYSTANDER})
            await until(lambda: worker.leases.held[BYSTANDER].ready)
            await until(lambda: WHY in worker.reporter.failing().get(0, ""))
            assert BYSTANDER not in worker.reporter.troubled()
            broken = False
            await until(lambda: worker.leases.held[0].ready)
            await worker.consume()
            assert worker.reporter.troubled() == {}

    asyncio.run(scenario())
    record("a partition cannot be claimed: the others are", 1)


@pytest.mark.parametrize("away", [ConnectionError, TimeoutError])
def test_a_dead_letter_topic_that_takes_nothing_holds_up_only_who_has_letters(
    away: type[Exception], db: ClickHouse, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    log = MemoryLog()
    log.append(0, value(0, visitor_id="v" * 500))
    for number in range(1, 40):
        log.append(BYSTANDER, value(number))
    taking = False

    async def publish(self: MemoryLog, partition: int, letters: list[Any]) -> None:
        if letters and not taking:
            raise away("the dead-letter topic takes nothing")
        self.dead.extend((partition, letter) for letter in letters)

    monkeypatch.setattr(MemoryLog, "publish_dead_letters", publish)

    async def scenario() -> None:
        nonlocal taking
        async with harness(db, log) as worker:
            await worker.claim({0, BYSTANDER})
            consuming = asyncio.create_task(worker.consume(5))
            await until(lambda: worker.leases.held[BYSTANDER].next == 39)
            await until(lambda: 0 in worker.reporter.failing())
            assert BYSTANDER not in worker.reporter.troubled()
            taking = True
            await asyncio.wait_for(consuming, 20)
            assert [letter.error for _, letter in worker.log.dead] == ["text_too_long"]

    asyncio.run(scenario())
    record("the dead-letter topic takes nothing: other partitions go on", 1)


@pytest.mark.parametrize("step", [*STEPS, "seen", "insert"])
def test_the_record_alone_is_a_dead_letter(
    step: str, db: ClickHouse, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    log = MemoryLog()
    for number in range(RECORDS):
        log.append(0, value(number))
    too_long = {"visitor_id": "v" * 500} if step == "publish" else {}
    log.partitions[0][POISON].value = json.dumps(
        value(POISON, event_id="poison", link_id="poison", **too_long)
    ).encode()
    log.append(BYSTANDER, value(RECORDS))
    break_step(step, monkeypatch, db)

    async def scenario() -> tuple[Harness, float, list[str]]:
        async with harness(db, log) as worker:
            await worker.claim({0, BYSTANDER})
            troubles: list[str] = []
            started, held_up = time.monotonic(), 0.0
            consuming = asyncio.create_task(worker.consume())
            while not consuming.done():
                await asyncio.sleep(0.01)
                troubles += worker.reporter.failing().values()
                if worker.leases.held[BYSTANDER].next == 0:
                    held_up = time.monotonic() - started
            await consuming
            return worker, held_up, troubles

    worker, held_up, troubles = asyncio.run(asyncio.wait_for(scenario(), 120))
    ledger = db.query("SELECT toString(reason), sum(records) FROM ledger GROUP BY reason ORDER BY reason")
    assert ledger == [("counted", RECORDS), ("invalid", 1)]
    [(partition, letter)] = {(p, letter.error): (p, letter) for p, letter in worker.log.dead}.values()
    assert (partition, letter.offset, letter.error) == (0, POISON, "undecodable")
    assert WHY in letter.message
    assert b"poison" in (letter.raw or b"")
    assert any(WHY in trouble for trouble in troubles), "a lease that keeps failing is reported"
    assert worker.reporter.troubled() == {}
    assert held_up < 10, "the other partition waits for no isolation"
    assert audit(db).problems == []
    record("a step raises for one record in 100,000: it alone becomes a dead letter", 1)

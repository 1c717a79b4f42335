"""Controls of the audit: with a defect put into the worker the audit must be red, without it green."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from deploy.commands import audit_log
from deploy.settings import Settings
from ingest.event import Click
from ingest.kafka.admin import ensure_topics
from rollups.clickhouse import ClickHouse
from rollups.consumer.faust_app import FaustLog
from rollups.consumer.faust_transport import BatchConsumerThread
from rollups.consumer.partition_layout import Layout
from rollups.kafka_log import marks
from rollups.kafka_log.tail import Tail
from rollups.transform import batch_transformer, landing
from rollups.transform.dedupe import DedupeState
from rollups.transform.isolation import Isolation
from tests.faults.conftest import Record
from tests.support.kafka_broker import KafkaBroker, missing_reason, require
from tests.support.live_worker import applied, audited, grow, ledger, live_worker, publish
from tests.support.worker import until

RED = "control: {}, the audit must be red"
Patch = Callable[[pytest.MonkeyPatch], None]


def settings_for(broker: KafkaBroker, topic: str, partitions: int = 1) -> Settings:
    return Settings(
        kafka_url=broker.bootstrap, topic=topic, group=topic, partitions=partitions, session_timeout_seconds=6
    )


def clicks(first: int, count: int, **fields: Any) -> list[Click]:
    link = {"account_id": 1, "domain": "d.e", "link_id": "a"}
    now = int(time.time() * 1000)
    return [
        Click(clicked_at=now, event_id=f"e{n}", visitor_id=f"v{n}", **link, **fields)  # type: ignore[arg-type]
        for n in range(first, first + count)
    ]


async def red(settings: Settings, db: ClickHouse, *parts: str, recount: bool = True, seconds: float = 30) -> None:
    """The audit reports, now or soon, one line with all these parts."""
    deadline = time.monotonic() + seconds
    while True:
        problems, _ = await audited(settings, db, recount=recount)
        if any(all(part in problem for part in parts) for problem in problems):
            return
        assert time.monotonic() < deadline, problems
        await asyncio.sleep(0.5)


async def green(settings: Settings, db: ClickHouse, *, recount: bool = True, seconds: float = 30) -> None:
    """The audit reports nothing, now or soon: workers report every five seconds that a partition has recovered."""
    deadline = time.monotonic() + seconds
    while (problems := (await audited(settings, db, recount=recount))[0]) != []:
        assert time.monotonic() < deadline, problems
        await asyncio.sleep(0.5)


# -- a batch that is tried again for ever ----------------------------------------------------------------------------


def raise_for_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    original = landing.to_landing_table

    def poisoned(rows: Any, *arguments: Any, **options: Any) -> Any:
        if "poison" in rows.columns.link_id.to_pylist():
            raise ValueError("an unknown defect")
        return original(rows, *arguments, **options)

    monkeypatch.setattr(batch_transformer, "to_landing_table", poisoned)


def never_isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Isolation, "failed", lambda *_: False)


@pytest.mark.parametrize("defect", [False, True])
def test_a_batch_that_is_tried_again_for_ever(
    kafka: KafkaBroker, db: ClickHouse, monkeypatch: pytest.MonkeyPatch, record: Record, defect: bool
) -> None:
    settings = settings_for(kafka, f"poison-{defect}")
    raise_for_poison(monkeypatch)
    if defect:
        never_isolate(monkeypatch)
    monkeypatch.setattr(audit_log, "LATE_SECONDS", 8.0)
    sent = [*clicks(0, 5), *clicks(5, 1), *clicks(6, 5)]
    sent[5].link_id = "poison"

    async def scenario() -> None:
        async with live_worker(settings, db) as worker:
            await publish(settings, sent)
            if not defect:
                await applied(db, len(sent))
                await green(settings, db)
                return
            await red(settings, db, "partition 0 is failing", "an unknown defect", recount=False)
            await red(settings, db, "records are not counted, the oldest for", recount=False)
            assert "batches in a row failed" in worker.problems()[0]

    asyncio.run(scenario())
    if defect:
        record(RED.format("poison not isolated"), 1)


# -- aborted transactions --------------------------------------------------------------------------------------------


def read_uncommitted(monkeypatch: pytest.MonkeyPatch) -> None:
    original = BatchConsumerThread._create_worker_consumer

    def uncommitted(self: BatchConsumerThread, transport: Any) -> Any:
        consumer = original(self, transport)
        consumer._isolation_level = "read_uncommitted"
        return consumer

    monkeypatch.setattr(BatchConsumerThread, "_create_worker_consumer", uncommitted)


async def transactions(settings: Settings) -> None:
    """Sends 13 committed clicks and 7 aborted ones."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_url, transactional_id=settings.topic)
    await producer.start()
    try:
        for first, count, commits in ((0, 6, True), (6, 7, False), (13, 7, True)):
            await producer.begin_transaction()
            for click in clicks(first, count):
                value = json.dumps({"clicked_at": click.clicked_at, "event_id": click.event_id, **LINK}).encode()
                await producer.send(settings.topic, value, partition=0)
            await (producer.commit_transaction() if commits else producer.abort_transaction())
    finally:
        await producer.stop()


LINK = {"account_id": 1, "domain": "d.e", "link_id": "a"}


def test_clicks_of_aborted_transactions(
    kafka: KafkaBroker, db: ClickHouse, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    settings = settings_for(kafka, "aborted")
    read_uncommitted(monkeypatch)

    async def scenario() -> None:
        await ensure_topics(settings)
        await transactions(settings)
        async with live_worker(settings, db):
            await applied(db, 23)  # with three markers
            assert ledger(db)["counted"] == 20
            await red(settings, db, "20 clicks are in the ledger as counted, the log has 13")

    asyncio.run(scenario())
    record(RED.format("aborted transactions counted"), 1)


# -- a topic that has grown ------------------------------------------------------------------------------------------


def never_notice_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Layout, "note", lambda *_: None)


def test_a_topic_that_has_grown_unnoticed(
    kafka: KafkaBroker, db: ClickHouse, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    settings = settings_for(kafka, "grown", partitions=4)
    never_notice_growth(monkeypatch)
    sent = clicks(0, 200)

    async def scenario() -> None:
        async with live_worker(settings, db) as worker:
            await publish(settings, sent)
            await applied(db, 200)
            await green(settings, db)
            await grow(settings, 7)
            await publish(settings, sent)
            await applied(db, 400)
            await until(lambda: sum(worker.states().values()) == 7)
            assert ledger(db)["counted"] > 250
            assert ledger(db)["unverified"] == 0
            await red(settings, db, "counted in another partition too), 0 are unverified")

    asyncio.run(scenario())
    record(RED.format("growth not noticed"), 1)


# -- a broker that was restored from an older copy -------------------------------------------------------------------


def believe_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    async def of_nothing(_: FaustLog, stretches: Iterable[int]) -> dict[int, dict[int, int]]:
        return {partition: {} for partition in stretches}

    monkeypatch.setattr(FaustLog, "fingerprints", of_nothing)
    monkeypatch.setattr(Tail, "mismatch", lambda *_: "")


@pytest.mark.parametrize("recount", [False, True])
def test_a_log_that_was_restored_from_an_older_copy(
    tmp_path: Path, db: ClickHouse, monkeypatch: pytest.MonkeyPatch, record: Record, recount: bool
) -> None:
    require(missing_reason())
    believe_in_the_log(monkeypatch)
    monkeypatch.setattr(marks, "MARK_SECONDS", 0.0)

    async def scenario(broker: KafkaBroker, settings: Settings) -> None:
        async with live_worker(settings, db):
            await publish(settings, clicks(0, 20))
            await applied(db, 20)
        broker.stop()
        shutil.copytree(broker.data_dir, tmp_path / "older")
        broker.start()
        async with live_worker(settings, db):
            await publish(settings, clicks(20, 39))
            await applied(db, 59)
            await until(lambda: bool(db.query("SELECT 1 FROM log_marks WHERE offset = 58")), 20)
            await green(settings, db, recount=recount)
        broker.stop()
        shutil.rmtree(broker.data_dir)
        shutil.copytree(tmp_path / "older", broker.data_dir)
        broker.start()
        await red(settings, db, "the log ends at 20, before the watermark 59", recount=recount)
        await publish(settings, clicks(100, 60))  # 39 of them before the watermark
        async with live_worker(settings, db):
            await applied(db, 80)
            await red(settings, db, "partition 0: at offset 58 the log has something else", recount=recount)

    with KafkaBroker(tmp_path / "kafka") as broker:
        asyncio.run(scenario(broker, settings_for(broker, "restored")))
    record(RED.format("a restored log believed"), 1)


# -- an id that the collector has given ------------------------------------------------------------------------------


def trust_assigned_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    original = DedupeState.mark_duplicates

    def trusting(self: DedupeState, rows: Any, *arguments: Any) -> Any:
        rows.columns = replace(rows.columns, id_assigned=np.zeros(len(rows), bool))
        return original(self, rows, *arguments)

    monkeypatch.setattr(DedupeState, "mark_duplicates", trusting)


def test_a_click_without_an_id_that_is_sent_twice(
    kafka: KafkaBroker, db: ClickHouse, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    settings = settings_for(kafka, "assigned")
    trust_assigned_ids(monkeypatch)

    async def scenario() -> None:
        async with live_worker(settings, db):
            for _ in range(2):
                nameless = clicks(0, 1)
                nameless[0].event_id, nameless[0].visitor_id = None, None
                await publish(settings, nameless)
            await applied(db, 2)
            assert ledger(db) == {"counted": 2, "unverified": 0}
            await red(settings, db, "2 clicks may repeat earlier ones", "0 are unverified")

    asyncio.run(scenario())
    record(RED.format("ids that the collector gave trusted"), 1)

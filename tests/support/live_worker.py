"""A whole worker in this process, over a real broker and a real engine; tests can take protections out of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from pydantic import TypeAdapter

from api.admin.audit import AuditAnswer, audit_answer
from deploy.commands.audit_log import compare_with_log
from deploy.commands.audit_recount import compare_with_recount
from deploy.settings import Settings
from ingest.event import Click
from ingest.producer import ClickProducer
from rollups.clickhouse import ClickHouse
from rollups.worker import Worker
from tests.support.worker import until


@asynccontextmanager
async def live_worker(settings: Settings, db: ClickHouse, *, ready: bool = True) -> AsyncIterator[Worker]:
    """Yields once the worker counts; at once if not `ready`."""
    worker, stop = Worker(settings, db), asyncio.Event()
    running = asyncio.create_task(worker.run_worker(stop))
    try:
        if ready:
            await until(lambda: not worker.problems(), 60)
        yield worker
    finally:
        stop.set()
        await running


async def publish(settings: Settings, clicks: Iterable[Click]) -> None:
    """Sends with a new producer, which knows the current partitions of the topic."""
    async with ClickProducer(settings) as producer:
        for click in clicks:
            await producer.send(click)


def records_applied(db: ClickHouse) -> int:
    return int(db.query("SELECT sum(next) FROM watermarks")[0][0])


async def applied(db: ClickHouse, records: int) -> None:
    await until(lambda: records_applied(db) >= records, 60)


def ledger(db: ClickHouse) -> dict[str, int]:
    """Clicks by reason, and how many of them are unverified."""
    rows = db.query("SELECT toString(reason), sum(events), sum(unverified) FROM ledger GROUP BY reason")
    counts = {reason: int(events) for reason, events, _ in rows if events}
    return {**counts, "unverified": sum(int(unverified) for _, _, unverified in rows)}


async def grow(settings: Settings, partitions: int) -> None:
    """Grows the topic to so many partitions, as an operator does."""
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_url)
    await admin.start()
    try:
        await admin.create_partitions({settings.topic: NewPartitions(partitions)})
        while len((await admin.describe_topics([settings.topic]))[0]["partitions"]) < partitions:
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def audited(settings: Settings, db: ClickHouse, *, recount: bool = True) -> tuple[list[str], list[str]]:
    """(problems, notes) of `clickmill audit`, read from ClickHouse instead of the API."""
    days = (date(2020, 1, 1), date(2099, 1, 1)) if recount else (None, None)
    answer = await asyncio.to_thread(audit_answer, db, *days)
    report = json.loads(TypeAdapter(AuditAnswer).dump_json(answer))
    view = await compare_with_log(settings, report)
    problems = report["problems"] + view.problems
    if recount:
        problems += await compare_with_recount(settings, report, view, date(2020, 1, 1), date(2099, 1, 1))
    return problems, view.notes

"""The wiring of a worker: which components it has, and how they are put together. Tests build them here too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from rollups.clickhouse import ClickHouse
from rollups.delivery.claims import Claims, Log
from rollups.delivery.fences import Fences
from rollups.delivery.leases import Leases
from rollups.delivery.markers import Markers
from rollups.kafka_log.broker_clock import wall_ms
from rollups.model import DeadLetter
from rollups.pipeline import Intake, Pipeline, WorkerStats
from rollups.reporting import Reporter
from rollups.settings import Settings
from rollups.transform.batch_transformer import BatchTransformer, PreparedBatch
from rollups.transform.identity import IdentityHasher
from rollups.transform.seen import Seen
from rollups.transform.timezones import TimeZones


class WorkerLog(Log, Protocol):
    """What the components need of Kafka."""

    async def confirm(self, batches: list[PreparedBatch]) -> None:
        """Called before an insert. Raises SourceReplaced if the topic was made again."""

    async def publish_dead_letters(self, partition: int, letters: list[DeadLetter]) -> None:
        """Returns once all letters are acknowledged."""


AnyLog = TypeVar("AnyLog", bound=WorkerLog)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerComponents(Generic[AnyLog]):
    """Each component knows only those before it."""

    leases: Leases
    intake: Intake
    log: AnyLog
    zones: TimeZones
    markers: Markers
    fences: Fences
    seen: Seen
    transformer: BatchTransformer
    reporter: Reporter
    pipeline: Pipeline
    claims: Claims


def build_worker_components(
    settings: Settings,
    db: ClickHouse,
    source: int,
    hasher: IdentityHasher,
    connect: Callable[[Leases, Intake], AnyLog],
    *,
    now_ms: Callable[[], int] = wall_ms,
    stats: WorkerStats | None = None,
) -> WorkerComponents[AnyLog]:
    """Builds all components. `connect` builds the connection to Kafka, which feeds the intake."""
    leases = Leases()
    intake = Intake(settings, leases)
    kafka_log = connect(leases, intake)
    zones, markers, seen = TimeZones.from_database(db), Markers(db, source), Seen(db, source, settings.topic)
    transformer = BatchTransformer(settings, source, zones, seen, hasher, now_ms)
    reporter = Reporter(db, source, leases, transformer.isolation.under_way)
    fences = Fences(db, source)

    async def confirm(batches: list[PreparedBatch]) -> None:
        await kafka_log.confirm(batches)
        await asyncio.to_thread(fences.replica.refresh)  # a replica that has come back counts for the quorum at once
        reporter.about_to_apply(batch.fetched for batch in batches)

    pipeline = Pipeline(
        settings,
        db,
        source,
        leases=leases,
        intake=intake,
        transformer=transformer,
        seen=seen,
        stats=stats or WorkerStats(),
        confirm=confirm,
        publish_dead_letters=kafka_log.publish_dead_letters,
    )
    return WorkerComponents(
        leases=leases,
        intake=intake,
        log=kafka_log,
        zones=zones,
        markers=markers,
        fences=fences,
        seen=seen,
        transformer=transformer,
        reporter=reporter,
        pipeline=pipeline,
        claims=Claims(leases, fences, markers, kafka_log, pipeline),
    )

"""The topic during a session: its source, whether it is still that source, and its layout."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from ingest.kafka.admin import TopicWatcher
from rollups.clickhouse import ClickHouse
from rollups.consumer.partition_layout import Layout
from rollups.delivery.sources import SourceReplaced, register_source, source_number
from rollups.settings import Settings
from rollups.transform.batch_transformer import PreparedBatch

log = logging.getLogger(__name__)


class Topic:
    """One incarnation of the topic of clicks. `open` and `close` it in the same event loop."""

    def __init__(self, watch: TopicWatcher, name: str, source: int, layout: Layout) -> None:
        self._watch = watch
        self._name = name
        self.source = source
        self._layout = layout

    @classmethod
    async def open(cls, settings: Settings, db: ClickHouse) -> Topic:
        """Raises ConnectionError and ClickHouseError."""
        watch = TopicWatcher(settings, settings.topic)
        try:
            found = await watch.describe()
            identity = (found.cluster_id, settings.topic, found.topic_id)
            source = await asyncio.to_thread(register_source, db, *identity)
        except BaseException:
            await watch.close()
            raise
        log.info("topic %s of cluster %s is source %d", settings.topic, found.cluster_id, source)
        layout = Layout(db, source, settings.topic, settings.dedupe_horizon_minutes)
        return cls(watch, settings.topic, source, layout)

    async def check_source(self, held: Iterable[int]) -> None:
        """Raises SourceReplaced if the topic was recreated. Notes how many partitions it has, or `held` implies."""
        found = await self._watch.describe()
        partitions = max([found.partitions, *(partition + 1 for partition in held)])
        if partitions > self._layout.partitions:
            await asyncio.to_thread(self._layout.note, partitions)
        source = source_number(found.cluster_id, self._name, found.topic_id)
        if source != self.source:
            raise SourceReplaced(f"topic {self._name} was made again: source {source}, not {self.source}")

    def mark(self, batches: Iterable[PreparedBatch]) -> None:
        """Call it after `check_source`, and that after the fetch, so that the records are of no newer layout."""
        for batch in batches:
            self._layout.mark(batch)

    async def close(self) -> None:
        await self._watch.close()

"""Faust's Kafka transport with two changes: a message is a whole fetched batch, and claims set the positions.

Faust delivers single records and starts at the committed offset of the group. Here one message is everything that one
fetch returned for a partition, and fetching continues only where a claim has sought (`FetchPosition`), so the committed
offset is advisory. Only the consumer thread touches positions, between two awaits.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust import App, Schema
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport, ensure_aiokafka_TP
from faust.types import TP, ConsumerMessage

from rollups.delivery.leases import Leases
from rollups.delivery.shard import Shard
from rollups.kafka_log.broker_clock import wall_ms
from rollups.model import FetchedBatch, FetchPosition, Records

log = logging.getLogger(__name__)

# aiokafka has one fetch in flight per broker: a partition that is not in a fetch waits until it ends, by default 1.5 s
# if it finds nothing.
_FETCH_WAIT_MS = 100
_BROKER_SECONDS = 3.0  # without a broker aiokafka retries commit and leave-group forever


class WholeRecords(PartitionRecords):  # type: ignore[misc]
    """Yields all records as one item: aiokafka takes more than a microsecond per item."""

    def __iter__(self) -> Iterator[Records]:
        yield Records().add(self._records_iterator)

    def _consumer_record(self, tp: Any, record: Any) -> Any:
        return record


class FetchResults(dict[TP, Any]):
    """What the fetcher of aiokafka has received and not delivered yet, by partition."""

    def __setitem__(self, tp: TP, result: Any) -> None:
        if isinstance(result, FetchResult):
            result._partition_records.__class__ = WholeRecords
        super().__setitem__(tp, result)


class BatchSchema(Schema):  # type: ignore[misc]
    """Decodes nothing: the value of a message is a FetchedBatch."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        return message.value


class BatchConsumerThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    def __post_init__(self) -> None:
        super().__post_init__()
        self._positions: dict[TP, FetchPosition] = {}

    def _create_worker_consumer(self, transport: Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = _FETCH_WAIT_MS
        consumer._isolation_level = "read_committed"  # Faust sets it only for its own transactions
        return consumer

    async def on_thread_stop(self) -> None:
        leaving = asyncio.ensure_future(super().on_thread_stop())
        await asyncio.wait([leaving], timeout=_BROKER_SECONDS)
        if not leaving.done() or leaving.cancelled():  # without a broker the fetcher of aiokafka cancels its closer
            log.warning("stopped without leaving the consumer group: Kafka does not answer")

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP] | None,
        timeout: float | None = None,
        max_records: Any = None,
    ) -> dict[TP, list[FetchedBatch]]:
        wanted = [tp for tp in self._positions if active_partitions is None or tp in active_partitions]
        if not self.consumer.flow_active or not wanted:
            await asyncio.sleep(0.05)
            return {}
        if not isinstance(consumer._fetcher._records, FetchResults):
            consumer._fetcher._records = FetchResults()
        try:
            with consumer._fetcher._subscriptions.fetch_context():
                fetched = await consumer._fetcher.fetched_records(wanted, timeout=timeout)
        except NoOffsetForPartitionError:
            return {}  # a partition that is not claimed yet has no position
        except OffsetOutOfRangeError as error:
            refused = {tp for tp in self._positions if tp in error.args[0]}
            for tp in refused:
                del self._positions[tp]  # until a claim seeks again
            app = self.consumer.app
            self.parent_loop.call_soon_threadsafe(app.leases.reclaim_out_of_range, {tp.partition for tp in refused})
            return {}
        return {
            tp: [self._batch(tp, records, state.position)]
            for tp, [records] in fetched.items()
            if tp in self._positions and (state := _state(consumer, tp))
        }

    def _batch(self, tp: TP, records: Records, end: int) -> FetchedBatch:
        position = self._positions[tp]
        start, position.offset = position.offset, end
        return FetchedBatch(tp.partition, position, start, position.offset, records)

    async def seek_positions(self, positions: Mapping[TP, FetchPosition]) -> None:
        """Continues fetching of these partitions at these positions."""
        await self.call_thread(self._seek_positions, positions)

    async def _seek_positions(self, positions: Mapping[TP, FetchPosition]) -> None:
        consumer = self._ensure_consumer()
        for tp, position in positions.items():
            if tp in consumer.assignment():
                consumer.seek(tp, position.offset)
                self._positions[tp] = position

    async def forget_positions(self, tps: Iterable[TP]) -> None:
        await self.call_thread(self._forget_positions, set(tps))

    async def _forget_positions(self, tps: set[TP]) -> None:
        for tp in tps:
            self._positions.pop(tp, None)

    async def empty_tails(self) -> dict[int, tuple[int, int]]:
        """(position, milliseconds since the fetch) of each partition whose last fetch reached the end of the log."""
        return await self.call_thread(self._empty_tails)  # type: ignore[no-any-return]

    async def _empty_tails(self) -> dict[int, tuple[int, int]]:
        consumer, now_ms = self._ensure_consumer(), wall_ms()
        tails = {}
        for tp, position in self._positions.items():
            state = _state(consumer, tp)
            if state is None or not state.timestamp or state.timestamp > now_ms:  # the local clock was set back
                continue
            if state.highwater == position.offset == state.position:
                tails[tp.partition] = (position.offset, now_ms - state.timestamp)
        return tails

    async def high_watermarks(self) -> dict[int, int]:
        """The end of the log of each partition as of the last fetch."""
        return await self.call_thread(self._high_watermarks)  # type: ignore[no-any-return]

    async def _high_watermarks(self) -> dict[int, int]:
        consumer = self._ensure_consumer()
        states = {tp.partition: _state(consumer, tp) for tp in self._positions}
        return {partition: state.highwater for partition, state in states.items() if state and state.highwater}

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commits for lag monitors only, so a failed commit must not stop the worker."""
        commit = self._ensure_consumer().commit({ensure_aiokafka_TP(tp): offset for tp, offset in offsets.items()})
        try:
            await asyncio.wait_for(commit, _BROKER_SECONDS)
        except (KafkaError, TimeoutError) as error:
            log.info("the group's offsets were not committed, the next commit makes up for it: %r", error)
            return False
        return True


def _state(consumer: Any, tp: TP) -> Any:
    """What aiokafka knows of an assigned partition, None if it is assigned no longer."""
    assignment = consumer._subscription.subscription.assignment
    return assignment.state_value(tp) if assignment is not None and tp in assignment.tps else None


class BatchConsumer(Consumer):  # type: ignore[misc]
    """Passes assigned partitions to the leases, and commits what they have applied."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._numbers = itertools.count()

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[FetchedBatch]]:
        return await self._thread.getmany(active_partitions, timeout)  # type: ignore[no-any-return]

    def _to_message(self, tp: TP, record: FetchedBatch) -> ConsumerMessage:
        # Numbered here, since Faust drops a message with a lower offset than an earlier one, as after a seek back.
        number, generation = next(self._numbers), self.app.consumer_generation_id
        return ConsumerMessage(
            *(tp.topic, tp.partition, number, 0.0, 0, None, None, record, None, 0, 0, tp),
            generation_id=generation,
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Faust calls this after an assignment. Positions come from claims, so none is known yet."""
        self.app.leases.assign({tp.partition for tp in self.assignment() if self.app.shard.holds(tp.partition)})
        return {}

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterable[TP]:
        return [TP(self.app.clicks_topic, partition) for partition in self.app.leases.applied()]

    def _new_offset(self, tp: TP) -> int | None:
        return self.app.leases.applied().get(tp.partition)  # type: ignore[no-any-return]


class BatchTransport(Transport):  # type: ignore[misc]
    Consumer = BatchConsumer


class ClickApp(App):  # type: ignore[misc]
    """A Faust app over the batch transport, for the partitions of one topic that belong to one shard."""

    def __init__(self, name: str, *, clicks_topic: str, leases: Leases, shard: Shard, **options: Any) -> None:
        super().__init__(name, **options)
        self.clicks_topic = clicks_topic
        self.leases = leases
        self.shard = shard

    def _create_directories(self) -> None:
        """None: Faust's are for tables, which a worker does not have, and the working directory may be read-only."""

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self, loop=self.loop)

    async def seek(self, positions: Mapping[int, FetchPosition]) -> None:
        """Continues fetching of these partitions at these positions."""
        by_tp = {TP(self.clicks_topic, partition): position for partition, position in positions.items()}
        await self.consumer._thread.seek_positions(by_tp)

    async def forget(self, partitions: Iterable[int]) -> None:
        """Stops fetching these partitions."""
        await self.consumer._thread.forget_positions([TP(self.clicks_topic, partition) for partition in partitions])

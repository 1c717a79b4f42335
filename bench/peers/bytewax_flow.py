"""Bytewax: a dataflow of one worker from its Kafka source into a sink that inserts batches. librdkafka inside."""

from __future__ import annotations

from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from bench.peers.target import BATCH, Target, row_of


class Source(KafkaSource):  # type: ignore[misc]
    """Starts the clock with the first partition."""

    def __init__(self, target: Target) -> None:
        super().__init__([target.bootstrap], ["clicks"], tail=False, batch_size=BATCH)
        self._target = target

    def build_part(self, *arguments: Any) -> Any:
        self._target.begin()
        return super().build_part(*arguments)


class Inserts(StatelessSinkPartition[tuple[Any, ...]]):  # type: ignore[misc]
    def __init__(self, target: Target) -> None:
        self._target = target
        self._rows: list[tuple[Any, ...]] = []

    def write_batch(self, items: list[tuple[Any, ...]]) -> None:
        self._rows += items
        if len(self._rows) >= min(BATCH, self._target.wanted - self._target.inserted):
            self._target.insert(self._rows)
            self._rows = []


class ClickHouseSink(DynamicSink[tuple[Any, ...]]):  # type: ignore[misc]
    def __init__(self, target: Target) -> None:
        self._target = target

    def build(self, *_: object) -> Inserts:
        return Inserts(self._target)


def main() -> None:
    target = Target.from_arguments()
    decode = msgspec.json.Decoder(dict[str, Any]).decode

    flow = Dataflow("clicks")
    messages = op.input("kafka", flow, Source(target))
    rows = op.map("rows", messages, lambda message: row_of(decode(message.value)))
    op.output("clickhouse", rows, ClickHouseSink(target))
    run_main(flow)


if __name__ == "__main__":
    main()

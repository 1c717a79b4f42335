"""Quix Streams, over librdkafka: a BatchingSink that inserts each batch of a checkpoint, as documented."""

from __future__ import annotations

from typing import Any

from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

from bench.peers.target import BATCH, SECONDS, Target, row_of


class ClickHouseSink(BatchingSink):  # type: ignore[misc]
    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def write(self, batch: SinkBatch) -> None:
        self._target.insert([row_of(item.value) for item in batch])


def main() -> None:
    target = Target.from_arguments()
    app = Application(
        broker_address=target.bootstrap,
        consumer_group=target.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_interval=SECONDS,
        commit_every=BATCH,
        loglevel="ERROR",
    )
    clicks = app.topic("clicks", value_deserializer="json", key_deserializer="bytes")

    def begin(event: dict[str, Any]) -> dict[str, Any]:
        target.begin()
        return event

    app.dataframe(clicks).apply(begin).sink(ClickHouseSink(target))
    app.run()


if __name__ == "__main__":
    main()

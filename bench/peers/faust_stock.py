"""A stock Faust agent: batches by `stream.take`, rows by `client.insert`, as both documentations show it."""

from __future__ import annotations

import logging
import sys
from typing import Any

import faust

from bench.peers.target import BATCH, SECONDS, Target, row_of


def main() -> None:
    target = Target.from_arguments()
    app = faust.App(
        target.group,
        broker=f"kafka://{target.bootstrap}",
        value_serializer="json",
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=BATCH,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
    )
    clicks = app.topic("clicks", key_serializer="raw", value_serializer="json")

    @app.agent(clicks)  # type: ignore[untyped-decorator]
    async def roll_up(stream: Any) -> None:
        async for events in stream.take(BATCH, within=SECONDS):
            target.insert([row_of(event) for event in events])

    @app.on_partitions_assigned.connect  # type: ignore[untyped-decorator]
    async def assigned(*_: Any, **__: Any) -> None:
        target.begin()

    logging.disable(logging.WARNING)
    sys.argv = ["peer-faust", "worker", "--without-web", "--loglevel", "error"]
    app.main()


if __name__ == "__main__":
    main()

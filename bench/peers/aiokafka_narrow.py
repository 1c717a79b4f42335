"""The minimal hand-written loop: fetch, msgspec, six columns by `client.insert` in a thread, commit."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer

from bench.peers.target import BATCH, SECONDS, Assigned, Target, row_of


async def main() -> None:
    target = await asyncio.to_thread(Target.from_arguments)
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    consumer = AIOKafkaConsumer(
        bootstrap_servers=target.bootstrap,
        group_id=target.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    consumer.subscribe(["clicks"], listener=Assigned(target))
    await consumer.start()
    while True:
        fetched = await consumer.getmany(timeout_ms=int(SECONDS * 1000), max_records=BATCH)
        rows = [row_of(decode(record.value)) for records in fetched.values() for record in records]
        if rows:
            await asyncio.to_thread(target.insert, rows)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main())

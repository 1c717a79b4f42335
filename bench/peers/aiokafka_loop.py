"""A hand-written loop over aiokafka with the same inserts as Clickmill's, no Faust: every column of `landing`.

Users are hashed and days and hours cut in Python, as they must be where addresses stay out of the database and owners
have zones; all owners are in UTC here. No memory of ids, no markers compared, rows by `client.insert`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer

from bench.peers.target import BATCH, LANDING, SECONDS, Assigned, Target, is_bot

_SECRET = b"secret of the benchmarks"


def row_of(record: Any) -> tuple[Any, ...]:
    event = json.loads(record.value)
    clicked_at = datetime.fromtimestamp(event["clicked_at"] / 1000, UTC)
    digest = hashlib.blake2b(event["visitor_id"].encode(), digest_size=8, key=_SECRET).digest()
    return (
        1,
        record.partition,
        record.offset,
        datetime.fromtimestamp(record.timestamp / 1000, UTC),
        1,
        "bot" if is_bot(event["user_agent"]) else "counted",
        int.from_bytes(digest, "big"),
        event["account_id"],
        f"https://{event['domain']}",
        event["link_id"],
        clicked_at.date(),
        clicked_at.hour,
    )


async def main() -> None:
    target = await asyncio.to_thread(Target.from_arguments)
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
        rows = [row_of(record) for records in fetched.values() for record in records]
        if rows:
            await asyncio.to_thread(target.insert, rows, "landing", LANDING)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main())

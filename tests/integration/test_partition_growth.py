"""A topic grows on real Kafka: keys move to other partitions, and moved clicks count as unverified."""

from __future__ import annotations

import asyncio
import time

from deploy.settings import Settings
from ingest.event import Click
from rollups.clickhouse import ClickHouse
from tests.support.kafka_broker import KafkaBroker
from tests.support.live_worker import applied, audited, grow, ledger, live_worker, publish
from tests.support.worker import until


def clicks(first: int, count: int) -> list[Click]:
    now = int(time.time() * 1000)
    link = {"account_id": 1, "domain": "d.e", "link_id": "a"}
    return [
        Click(clicked_at=now, event_id=f"e{n}", visitor_id=f"v{n}", **link)  # type: ignore[arg-type]
        for n in range(first, first + count)
    ]


def test_what_moved_to_another_partition_is_unverified(kafka: KafkaBroker, db: ClickHouse) -> None:
    settings = Settings(
        kafka_url=kafka.bootstrap, topic="growing", group="growing", partitions=4, session_timeout_seconds=6
    )
    sent = clicks(0, 200)

    async def scenario() -> None:
        async with live_worker(settings, db) as worker:
            await publish(settings, sent)
            await applied(db, 200)
            assert ledger(db) == {"counted": 200, "unverified": 0}
            await grow(settings, 7)
            await publish(settings, sent)  # repeats of each, at once
            await applied(db, 400)
            again = ledger(db)
            assert again["counted"] + again["duplicate"] == 400
            assert again["unverified"] == again["counted"] - 200 > 50
            await until(lambda: sum(worker.states().values()) == 7)
            problems, notes = await audited(settings, db)
            assert problems == []
            assert [note for note in notes if "growing has 7 partitions since" in note and "are unverified" in note]
        async with live_worker(settings, db):  # another worker reads it from the database
            await publish(settings, clicks(200, 50))
            await applied(db, 450)
            assert ledger(db)["unverified"] == again["unverified"] + 50

    asyncio.run(scenario())

"""Topics with Kafka's default limit of 1 MB a record, not created by Clickmill."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.integration.test_bad_input import DAY, GOOD, dead_letters, produce
from tests.support.clickhouse_server import start_clickhouse_server
from tests.support.kafka_broker import KafkaBroker, missing_reason, require
from tests.support.stack import Stack, separate_stack


async def create(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, 1, 1, topic_configs={"max.message.bytes": "1048588"}) for name in ("clicks", "clicks.dead")]
        )
    finally:
        await admin.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    require(missing_reason())
    directory: Path = tmp_path_factory.mktemp("foreign")
    with ExitStack() as servers:
        broker = servers.enter_context(KafkaBroker(directory / "kafka"))
        asyncio.run(create(broker.bootstrap))
        engine = servers.enter_context(start_clickhouse_server(directory / "engine"))
        stack = separate_stack(directory, broker.bootstrap, engine.url)
        try:
            yield stack
        finally:
            stack.stop()


def test_a_dead_letter_that_does_not_fit_is_cut_and_stops_nothing(stack: Stack) -> None:
    stack.admin("PUT", "/admin/catalog", {"accounts": [{"account_id": 301, "plan": "Business"}]})
    good = json.dumps(GOOD | {"clicked_at": int(time.time() * 1000)}).encode()
    asyncio.run(produce(stack, [good, b"\x00" * 15_000_000, good]))  # compressed on the way
    stack.wait_counted()
    letters = asyncio.run(dead_letters(stack))
    assert [raw for raw, headers in letters if headers.get("truncated") == "15000000"] == [b"\x00" * 900_000]
    hours = stack.hours(stack.key("account", account_id=301), DAY)
    assert sum(clicks for _, clicks, _ in hours) == 2

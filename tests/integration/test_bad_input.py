"""Bad values in Kafka: good ones are counted, bad ones become dead letters, the worker goes on."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.support.stack import Stack

DAY = datetime.now(UTC).date().isoformat()
GOOD: dict[str, Any] = {"account_id": 301, "domain": "go.example", "link_id": "a"}

BAD: dict[str, tuple[bytes | None, str, str]] = {
    "truncated": (b'{"clicked_at": 17', "invalid", "not_json"),
    "wrong type": (
        json.dumps(GOOD | {"clicked_at": 1, "account_id": "one"}).encode(),
        "invalid",
        "wrong_type",
    ),
    "no time": (json.dumps(GOOD).encode(), "invalid", "time_missing"),
    "2099": (json.dumps(GOOD | {"clicked_at": "2099-01-01T00:00:00Z"}).encode(), "future", "future"),
    "garbage that compresses": (b"\x00" * 20_000_000, "invalid", "not_json"),
    "garbage": (b"\x00\x01garbage" * 1_000_000, "invalid", "not_json"),
    "not UTF-8": (b'{"clicked_at": 1, "link_id": "\xff\xfe"}', "invalid", "not_utf8"),
    "empty": (b"", "invalid", "empty"),
    "tombstone": (None, "invalid", "tombstone"),
    "no subject": (b'{"clicked_at": 1}', "invalid", "subject_missing"),
    "no date of .NET": (json.dumps(GOOD | {"clicked_at": "0001-01-01T00:00:00"}).encode(), "invalid", "time_invalid"),
    "an array of nothing": (b"[" + b"1," * 100_000 + b"1]", "invalid", "too_large"),
}


async def produce(stack: Stack, values: list[bytes | None]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, max_request_size=32_000_000, compression_type="lz4")
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait("clicks", value, key=b"same partition")
    finally:
        await producer.stop()


async def produce_nothing(stack: Stack) -> None:
    """Sends a record without key and value, which aiokafka refuses."""
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka) as producer:
        await producer.partitions_for("clicks")
        batch = producer.create_batch()
        batch.append(key=None, value=None, timestamp=None)
        await (await producer.send_batch(batch, "clicks", partition=0))


async def dead_letters(stack: Stack) -> list[tuple[bytes | None, dict[str, str]]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka, max_partition_fetch_bytes=20_000_000)
    await consumer.start()
    try:
        partition = TopicPartition("clicks.dead", 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        letters = []
        while records := (await consumer.getmany(timeout_ms=2000)).get(partition):
            letters += [(r.value, {name: text.decode() for name, text in r.headers}) for r in records]
        return [(value, headers) for value, headers in letters if "reason" in headers]  # the others are notes
    finally:
        await consumer.stop()


@pytest.fixture(scope="module")
def letters(stack: Stack) -> list[tuple[bytes | None, dict[str, str]]]:
    """The dead letters of all bad values, each sent between two good ones."""
    stack.admin("PUT", "/admin/catalog", {"accounts": [{"account_id": 301, "plan": "Business"}]})
    good = json.dumps(GOOD | {"clicked_at": int(time.time() * 1000)}).encode()
    values: list[bytes | None] = [good]
    for value, _, _ in BAD.values():
        values += [value, good]
    values.append(json.dumps([json.loads(good), {"clicked_at": True}, json.loads(good)]).encode())
    values.append(json.dumps([json.loads(good), *range(99)]).encode())
    asyncio.run(produce(stack, values))
    asyncio.run(produce_nothing(stack))
    stack.wait_counted()
    return asyncio.run(dead_letters(stack))


def test_the_good_ones_beside_are_counted(stack: Stack, letters: object) -> None:
    hours = stack.hours(stack.key("account", account_id=301), DAY)
    assert sum(clicks for _, clicks, _ in hours) == len(BAD) + 1 + 2 + 1


@pytest.mark.parametrize("name", BAD)
def test_each_bad_value_is_a_dead_letter_with_its_reason(
    stack: Stack, letters: list[tuple[bytes | None, dict[str, str]]], name: str
) -> None:
    value, reason, error = BAD[name]
    found = [headers for raw, headers in letters if headers["error"] == error]
    assert len(found) == {"not_json": 3, "tombstone": 2, "time_invalid": 2}.get(error, 1)
    assert {headers["reason"] for headers in found} == {reason}
    assert all(headers["topic"] == "clicks" and headers["offset"].isdigit() for headers in found)
    if name == "garbage that compresses":
        assert [len(raw or b"") for raw, headers in letters if headers.get("truncated") == "20000000"] > [15_000_000]
    else:
        assert value in [raw for raw, _ in letters]


def test_a_bad_item_of_an_array_is_a_dead_letter_of_its_own(
    letters: list[tuple[bytes | None, dict[str, str]]],
) -> None:
    [(raw, headers)] = [letter for letter in letters if letter[1].get("index") and letter[0] == b'{"clicked_at": true}']
    assert (raw, headers["index"], headers["error"]) == (b'{"clicked_at": true}', "1", "time_invalid")


def test_many_bad_items_of_an_array_are_few_dead_letters(
    letters: list[tuple[bytes | None, dict[str, str]]],
) -> None:
    held = [json.loads(raw or b"") for raw, headers in letters if headers["error"] == "not_an_event"]
    assert held == [*range(20), list(range(20, 99))]

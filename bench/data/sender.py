"""Sends events at a steady rate: `python -m bench.data.sender BROKER RATE SECONDS [--ahead] [--hostile]`.

With `--ahead` all record batches are packed in advance, so that sending costs almost nothing; then it prints `ready`
and waits for a line. It ends with a line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from bench.data.events import events
from bench.data.hostile_events import hostile_events
from bench.data.topic import PARTITIONS
from deploy.settings import Settings
from ingest.kafka.admin import client_options
from ingest.kafka.producer_connection import COMPRESSION

_TICK = 0.05  # seconds; the events of a tick are sent at once

Tick = dict[int, Any]


def ticks(
    producer: AIOKafkaProducer, rate: int, seconds: float, *, packed: bool, hostile: bool = False
) -> Iterator[Tick]:
    """For each tick, record batches by partition. Click times start now and follow the sending."""
    count, now = int(rate * seconds), int(time.time() * 1000)
    made = hostile_events if hostile else events
    source = made(count, seed=now, start_ms=now, hours=seconds / 3600)
    places: dict[bytes, int] = {}
    while chunk := list(islice(source, max(1, int(rate * _TICK)))):
        batches: Tick = {}
        for key, value in chunk:
            partition = places.get(key)
            if partition is None:
                partition = places[key] = (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
            if partition not in batches:
                batches[partition] = producer.create_batch()
            if batches[partition].append(key=key, value=value, timestamp=None) is None:
                raise RuntimeError("the records of a tick exceed one batch")
        for batch in batches.values():
            if packed:
                batch._build()
        yield batches


async def send(producer: AIOKafkaProducer, made: Iterable[Tick]) -> dict[str, float]:
    """Sends each tick when it is due. Returns the seconds that it fell behind at most."""
    sent, behind, started = 0, 0.0, time.perf_counter()
    waiting: set[Any] = set()
    for number, batches in enumerate(made):
        due = started + number * _TICK
        behind = max(behind, time.perf_counter() - due)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        for partition, batch in batches.items():
            sent += batch.record_count()
            waiting.add(await producer.send_batch(batch, "clicks", partition=partition))
        waiting = {each for each in waiting if not each.done()}
    await asyncio.gather(*waiting)
    return {"sent": sent, "seconds": time.perf_counter() - started, "most_behind_seconds": behind}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("broker")
    parser.add_argument("rate", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--ahead", action="store_true")
    parser.add_argument("--hostile", action="store_true")
    given = parser.parse_args()
    settings = Settings(kafka_url=given.broker)
    producer = AIOKafkaProducer(
        **client_options(settings), acks="all", compression_type=COMPRESSION, max_batch_size=1024 * 1024, linger_ms=0
    )
    await producer.start()
    made: Iterable[Tick] = ticks(producer, given.rate, given.seconds, packed=given.ahead, hostile=given.hostile)
    if given.ahead:
        made = list(made)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    answer = await send(producer, made)
    await producer.stop()
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

"""Marker events, and the time until the API counts each of them."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime

import httpx
from aiokafka import AIOKafkaProducer

from bench.brokers import Broker
from ingest.kafka.admin import client_options

_MARKER_EVERY, _ASK_EVERY = 0.1, 0.1
_PATIENCE = 60.0


class Markers:
    """Events of an account without others, each with its own user, all in the hour of the first."""

    def __init__(self, broker: Broker, url: str, key: str, account: int) -> None:
        self._broker, self._url, self._account = broker, url, account
        self._headers = {"Authorization": f"APIKey {key}"}
        self._hour = datetime.now(UTC)
        self._sent: list[float] = []

    async def delays(self, seconds: float) -> list[float]:
        """Seconds from sending each marker to the first response that counts it."""
        delays: list[float] = []
        sending = asyncio.create_task(self._send(seconds))
        deadline = time.perf_counter() + seconds + _PATIENCE
        async with httpx.AsyncClient(base_url=self._url, headers=self._headers, timeout=30) as client:
            while not (sending.done() and len(delays) == len(self._sent)):
                asked = time.perf_counter()
                counted = await self._counted(client)
                now = time.perf_counter()
                delays += [now - at for at in self._sent[len(delays) : counted]]
                if now > deadline:
                    raise RuntimeError(f"{len(delays)} of {len(self._sent)} markers were served")
                await asyncio.sleep(max(0.0, asked + _ASK_EVERY - time.perf_counter()))
        await sending
        return delays

    async def _counted(self, client: httpx.AsyncClient) -> int:
        day = self._hour.date().isoformat()
        answer = await client.get("/api/statistics/v2/clicks-by-hour", params={"ymd": day})
        return sum(row["acesCnt"] for row in answer.raise_for_status().json()["result"])

    async def _send(self, seconds: float) -> None:
        producer = AIOKafkaProducer(**client_options(self._broker.settings()), acks="all")
        await producer.start()
        started, number = time.perf_counter(), 0
        while time.perf_counter() < started + seconds:
            event = {
                "event_id": f"marker-{number}-{time.time_ns()}",
                "clicked_at": int(self._hour.timestamp() * 1000),
                "account_id": self._account,
                "domain": "marker.example",
                "link_id": "marker",
                "visitor_id": f"marker-{number}",
            }
            self._sent.append(time.perf_counter())
            await producer.send_and_wait("clicks", json.dumps(event).encode(), key=b"marker", partition=0)
            number += 1
            await asyncio.sleep(max(0.0, started + number * _MARKER_EVERY - time.perf_counter()))
        await producer.stop()

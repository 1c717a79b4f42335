"""`clickmill dlq` when Kafka goes away."""

from __future__ import annotations

from typing import Any, cast

import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.commands import dlq
from ingest.kafka.producer_connection import ProducerConnection
from rollups.delivery.dead_letters import PublishedDeadLetters


def test_a_replay_that_fails_closes_the_connection_of_its_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Connection(ProducerConnection):
        async def close(self) -> None:
            closed.append(self)

    async def nothing(_: Any) -> PublishedDeadLetters:
        return PublishedDeadLetters()

    async def connect(*_: Any) -> ProducerConnection:
        return Connection(cast(Any, None), idempotent=True)

    monkeypatch.setattr(dlq, "ensure_topics", nothing)
    monkeypatch.setattr(dlq, "read_dead_letters", nothing)
    monkeypatch.setattr(dlq, "connect_producer", connect)
    settings = {"CLICKMILL_KAFKA_URL": "127.0.0.1:1", "CLICKMILL_VISITOR_SECRET": "s" * 32}
    result = CliRunner().invoke(main, ["dlq", "replay"], env=settings)
    assert result.exit_code == 1, "no broker takes events"
    assert len(closed) == 1

"""How Kafka is dialled, waited for and asked for the id of a topic."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion

from ingest.kafka import connection, topics, wait_for_broker
from ingest.settings import Settings
from ingest.topic_id import topic_id
from tests.support import free_port


def test_a_plain_connection_has_no_credentials() -> None:
    arguments = connection(Settings(kafka_url="a:1,b:2"))
    assert arguments == {"bootstrap_servers": "a:1,b:2", "security_protocol": "PLAINTEXT", "ssl_context": None}


def test_tls_and_sasl_come_from_the_settings() -> None:
    secured = Settings(
        kafka_url="a:1",
        kafka_security="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_username="u",
        kafka_password="p",
    )
    arguments = connection(secured)
    assert isinstance(arguments["ssl_context"], ssl.SSLContext)
    assert arguments["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("u", "p")


def test_dead_letters_are_in_one_partition_and_stay_longer() -> None:
    clicks, dead = topics(Settings(topic="t", partitions=7, retention_hours=1))
    assert (clicks.name, clicks.partitions, dead.name, dead.partitions) == ("t", 7, "t.dead", 1)
    assert int(dead.config["retention.ms"]) == 4 * int(clicks.config["retention.ms"]) == 4 * 3_600_000
    assert clicks.config["message.timestamp.type"] == "LogAppendTime"


def test_an_absent_broker_is_named_until_told_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ingest.kafka")
    url = f"127.0.0.1:{free_port()}"

    async def wait() -> None:
        stop = asyncio.Event()
        waiting = asyncio.ensure_future(wait_for_broker(Settings(kafka_url=url), stop))
        await asyncio.sleep(0.6)
        assert not waiting.done()
        stop.set()
        await asyncio.wait_for(waiting, 5)

    asyncio.run(wait())
    lines = [line for line in caplog.messages if f"Kafka at {url} is not reachable, trying again in" in line]
    assert [line.split(" trying again in ")[1][:5] for line in lines[:2]] == ["0.1 s", "0.2 s"]


def test_a_broker_without_topic_ids_has_none(caplog: pytest.LogCaptureFixture) -> None:
    class OldBroker:
        def get_random_node(self) -> int:
            return 1

        async def send(self, node: int, request: Any) -> Any:
            raise IncompatibleBrokerVersion("Metadata v12")

    assert asyncio.run(topic_id(OldBroker(), "clicks")) == ""
    assert "has no topic ids" in caplog.text

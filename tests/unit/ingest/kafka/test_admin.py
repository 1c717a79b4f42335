"""Connecting to Kafka, waiting for it, and the ids and problems of topics."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion

from ingest.kafka.admin import MAX_RECORD_BYTES, client_options, topics, wait_for_broker
from ingest.kafka.topic_findings import findings
from ingest.kafka.topic_id import TopicDescription, describe_topic
from ingest.settings import Settings
from tests.support import free_port


def test_a_plain_connection_has_no_credentials() -> None:
    arguments = client_options(Settings(kafka_url="a:1,b:2"))
    assert arguments == {"bootstrap_servers": "a:1,b:2", "security_protocol": "PLAINTEXT", "ssl_context": None}


def test_tls_and_sasl_come_from_the_settings() -> None:
    secured = Settings(
        kafka_url="a:1",
        kafka_security="SASL_SSL",
        kafka_sasl_mechanism="SCRAM-SHA-512",
        kafka_username="u",
        kafka_password="p",
    )
    arguments = client_options(secured)
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
    caplog.set_level(logging.INFO, "ingest.kafka.admin")
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


class OldClient:
    def get_random_node(self) -> int:
        return 1

    async def send(self, node: int, request: Any) -> Any:
        raise IncompatibleBrokerVersion("Metadata v12")


class OldBroker:
    _client = OldClient()

    async def describe_cluster(self) -> dict[str, Any]:
        return {"cluster_id": "c"}

    async def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
        return [{"topic": topic, "partitions": [{}, {}]} for topic in topics]


def test_a_broker_without_topic_ids_has_none(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert asyncio.run(describe_topic(OldBroker(), "clicks")) == TopicDescription("c", "", 2)
    assert caplog.text.count("has no topic ids") <= 1, "said once in a process"


AS_MADE = [spec.config for spec in topics(Settings())]
WRONG: list[tuple[str, dict[str, str], dict[str, str], list[str]]] = [
    ("as made", {}, {}, []),
    ("1 MB", {"max.message.bytes": "1048588"}, {}, ["topic clicks: max.message.bytes is 1048588", "to 16777216"]),
    (
        "a dead-letter topic that takes less",
        {"max.message.bytes": "33554432"},
        {},
        ["topic clicks.dead: max.message.bytes is 16777216, less than the 33554432"],
    ),
    ("producers' times", {"message.timestamp.type": "CreateTime"}, {}, ["topic clicks: message.timestamp.type"]),
    ("dead letters in producers' times", {}, {"message.timestamp.type": "CreateTime"}, []),
    ("an hour", {"retention.ms": "3600000"}, {}, ["topic clicks: retention.ms is 3600000", "less than a day"]),
    ("for ever", {"retention.ms": "-1"}, {"retention.ms": "-1"}, []),
    ("clicks for ever", {"retention.ms": "-1"}, {}, ["topic clicks.dead: retention.ms is 2419200000"]),
    ("dead letters a day", {}, {"retention.ms": "86400000"}, ["topic clicks.dead: retention.ms", "before the clicks"]),
    ("by size", {"retention.bytes": "1073741823"}, {}, ["topic clicks: retention.bytes is 1073741823", "1073741824"]),
    ("by a size that is large", {"retention.bytes": "1073741824"}, {"retention.bytes": "1073741824"}, []),
    ("compacted", {"cleanup.policy": "compact,delete"}, {}, ["topic clicks: cleanup.policy is compact,delete"]),
    ("unclean", {"unclean.leader.election.enable": "true"}, {}, ["topic clicks: unclean.leader"]),
    ("no numbers", {"max.message.bytes": "1" * 5000, "retention.ms": "soon"}, {}, []),
]


@pytest.mark.parametrize(("clicks", "dead", "expected"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_with_a_topic_is_found(clicks: dict[str, str], dead: dict[str, str], expected: list[str]) -> None:
    found = findings(Settings(), AS_MADE[0] | clicks, AS_MADE[1] | dead, MAX_RECORD_BYTES)
    assert len(found) == bool(expected)
    assert all(part in found[0] for part in expected)


def test_a_retention_below_the_horizon_is_found() -> None:
    settings = Settings(dedupe_horizon_minutes=3 * 24 * 60)
    kept = {"retention.ms": str(2 * 86_400_000)}
    [line] = findings(settings, AS_MADE[0] | kept, AS_MADE[1], MAX_RECORD_BYTES)
    assert "shorter than the 4320 minutes" in line


def test_a_broker_that_tells_nothing_is_left_alone() -> None:
    assert findings(Settings(), {}, {}, MAX_RECORD_BYTES) == []

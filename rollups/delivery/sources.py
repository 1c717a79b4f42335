"""Sources: one incarnation of a Kafka topic each, so that offsets of a recreated topic are never mixed up."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from ingest.errors import ClickmillError, OperatorError
from rollups.clickhouse import ClickHouse


class SourceReplaced(ClickmillError):
    """The topic is another one of the same name now: its offsets mean something else."""


class SourceCollision(OperatorError):
    """Two incarnations of a topic got the same number; a one in four billion chance."""


def source_number(cluster_id: str, topic: str, topic_id: str) -> int:
    """The same for every worker without asking anybody: 32 bits of a hash of what makes the incarnation."""
    digest = hashlib.sha256("\0".join((cluster_id, topic, topic_id)).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def register_source(db: ClickHouse, cluster_id: str, topic: str, topic_id: str) -> int:
    """The number of this incarnation, noted in `sources` the first time it is seen."""
    number = source_number(cluster_id, topic, topic_id)
    identity = (cluster_id, topic, topic_id)
    known = db.query(
        "SELECT cluster_id, topic, topic_id FROM sources FINAL WHERE source = {source:UInt32}",
        {"source": number},
    )
    if not known:
        db.insert(
            "sources",
            [(number, *identity, datetime.now(UTC))],
            ["source", "cluster_id", "topic", "topic_id", "first_seen"],
        )
    elif tuple(known[0]) != identity:
        raise SourceCollision(f"source {number} is {known[0]} already and cannot be {identity}: recreate the topic")
    return number

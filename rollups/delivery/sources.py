"""Sources: each incarnation of a Kafka topic has a number, so that offsets of a recreated topic are kept apart."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from ingest.errors import ClickmillError, OperatorError
from rollups.clickhouse import ClickHouse


class SourceReplaced(ClickmillError):
    """The topic was recreated under the same name: its offsets are of other records."""


class SourceCollision(OperatorError):
    """Two incarnations of a topic have the same number; a chance of one in four billion."""


def source_number(cluster_id: str, topic: str, topic_id: str) -> int:
    """The same in every worker: 32 bits of a hash over what identifies the incarnation."""
    digest = hashlib.sha256("\0".join((cluster_id, topic, topic_id)).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def register_source(db: ClickHouse, cluster_id: str, topic: str, topic_id: str) -> int:
    """The number of this incarnation; the first call writes it to `sources`. Raises SourceCollision. Blocks."""
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

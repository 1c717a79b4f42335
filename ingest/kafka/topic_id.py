"""Description of a topic with its id, which changes when it is recreated: Metadata v12, which aiokafka lacks."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

log = logging.getLogger(__name__)

_NO_ID = uuid.UUID(int=0)


class Uuid(AbstractType[uuid.UUID]):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


_PARTITION = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    ("tags", TaggedFields),
)
_BROKER = (
    ("node_id", Int32),
    ("host", CompactString("utf-8")),
    ("port", Int32),
    ("rack", CompactString("utf-8")),
    ("tags", TaggedFields),
)
_TOPIC = (
    ("error_code", Int16),
    ("name", CompactString("utf-8")),
    ("topic_id", Uuid),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)),
    ("authorized_operations", Int32),
    ("tags", TaggedFields),
)


class MetadataResponse_v12(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_BROKER)),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        ("topics", CompactArray(*_TOPIC)),
        ("tags", TaggedFields),
    )


class MetadataRequest_v12(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = MetadataResponse_v12
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicRequest(Request[MetadataRequest_v12]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[MetadataRequest_v12]) -> MetadataRequest_v12:
        return request_struct_class([(_NO_ID, self._topic, {})], False, False, {})


@dataclass(frozen=True, slots=True)
class TopicDescription:
    """A topic as a broker describes it."""

    cluster_id: str
    topic_id: str  # hexadecimal digits; empty from brokers before 3.1, which have no ids
    partitions: int


async def describe_topic(admin: AIOKafkaAdminClient, topic: str) -> TopicDescription:
    """One request to one broker, or two if it is old. Raises KafkaError."""
    client = admin._client
    try:
        response = await client.send(client.get_random_node(), _TopicRequest(topic))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return await _describe_topic_without_id(admin, topic)
    error_code, _, identity, _, partitions = response.topics[0][:5]
    if error_code:
        raise for_code(error_code)(f"no metadata of topic {topic}")
    return TopicDescription(str(response.cluster_id), "" if identity == _NO_ID else identity.hex, len(partitions))


@cache
def _warn_of_missing_ids() -> None:
    log.warning("the broker has no topic ids: a recreated topic cannot be told from its predecessor")


async def _describe_topic_without_id(admin: AIOKafkaAdminClient, topic: str) -> TopicDescription:
    _warn_of_missing_ids()
    cluster = await admin.describe_cluster()
    [found] = await admin.describe_topics([topic])
    return TopicDescription(str(cluster["cluster_id"]), "", len(found["partitions"]))

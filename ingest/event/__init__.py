"""What a click is: its fields, validation, and encoding."""

from ingest.event.click import Click, clicked_at_ms, encode, ensure_event_id, partition_key, user_identity
from ingest.event.codec import (
    MAX_RECORD_EVENTS,
    UNPARSABLE,
    Rejected,
    decode_one,
    decode_record,
    parse_record,
    split_array,
)
from ingest.event.validation import (
    MAX_EVENT_ID,
    MAX_ID,
    MAX_LINK_ID,
    MAX_VISITOR_ID,
    Fault,
    normal_domain,
    validate_and_normalize,
    validate_size,
)

__all__ = [
    "MAX_EVENT_ID",
    "MAX_ID",
    "MAX_LINK_ID",
    "MAX_RECORD_EVENTS",
    "MAX_VISITOR_ID",
    "UNPARSABLE",
    "Click",
    "Fault",
    "Rejected",
    "clicked_at_ms",
    "decode_one",
    "decode_record",
    "encode",
    "ensure_event_id",
    "normal_domain",
    "parse_record",
    "partition_key",
    "split_array",
    "user_identity",
    "validate_and_normalize",
    "validate_size",
]

"""Clicks as columns, one for each field, so that every step works on whole columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ingest.event.click import Click, clicked_at_ms
from ingest.event.validation import LATEST_MS, MAX_DOMAIN, MAX_EVENT_ID, MAX_LINK_ID, MAX_VISITOR_ID, normal_domain

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

BLANK = Click(clicked_at=0)  # placeholder in rows without a click


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickColumns:
    """Columns over clicks, in order. Without a value ids are 0, texts null or empty."""

    clicked_ms: Ints
    account_id: Ints
    domain: pa.StringArray  # normalized
    link_id: pa.StringArray
    publisher_id: Ints
    advertiser_id: Ints
    network_id: Ints
    event_id: pa.StringArray
    visitor_id: pa.StringArray
    ip: pa.StringArray
    user_agent: pa.StringArray
    method: pa.StringArray
    purpose: pa.StringArray
    id_assigned: Mask  # the collector or producer assigned the event id
    suspects: Mask  # clicks in which `validate_and_normalize` may find a fault; it finds none in the others

    @classmethod
    def from_clicks(cls, clicks: list[Click]) -> ClickColumns:
        """Raises OverflowError or pa.ArrowInvalid if a number is too large for its column."""
        clicked_ms, naive = _times(clicks)
        event_id = pa.array([click.event_id for click in clicks], pa.string())
        visitor_id = pa.array([click.visitor_id for click in clicks], pa.string())
        given = pa.array([click.domain for click in clicks], pa.string())
        domain = by_value(given, lambda text: text and normal_domain(text), pa.string())
        link_id = pa.array([click.link_id for click in clicks], pa.string())
        accounts = _Ids.from_values([click.account_id for click in clicks])
        publishers = _Ids.from_values([click.publisher_id for click in clicks])
        advertisers = _Ids.from_values([click.advertiser_id for click in clicks])
        networks = _Ids.from_values([click.network_id for click in clicks])
        linked = accounts.sound & (sizes(domain) > 0) & (sizes(link_id) > 0)
        placed = publishers.sound & advertisers.sound & networks.sound
        unlinked = accounts.absent & _absent(given) & _absent(link_id)
        unplaced = publishers.absent & advertisers.absent & networks.absent
        fine = (linked | unlinked) & (placed | unplaced) & (linked | placed)
        fine &= (clicked_ms >= 0) & (clicked_ms <= LATEST_MS) & ~naive
        fine &= (sizes(event_id) <= MAX_EVENT_ID) & (sizes(visitor_id) <= MAX_VISITOR_ID)
        fine &= (sizes(given) <= MAX_DOMAIN) & (sizes(link_id) <= MAX_LINK_ID)
        return cls(
            clicked_ms=clicked_ms,
            account_id=accounts.values,
            domain=domain,
            link_id=link_id,
            publisher_id=publishers.values,
            advertiser_id=advertisers.values,
            network_id=networks.values,
            event_id=event_id,
            visitor_id=visitor_id,
            ip=pa.array([click.ip for click in clicks], pa.string()),
            user_agent=pa.array([click.user_agent for click in clicks], pa.string()),
            method=pa.array([click.method for click in clicks], pa.string()),
            purpose=pa.array([click.purpose for click in clicks], pa.string()),
            id_assigned=np.array([click.id_assigned for click in clicks], bool),
            suspects=~fine,
        )


def by_value(texts: pa.StringArray, function: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """Applies the function to each text, once per distinct text; null stays null."""
    coded = texts.dictionary_encode()
    return pa.array([function(text) for text in coded.dictionary.to_pylist()], kind).take(coded.indices)


def sizes(texts: pa.StringArray) -> Ints:
    """Bytes in UTF-8, never fewer than the characters; 0 for a null."""
    return pc.binary_length(texts).fill_null(0).to_numpy()  # type: ignore[no-any-return]


def _absent(column: pa.Array) -> Mask:
    return column.is_null().to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _times(clicks: list[Click]) -> tuple[Ints, Mask]:
    """Milliseconds since 1970, and which times came without a UTC offset."""
    given = [click.clicked_at for click in clicks]
    try:
        return np.array(given, np.int64), np.zeros(len(given), bool)
    except TypeError:  # some are datetimes
        naive = [
            not isinstance(at, int) and at.tzinfo is None for at in given
        ]  # the year 1 cannot be converted from a local zone
        times = [0 if is_naive else clicked_at_ms(click) for click, is_naive in zip(clicks, naive, strict=True)]
        return np.array(times, np.int64), np.array(naive, bool)


@dataclass(frozen=True, slots=True)
class _Ids:
    values: Ints  # 0 if absent
    absent: Mask

    @classmethod
    def from_values(cls, given: list[int | None]) -> _Ids:
        column = pa.array(given, pa.int64())
        return cls(column.fill_null(0).to_numpy(), _absent(column))

    @property
    def sound(self) -> Mask:
        return self.values > 0

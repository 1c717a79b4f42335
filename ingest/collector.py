"""`POST /ingest/events`: clicks over HTTP. The response comes after the broker's acknowledgement."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest.content_encoding import ACCEPTED, decompress
from ingest.errors import HttpError
from ingest.event import (
    UNPARSABLE,
    Click,
    Rejected,
    clicked_at_ms,
    decode_one,
    parse_record,
    validate_and_normalize,
    validate_size,
)
from ingest.kafka.admin import KafkaError
from ingest.producer import BufferFull, ClickProducer, DeliveryFailed, ProducerClosed
from ingest.settings import Settings

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 5 * 1024 * 1024
MAX_EVENTS = 50_000
BUFFER_TIMEOUT_SECONDS = 2.0  # a request waits this long for room in the buffer, then gets 429
ACKNOWLEDGE_TIMEOUT_SECONDS = 10.0  # then this long for its acknowledgements
_RETRY_AFTER_SECONDS = "2"

KeyVerdict = Literal["ok", "unknown", "forbidden", "unavailable"]
Authorize = Callable[[Mapping[str, str]], Awaitable[KeyVerdict]]

_array = msgspec.json.Decoder(list[msgspec.Raw])
_any = msgspec.json.Decoder(msgspec.Raw)
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def collector_routes(
    producer: ClickProducer,
    authorize: Authorize,
    settings: Settings,
    closed: Callable[[], bool],
    clock: Callable[[], float] = time.time,
) -> list[Route]:
    """The collector's routes. `authorize` checks the key in the headers; `closed`: whether events are refused now.

    The response is 202 if at least one event was accepted, else 400, with `{"accepted", "rejected"}`. After 401, 403,
    413 and 429 nothing was published; after 503 some events may have been, so a retry should carry their ids.
    """
    tolerance_ms = settings.future_tolerance_minutes * 60_000

    async def events(request: Request) -> Response:
        try:
            await _authorize(request, authorize, closed)
            body, latest_ms = await _read_body(request), int(clock() * 1000) + tolerance_ms
            clicks, rejected = parse_body(body, request.headers.get("content-type", ""), latest_ms)
            await _publish(producer, clicks)
        except HttpError as error:
            return _error_response(request, error)
        return JSONResponse({"accepted": len(clicks), "rejected": rejected}, 202 if clicks else 400)

    return [Route("/ingest/events", events, methods=["POST"])]


async def _authorize(request: Request, authorize: Authorize, closed: Callable[[], bool]) -> None:
    match await authorize(request.headers):
        case "unknown":
            raise HttpError(401, "UNAUTHORIZED", "A valid API key is required: send it as X-Api-Key.")
        case "forbidden":
            raise HttpError(403, "FORBIDDEN", "This key cannot send events: use one with role ingest.")
        case "unavailable":
            raise HttpError(503, "UNAVAILABLE", "Keys cannot be checked at the moment; send the events again.")
    if closed():
        raise HttpError(503, "UNAVAILABLE", "Events cannot be taken at the moment; send them again.")


async def _read_body(request: Request) -> bytes:
    too_large = HttpError(413, "PAYLOAD_TOO_LARGE", f"A request holds at most {MAX_BODY_BYTES} bytes; send several.")
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise too_large
    except ClientDisconnect as error:
        raise HttpError(400, "BAD_REQUEST", "The body ended early.") from error
    return decompress(bytes(body), request.headers.getlist("content-encoding"), MAX_BODY_BYTES)


def split_items(body: bytes, content_type: str) -> list[bytes]:
    """The bytes of each event of a body: one object, the items of an array, or lines (NDJSON).

    Several lines that are not one JSON value are NDJSON, whatever the content type; blank lines are skipped. A body
    that cannot be split is one item, and its fault names the problem.
    """
    if "ndjson" in content_type:
        return _lines(body) or [body]
    try:
        if body.lstrip()[:1] == b"[":
            return [bytes(item) for item in _array.decode(body)] or [body]
        _any.decode(body)
    except _NOT_JSON:
        lines = _lines(body)
        if len(lines) > 1 and all(line.startswith(b"{") for line in lines):
            return lines
    return [body]


def _lines(body: bytes) -> list[bytes]:
    return [stripped for line in body.split(b"\n") if (stripped := line.strip())]


def parse_body(body: bytes, content_type: str, latest_ms: int) -> tuple[list[Click], list[dict[str, Any]]]:
    """Clicks to publish, and for each rejected item its index, reason, error and message."""
    clicks = None if "ndjson" in content_type else _parse_valid_body(body, latest_ms)
    return (clicks, []) if clicks else _validate_items(split_items(body, content_type), latest_ms)


def _parse_valid_body(body: bytes, latest_ms: int) -> list[Click] | None:
    """The clicks of a body without a fault; None if there is one, to be found item by item."""
    try:
        parsed = parse_record(body)
    except UNPARSABLE:
        return None
    clicks = parsed if isinstance(parsed, list) else [parsed]
    if not 0 < len(clicks) <= MAX_EVENTS:
        return None
    if any(
        validate_and_normalize(click) or validate_size(click) or clicked_at_ms(click) > latest_ms for click in clicks
    ):
        return None
    return clicks


def _validate_items(items: list[bytes], latest_ms: int) -> tuple[list[Click], list[dict[str, Any]]]:
    if len(items) > MAX_EVENTS:
        raise HttpError(413, "PAYLOAD_TOO_LARGE", f"A request holds at most {MAX_EVENTS} events; send several.")
    clicks: list[Click] = []
    rejected: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        click = _validate_item(item, latest_ms)
        if isinstance(click, Click):
            clicks.append(click)
        else:
            reason, error, message = click
            rejected.append({"index": index, "reason": reason, "error": error, "message": message})
    return clicks, rejected


def _validate_item(item: bytes, latest_ms: int) -> Click | tuple[str, str, str]:
    """The click, or (reason, error, message)."""
    click = decode_one(item)
    if isinstance(click, Rejected):
        return "invalid", click.fault.value, click.message
    if problem := validate_size(click):
        return "invalid", problem[0].value, problem[1]
    if clicked_at_ms(click) > latest_ms:
        return "future", "future", "clicked_at is too far ahead of the collector's clock"
    return click


async def _publish(producer: ClickProducer, clicks: list[Click]) -> None:
    """Returns once the broker has acknowledged every click."""
    try:
        async with asyncio.timeout(ACKNOWLEDGE_TIMEOUT_SECONDS):
            await asyncio.gather(*await producer.send_many(clicks, wait=BUFFER_TIMEOUT_SECONDS))
    except BufferFull as error:
        raise HttpError(429, "RATE_LIMITED", "Too many events wait for the broker; send them again later.") from error
    except (TimeoutError, DeliveryFailed, ProducerClosed, KafkaError) as error:
        log.warning("events were not acknowledged, the response is 503: %s", error or "timeout")
        message = "The broker did not acknowledge all events; send them again, with the same event ids."
        raise HttpError(503, "UNAVAILABLE", message) from error


def _error_response(request: Request, error: HttpError) -> JSONResponse:
    content = {
        "code": error.code,
        "message": str(error),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request_id": request.scope.get("state", {}).get("request_id") or uuid.uuid4().hex,
    }
    headers = {"Retry-After": _RETRY_AFTER_SECONDS} if error.status in (429, 503) else None
    if error.status == 415:
        headers = {"Accept-Encoding": ACCEPTED}
    return JSONResponse({"error": content}, error.status, headers)

"""`POST /ingest/events`: clicks over HTTP, answered once the broker has acknowledged them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from aiokafka.errors import KafkaError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ingest.event import Click, Rejected, clicked_at_ms, decode_one
from ingest.producer import ClickProducer
from ingest.settings import Settings

MAX_BODY_BYTES = 5 * 1024 * 1024
_BUFFER_WAIT = 2.0  # seconds that a request waits for room before it is told to slow down
_BROKER_WAIT = 10.0
_RETRY_AFTER = "2"

Verdict = Literal["ok", "unknown", "forbidden", "unavailable"]
Authorize = Callable[[str | None], Awaitable[Verdict]]

_array = msgspec.json.Decoder(list[msgspec.Raw])


class Refusal(Exception):
    """A request that is answered with an error as a whole."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def collector_routes(
    producer: ClickProducer, authorize: Authorize, settings: Settings, closed: Callable[[], bool]
) -> list[Route]:
    """The collector's routes. `authorize` judges a key, `closed` says that no events can be taken just now."""

    async def events(request: Request) -> Response:
        try:
            await _admit(request, authorize, closed)
            items = split_items(await _body(request), request.headers.get("content-type", ""))
            clicks, rejected = sort_items(
                items, time.time_ns() // 1_000_000, settings.future_tolerance_minutes * 60_000
            )
            await _publish(producer, clicks)
        except Refusal as refusal:
            return _error(refusal)
        return JSONResponse({"accepted": len(clicks), "rejected": rejected}, 202 if clicks else 400)

    return [Route("/ingest/events", events, methods=["POST"])]


async def _admit(request: Request, authorize: Authorize, closed: Callable[[], bool]) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key = request.headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else None)
    match await authorize(key):
        case "unknown":
            raise Refusal(401, "UNAUTHORIZED", "A valid API key is required: send it as X-Api-Key.")
        case "forbidden":
            raise Refusal(403, "FORBIDDEN", "This key cannot send events: use one with role ingest.")
        case "unavailable":
            raise Refusal(503, "UNAVAILABLE", "Keys cannot be checked at the moment; send the events again.")
    if closed():
        raise Refusal(503, "UNAVAILABLE", "Events cannot be taken at the moment; send them again.")


async def _body(request: Request) -> bytes:
    too_large = Refusal(413, "PAYLOAD_TOO_LARGE", f"A request holds at most {MAX_BODY_BYTES} bytes; send several.")
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
        raise Refusal(400, "BAD_REQUEST", "The body ended early.") from error
    return bytes(body)


def split_items(body: bytes, content_type: str) -> list[bytes]:
    """The events of a body, each as its own bytes: one object, an array, or a line each (NDJSON).

    Several lines that start with an object are NDJSON whatever the content type says. A body that cannot be taken
    apart is one item, whose fault then names what is wrong.
    """
    text = body.strip()
    if text[:1] == b"[":
        try:
            return [bytes(item) for item in _array.decode(text)] or [body]
        except (msgspec.DecodeError, UnicodeDecodeError):
            return [body]
    lines = [line for line in text.split(b"\n") if line.strip()]
    if "ndjson" in content_type or (len(lines) > 1 and all(line.lstrip()[:1] == b"{" for line in lines)):
        return lines or [body]
    return [body]


def sort_items(items: list[bytes], now_ms: int, future_tolerance_ms: int) -> tuple[list[Click], list[dict[str, Any]]]:
    """Clicks to publish, and what is wrong with each of the others by its index."""
    clicks: list[Click] = []
    rejected: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        click = decode_one(item)
        if isinstance(click, Rejected):
            fault = {"reason": "invalid", "error": click.fault.value, "message": click.message}
            rejected.append({"index": index, **fault})
        elif clicked_at_ms(click) > now_ms + future_tolerance_ms:
            message = "clicked_at is too far ahead of the collector's clock"
            rejected.append({"index": index, "reason": "future", "error": "future", "message": message})
        else:
            clicks.append(click)
    return clicks, rejected


async def _publish(producer: ClickProducer, clicks: list[Click]) -> None:
    """Returns once the broker has acknowledged every click."""
    try:
        async with asyncio.timeout(_BUFFER_WAIT):
            acknowledgements = [await producer.send(click) for click in clicks]
    except TimeoutError as error:
        raise Refusal(429, "RATE_LIMITED", "Too many events wait for the broker; send them again later.") from error
    except (KafkaError, RuntimeError) as error:
        raise Refusal(503, "UNAVAILABLE", "The broker cannot take events; send them again.") from error
    if not acknowledgements:
        return
    done, pending = await asyncio.wait(acknowledgements, timeout=_BROKER_WAIT)
    if pending or any(future.exception() for future in done):
        raise Refusal(503, "UNAVAILABLE", "The broker did not acknowledge the events; send them again.")


def _error(refusal: Refusal) -> JSONResponse:
    error = {
        "code": refusal.code,
        "message": str(refusal),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request_id": uuid.uuid4().hex,
    }
    headers = {"Retry-After": _RETRY_AFTER} if refusal.status in (429, 503) else None
    return JSONResponse({"error": error}, refusal.status, headers)

"""The collector's keys, and its responses when publishing fails: 503 for an outage, 500 for a bug, each logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from fastapi.testclient import TestClient

from deploy.processes.collector import CollectorService, collector_app
from deploy.settings import Settings
from ingest.event import Click
from ingest.producer import BufferFull, ClickProducer, DeliveryFailed, ProducerClosed
from tests.support.seed import ADMIN_KEY, Away

CLICK = {"clicked_at": 1767225600000, "account_id": 1, "domain": "vvd.bz", "link_id": "a"}
WITH_KEY = {"X-Api-Key": ADMIN_KEY}


class FailingProducer(ClickProducer):
    """Raises `error` when a click is buffered, or when it is acknowledged."""

    def __init__(self, settings: Settings, error: Exception, *, acknowledged: bool) -> None:
        super().__init__(settings)
        self._error, self._acknowledged = error, acknowledged

    async def send_many(self, clicks: Sequence[Click], **_: Any) -> list[asyncio.Future[Any]]:
        if not self._acknowledged:
            raise self._error
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(self._error)
        return [future]


def posted(error: Exception, *, acknowledged: bool, headers: Mapping[str, str] = WITH_KEY) -> tuple[int, str]:
    settings = Settings(admin_key=ADMIN_KEY)
    service = CollectorService(settings)
    service.producer, service.open = FailingProducer(settings, error, acknowledged=acknowledged), True
    client = TestClient(collector_app(Away(), settings, service), raise_server_exceptions=False)
    response = client.post("/ingest/events", json=CLICK, headers=headers)
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"X-Api-Key": ADMIN_KEY}, 429, id="header"),
        pytest.param({"Authorization": f"Bearer  {ADMIN_KEY}"}, 429, id="bearer"),
        pytest.param({"X-Api-Key": "", "Authorization": f"Bearer {ADMIN_KEY}"}, 401, id="header-empty-no-fall-through"),
        pytest.param({"Authorization": f"APIKey {ADMIN_KEY}"}, 401, id="other-scheme"),
        pytest.param({}, 401, id="none"),
    ],
)
def test_the_first_credential_decides_as_in_the_api(headers: dict[str, str], status: int) -> None:
    assert posted(BufferFull("full"), acknowledged=False, headers=headers)[0] == status


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.WARNING and record.name != "httpx"]


@pytest.mark.parametrize("acknowledged", [False, True])
@pytest.mark.parametrize("error", [DeliveryFailed("x-1"), KafkaConnectionError("x-1"), ProducerClosed("x-1")])
def test_a_failed_delivery_is_503_and_logged_once(
    error: Exception, acknowledged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert posted(error, acknowledged=acknowledged) == (503, "UNAVAILABLE")
    [record] = logged(caplog)
    assert "x-1" in record.getMessage()


def test_a_full_buffer_is_429() -> None:
    assert posted(BufferFull("full"), acknowledged=False) == (429, "RATE_LIMITED")


@pytest.mark.parametrize("acknowledged", [False, True])
@pytest.mark.parametrize("bug", [RuntimeError("x-1"), KeyError("x-1")])
def test_a_bug_is_500_with_its_traceback(bug: Exception, acknowledged: bool, caplog: pytest.LogCaptureFixture) -> None:
    assert posted(bug, acknowledged=acknowledged) == (500, "INTERNAL_ERROR")
    [record] = logged(caplog)
    assert record.exc_info is not None
    assert record.exc_info[1] is bug

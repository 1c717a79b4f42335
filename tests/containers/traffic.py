"""Clicks through the collector until it takes them, and what the API must say of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx

VISITORS = 500
BATCH = 100
PAUSE_SECONDS = 0.2  # between two batches: up to 500 clicks a second
ACCEPTED_SECONDS = 180
_AGAIN_SECONDS = 0.3


class Traffic:
    """Clicks of account 1 in one hour. Each visitor clicks on each link once; every tenth click is sent twice."""

    def __init__(self, collector: str, key: str) -> None:
        self._http = httpx.Client(base_url=collector, headers={"X-Api-Key": key}, timeout=20)
        self._at = datetime.now(UTC).replace(microsecond=0)
        self._numbers = count()
        self.sent = 0
        self.refused = 0

    @property
    def expected(self) -> list[dict[str, Any]]:
        """The response of clicks-by-hour v2 when everything is counted."""
        users = min(self.sent, VISITORS)
        return [{"ymd": self.day, "hour": self._at.hour, "acesCnt": self.sent, "pernCnt": users}]

    @property
    def day(self) -> str:
        return self._at.date().isoformat()

    def send(self) -> None:
        """Sends a batch until the collector acknowledges all of it."""
        events = [self._click(number) for number, _ in zip(self._numbers, range(BATCH), strict=False)]
        body = events + events[::10]
        deadline = time.monotonic() + ACCEPTED_SECONDS
        while refusal := self._refusal(body):
            assert time.monotonic() < deadline, refusal
            self.refused += 1
            time.sleep(_AGAIN_SECONDS)
        self.sent += len(events)

    def _refusal(self, body: list[dict[str, Any]]) -> str:
        """Why the batch was not accepted; empty if it was."""
        try:
            answer = self._http.post("/ingest/events", json=body)
        except httpx.HTTPError as error:
            return repr(error)
        if answer.is_success:
            assert answer.json() == {"accepted": len(body), "rejected": []}
            return ""
        assert answer.status_code == 503, answer.text
        return answer.text

    def _click(self, number: int) -> dict[str, Any]:
        return {
            "event_id": f"click-{number}",
            "clicked_at": self._at.isoformat(),
            "visitor_id": f"visitor-{number % VISITORS}",
            "account_id": 1,
            "domain": "go.example",
            "link_id": f"link-{number // VISITORS}",
        }

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Sends all the time within the block, and once more after it."""
        stop, failures = threading.Event(), []

        def flow() -> None:
            try:
                while not stop.wait(PAUSE_SECONDS):
                    self.send()
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=flow)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(ACCEPTED_SECONDS)
        assert not failures, failures
        assert not thread.is_alive(), "the collector accepts nothing"

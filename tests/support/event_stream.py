"""A client of server-sent events that reads one event at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx


class EventStream:
    """An open stream. Comments are events with an empty name."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()
        self.fields: dict[str, str] = {}  # of the last event

    def next(self) -> tuple[str, Any]:
        """Name and data of the next event. Blocks; raises StopIteration at the end of the stream."""
        while True:
            self.fields = {}
            while line := next(self._lines):
                name, _, value = line.partition(": ")
                self.fields[name.rstrip(":")] = value
            if "" in self.fields:
                return "", None
            if "event" in self.fields:
                return self.fields["event"], json.loads(self.fields["data"])


@contextmanager
def event_stream(url: str, key: str, **parameters: Any) -> Iterator[EventStream]:
    """A stream of /api/v1/live after its first event."""
    headers = {"X-Api-Key": key, "Accept": "text/event-stream"}
    with httpx.stream("GET", f"{url}/api/v1/live", params=parameters, headers=headers, timeout=20) as response:
        response.raise_for_status()
        stream = EventStream(response)
        assert stream.next()[0] == "as_of"
        yield stream

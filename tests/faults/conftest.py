"""The summary that `make faults` ends with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

Record = Callable[[str, int], None]

_ROWS: dict[str, list[float]] = {}


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    """Notes how often a fault was injected; a test that fails has no line and is counted as wrong."""
    started = time.monotonic()
    noted: list[tuple[str, int]] = []
    yield lambda fault, times: noted.append((fault, times))
    for fault, times in noted:
        row = _ROWS.setdefault(fault, [0, 0])
        row[0] += times
        row[1] += (time.monotonic() - started) / len(noted)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _ROWS:
        return
    failed = sum(len(terminalreporter.stats.get(kind, [])) for kind in ("failed", "error"))
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'fault':<72}{'times':>8}{'seconds':>9}")
    for fault, (times, seconds) in _ROWS.items():
        terminalreporter.write_line(f"{fault:<72}{times:>8.0f}{seconds:>9.0f}")
    terminalreporter.write_line(f"wrong: {failed} experiments, see above" if failed else "wrong: none")

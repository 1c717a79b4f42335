"""The cluster for the modules that want one, and the summary at the end of `make faults`."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.clusters import cluster, migrated
from tests.faults.engines import ENGINES

__all__ = ["cluster", "migrated"]

Record = Callable[[str, int], None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Records how often a fault was injected. A failed test has no line and counts as wrong."""
    since = [time.monotonic()]
    params = request.node.callspec.params.values() if hasattr(request.node, "callspec") else ()
    engine = "".join(f" [{param}]" for param in params if param in ENGINES)

    def note(fault: str, times: int) -> None:
        since.append(time.monotonic())
        request.node.user_properties.append((fault + engine, [times, since[-1] - since[-2]]))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: dict[str, list[float]] = {}
    for report in terminalreporter.stats.get("passed", []):
        for fault, figures in report.user_properties:
            rows[fault] = [sum(pair) for pair in zip(rows.get(fault, [0, 0]), figures, strict=True)]
    if not rows:
        return
    failed = sum(len(terminalreporter.stats.get(kind, [])) for kind in ("failed", "error"))
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'fault':<80}{'times':>8}{'seconds':>9}")
    for fault, (times, seconds) in sorted(rows.items()):
        terminalreporter.write_line(f"{fault:<80}{times:>8.0f}{seconds:>9.0f}")
    terminalreporter.write_line(f"wrong: {failed} experiments, see above" if failed else "wrong: none")

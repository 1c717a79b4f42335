"""Pathway: a table over its Kafka connector, each commit of which is inserted by `pw.io.subscribe`."""

from __future__ import annotations

from typing import Any

import pathway as pw

from bench.peers.target import BATCH, SECONDS, Target, row_of


class Click(pw.Schema):  # type: ignore[misc]
    event_id: str
    clicked_at: int
    visitor_id: str
    account_id: int
    domain: str
    link_id: str
    user_agent: str


def main() -> None:
    target = Target.from_arguments()
    rows: list[tuple[Any, ...]] = []
    settings = {
        "bootstrap.servers": target.bootstrap,
        "group.id": target.group,
        "auto.offset.reset": "earliest",
    }
    clicks = pw.io.kafka.read(
        settings, "clicks", schema=Click, format="json", autocommit_duration_ms=int(SECONDS * 1000)
    )

    def flush(_time: int = 0) -> None:
        if rows:
            target.insert(rows)
            rows.clear()

    def on_change(key: Any, row: dict[str, Any], time: int, is_addition: bool) -> None:
        rows.append(row_of(row))
        if len(rows) >= BATCH:
            flush()

    pw.io.subscribe(clicks, on_change, on_time_end=flush)
    target.begin()
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main()

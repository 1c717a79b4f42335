"""The versions of ClickHouse that Clickmill is tested with."""

from __future__ import annotations

from rollups.clickhouse import ClickHouse

TESTED_VERSIONS = (25, 8), (26, 9)  # the oldest, which is the server's of the tests, and the newest, which is chDB's


def untested_version(db: ClickHouse) -> str | None:
    """What to tell an operator whose ClickHouse is older or newer than the tested ones. Blocks."""
    [(version,)] = db.query("SELECT version()")
    oldest, newest = TESTED_VERSIONS
    numbers = tuple(map(int, version.split(".")[:2]))
    if oldest <= numbers <= newest:
        return None
    return (
        f"ClickHouse {version} is {'older' if numbers < oldest else 'newer'} than what Clickmill is tested with: "
        f"{oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    )

"""Operators are told of a ClickHouse that is older or newer than those that the tests run."""

from __future__ import annotations

from typing import Any
from unittest.mock import AsyncMock

import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.commands import serve
from rollups.clickhouse import ClickHouse, Row
from rollups.migrations import engine_version
from rollups.migrations.engine_version import TESTED_VERSIONS, untested_version
from tests.support.clickhouse_server import BOTH_ENGINES, SERVER


class Answering(ClickHouse):
    def __init__(self, version: str) -> None:
        super().__init__("clickhouse://127.0.0.1:1/none")
        self._version = version

    def query(self, *_: Any, **__: Any) -> list[Row]:
        return [(self._version,)]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("25.7.9.1", "ClickHouse 25.7.9.1 is older than what Clickmill is tested with: 25.8 to 26.9"),
        ("25.8.2.1", None),
        ("25.12.1.1-lts", None),
        ("26.9.2.1", None),
        ("26.10.1.1", "ClickHouse 26.10.1.1 is newer than what Clickmill is tested with: 25.8 to 26.9"),
    ],
)
def test_versions_outside_of_the_tested_range(version: str, message: str | None) -> None:
    assert untested_version(Answering(version)) == message


@BOTH_ENGINES
def test_the_range_is_from_the_server_to_chdb(db: ClickHouse) -> None:
    [(version,)] = db.query("SELECT version()")
    assert tuple(map(int, version.split(".")[:2])) == TESTED_VERSIONS[db.embedded]
    assert untested_version(db) is None


@SERVER
@pytest.mark.parametrize(("tested", "warnings"), [(((24, 3), (25, 7)), 1), (TESTED_VERSIONS, 0)])
def test_migrate_warns_and_goes_on(db: ClickHouse, tested: Any, warnings: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_version, "TESTED_VERSIONS", tested)
    monkeypatch.setattr(serve, "ensure_topics", AsyncMock())
    environment = {"CLICKMILL_CLICKHOUSE_URL": db.url, "CLICKMILL_KAFKA_URL": "127.0.0.1:1"}
    done = CliRunner().invoke(main, ["migrate"], env=environment)
    assert (done.exit_code, done.stdout) == (0, "the database is up to date\n")
    assert done.stderr.count("is newer than what Clickmill is tested with: 24.3 to 25.7") == warnings

"""Real engines for the whole test process (chDB opens one directory at a time), emptied between tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from rollups.clickhouse import ClickHouse
from rollups.migrations.migrate import migrate
from tests.support.clickhouse_server import start_clickhouse_server
from tests.support.kafka_broker import KafkaBroker, missing_reason, require

hypothesis.settings.register_profile("tests", deadline=None)  # two test processes share the machine
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    path: Path = tmp_path_factory.mktemp("engine")
    db = ClickHouse(f"chdb://{path}")
    migrate(db)
    yield db
    db.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with start_clickhouse_server(tmp_path_factory.mktemp("server") / "data") as running:
        db = ClickHouse(running.url)
        migrate(db)
        yield db
        db.close()


@pytest.fixture
def db(request: pytest.FixtureRequest) -> ClickHouse:
    """The migrated database with empty tables: chDB's, or that of the kind in the parameter (`BOTH_ENGINES`)."""
    fixture = {"chDB": "engine", "server": "server"}[getattr(request, "param", "chDB")]
    return emptied(request.getfixturevalue(fixture))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker for all tests that use topics of their own and leave it running."""
    require(missing_reason())
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


def emptied(engine: ClickHouse) -> ClickHouse:
    """Empties the tables, except those that `migrate` fills."""
    tables = engine.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' "
        "AND name NOT IN ('schema_migrations', 'installation')"
    )
    for (name,) in tables:
        engine.command(f"TRUNCATE TABLE {name}")
    return engine

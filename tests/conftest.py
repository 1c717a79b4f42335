"""One real engine for the whole test process (chDB opens one directory at a time), emptied between tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from rollups.clickhouse import ClickHouse
from rollups.migrations.migrate import migrate
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


@pytest.fixture
def db(engine: ClickHouse) -> ClickHouse:
    return emptied(engine)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker for all tests that use topics of their own and leave it running."""
    require(missing_reason())
    with KafkaBroker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


def emptied(engine: ClickHouse) -> ClickHouse:
    """The migrated database with empty tables, except those that `migrate` fills."""
    tables = engine.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' "
        "AND name NOT IN ('schema_migrations', 'installation')"
    )
    for (name,) in tables:
        engine.command(f"TRUNCATE TABLE {name}")
    return engine

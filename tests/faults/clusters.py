"""The cluster of the tests, migrated once for the process and emptied between tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollups.clickhouse import ClickHouse
from rollups.migrations.cluster import migrate_cluster
from tests.support.clickhouse_cluster import NAME, Cluster, missing_reason, running_cluster
from tests.support.kafka_broker import require


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    require(missing_reason())
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        db = ClickHouse(cluster.nodes[-1].url)  # any node will do
        assert migrate_cluster(db, NAME) == len(cluster.nodes)
        db.close()
        yield cluster

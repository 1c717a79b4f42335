"""Partitions are divided between shards; without a cluster there is one."""

from __future__ import annotations

from rollups.clickhouse import ClickHouse
from rollups.delivery.shard import Shard, shard_of


def test_each_partition_belongs_to_one_shard_and_each_shard_has_its_own_group() -> None:
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    for partition in range(12):
        assert sum(shard.holds(partition) for shard in shards) == 1
    assert len({shard.group("clickmill") for shard in shards}) == 3


def test_without_a_cluster_a_server_has_all_partitions(db: ClickHouse) -> None:
    assert shard_of(db) == Shard(1, 1)
    assert Shard().holds(7)
    assert Shard().group("clickmill") == "clickmill"

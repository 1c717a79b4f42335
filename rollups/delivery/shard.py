"""Which partitions a worker counts: those of the shard that its ClickHouse server belongs to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.errors import OperatorError
from rollups.clickhouse import ClickHouse
from rollups.model import READERS, WORKERS

_DISTRIBUTED = f"""
SELECT engine_full FROM system.tables
WHERE database = '{READERS}' AND name = 'rollup' AND currentDatabase() = '{WORKERS}'
"""
_PLACE = """
SELECT maxIf(shard_num, is_local), max(shard_num) FROM system.clusters WHERE cluster = {cluster:String}
"""


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard of `count`, from 1 on. Without a cluster there is one."""

    number: int = 1
    count: int = 1

    def holds(self, partition: int) -> bool:
        return partition % self.count == self.number - 1

    def group(self, name: str) -> str:
        """The consumer group of its workers. Each shard has its own, since Kafka divides all partitions in a group."""
        return name if self.count == 1 else f"{name}-shard-{self.number}"


def shard_of(db: ClickHouse) -> Shard:
    """The shard of this server in the cluster of `clickmill migrate --cluster`. Raises OperatorError. Blocks."""
    found = [re.match(r"Distributed\('([^']+)'", engine) for (engine,) in db.query(_DISTRIBUTED)]
    for cluster in (match[1] for match in found if match):
        [(number, count)] = db.query(_PLACE, {"cluster": cluster})
        if not number:
            raise OperatorError(f"ClickHouse at {db.address} finds itself in no shard of cluster {cluster}")
        return Shard(number, count)
    return Shard()

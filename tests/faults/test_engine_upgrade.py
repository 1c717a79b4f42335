"""A newer ClickHouse, chDB's, opens the data directory of an older one, the server's."""

from __future__ import annotations

import shutil
from pathlib import Path

from rollups.clickhouse import ClickHouse
from tests.faults.conftest import Record
from tests.faults.engines import Embedded, Server
from tests.faults.processes import Program
from tests.faults.test_random_kills import CLICKS, kill_until_done

WORLD, KILLS = 77, 4


def test_a_newer_engine_goes_on_where_the_server_stopped(tmp_path: Path, record: Record) -> None:
    """Every number is compared at each end: on the server, after the upgrade, and after kills on the newer engine."""
    server, newer, log = Server(tmp_path / "server"), Embedded(tmp_path / "copy"), tmp_path / "log"
    server.start()
    assert Program(server.url, WORLD, CLICKS // 2, log=log).ended() == 0
    ClickHouse(server.url).command("TRUNCATE TABLE schema_migrations")  # all of them run again
    server.stop()
    shutil.copytree(server.path, newer.path, symlinks=True)
    assert Program(newer.url, WORLD, CLICKS // 2, log=log).ended() == 0
    kills = kill_until_done(newer.url, WORLD, KILLS, log)
    record("kill -9 of the newer engine over the data of the older one", kills)
    assert kills

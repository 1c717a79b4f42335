"""The real ClickHouse server of the tests: what a test relies on when it stops, kills or fills it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from rollups.clickhouse import ClickHouse, ClickHouseError
from tests.support import clickhouse_server
from tests.support.clickhouse_server import ClickHouseServer, missing_reason, start_clickhouse_server
from tests.support.kafka_broker import require


@pytest.fixture(autouse=True)
def needs_the_server() -> None:
    require(missing_reason())


def test_data_survives_a_kill_and_a_clean_stop_on_the_same_port(tmp_path: Path) -> None:
    with start_clickhouse_server(tmp_path / "data", password="odd <&'\"@:/#%$") as server:
        db = ClickHouse(server.url)
        db.command("CREATE TABLE t (x UInt64) ENGINE = MergeTree ORDER BY x")
        db.command("INSERT INTO t VALUES (1)")
        server.kill()
        server.start()
        db.command("INSERT INTO t VALUES (2)")
        server.restart()
        assert db.query("SELECT sum(x) FROM t") == [(3,)]
        db.close()


def test_a_wrong_password_is_refused(tmp_path: Path) -> None:
    with start_clickhouse_server(tmp_path / "data") as server:
        wrong = server.url.replace(server.password, "wrong")
        with pytest.raises((ClickHouseError, DatabaseError), match="Authentication failed"):
            ClickHouse(wrong).query("SELECT 1")


def test_configuration_is_merged(tmp_path: Path) -> None:
    config = {
        "macros": {"shard": 7},
        "remote_servers": {"two": {"shard": [{"replica": {"host": "a", "port": 9000}}] * 2}},
    }
    with ClickHouseServer(tmp_path / "data", config=config) as server:
        db = ClickHouse(server.url)
        assert db.query("SELECT getMacro('shard')") == [("7",)]
        assert db.query("SELECT count() FROM system.clusters WHERE cluster = 'two'") == [(2,)]
        db.close()


def test_a_server_that_does_not_start_fails_the_test_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Not a valid integer: 'no port'"):
        ClickHouseServer(tmp_path / "data", config={"http_port": "no port"}).start()


def test_a_failed_download_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(RuntimeError, match="download of clickhouse failed"):
        clickhouse_server.library.__wrapped__()
    assert not [path for path in (tmp_path / "clickmill").iterdir() if path.is_dir()]


def fill_a_table_above_a_limit(server: ClickHouseServer) -> None:
    """Inserts 800 kB where no file may have 100 kB."""
    db = ClickHouse(server.url)
    db.command("CREATE TABLE t (x UInt64) ENGINE = MergeTree ORDER BY x")
    assert server.process is not None
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        db.command("INSERT INTO t SELECT rand64() FROM numbers(100000)")
    finally:
        db.close()


def test_a_write_that_the_disk_refuses_fails_the_insert(tmp_path: Path) -> None:
    with (
        start_clickhouse_server(tmp_path / "data") as server,
        pytest.raises(ClickHouseError, match="CANNOT_WRITE_TO_FILE_DESCRIPTOR"),
    ):
        fill_a_table_above_a_limit(server)


def test_without_the_preloaded_library_nothing_is_said(tmp_path: Path) -> None:
    """As long as this holds, the library is needed."""
    server = ClickHouseServer(tmp_path / "data")
    server.environment.clear()
    with server:
        fill_a_table_above_a_limit(server)

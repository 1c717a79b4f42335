"""The chDB server of the tests over stops, crashes and restarts."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from tests.support.chdb_server import start_chdb_server

ROWS = pa.table({"a": pa.array(range(1000), pa.uint32())})
TABLE = "CREATE TABLE clicks (a UInt32) ENGINE = MergeTree ORDER BY a"


def count(client: Client) -> int:
    return int(str(client.command("SELECT count() FROM clicks")))


def insert_until_it_fails(client: Client) -> int:
    """Inserts until it fails. Returns the number of acknowledged rows."""
    acknowledged = 0
    while True:
        try:
            acknowledged += client.insert_arrow("clicks", ROWS).written_rows
        except OperationalError:
            return acknowledged


def test_data_survives_a_kill_and_a_clean_stop(tmp_path: Path) -> None:
    server = start_chdb_server(tmp_path / "data")
    client = clickhouse_connect.get_client(dsn=server.url)
    client.command(TABLE)
    client.insert_arrow("clicks", ROWS)
    leftover = tmp_path / "data.bodies" / "x.rows"
    leftover.write_bytes(b"of a killed insert")
    server.kill()
    with pytest.raises(OperationalError):
        client.command("SELECT 1")
    server.restart()
    assert count(client) == 1000
    assert not leftover.exists()
    server.restart()
    assert count(client) == 1000
    server.stop()


def test_killed_amid_inserts_it_has_each_one_whole_or_not_at_all(tmp_path: Path) -> None:
    server = start_chdb_server(tmp_path / "data")
    client = clickhouse_connect.get_client(dsn=server.url)
    client.command(TABLE)
    killer = threading.Timer(0.5, server.kill)
    killer.start()
    acknowledged = insert_until_it_fails(client)
    killer.join()
    server.restart()
    assert count(client) in (acknowledged, acknowledged + 1000)
    server.stop()


def test_a_stop_answers_what_is_at_work(tmp_path: Path) -> None:
    server = start_chdb_server(tmp_path / "data")
    with clickhouse_connect.get_client(dsn=server.url) as client, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.command, "SELECT sleepEachRow(1)")
        time.sleep(0.3)
        server.stop()
        assert slow.result() == 0

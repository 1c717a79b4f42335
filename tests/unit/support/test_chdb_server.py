"""The chDB server of the tests, through the real HTTP driver."""

from __future__ import annotations

import gzip
import http.client
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.support.chdb_engine import EngineError, parse
from tests.support.chdb_server import ChdbServer, start_chdb_server

ROWS = pa.table({"a": pa.array(range(1000), pa.uint32()), "s": pa.array([f"é{i}" for i in range(1000)])})
TABLE = "CREATE OR REPLACE TABLE clicks (a UInt32, s String) ENGINE = MergeTree ORDER BY a"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbServer]:
    with start_chdb_server(tmp_path_factory.mktemp("chdb") / "data") as running:
        yield running


@pytest.fixture
def client(server: ChdbServer) -> Iterator[Client]:
    connected = clickhouse_connect.get_client(dsn=server.url, autogenerate_session_id=False)
    connected.command(TABLE)
    yield connected
    connected.close()


def count(client: Client) -> int:
    return int(str(client.command("SELECT count() FROM clicks")))


def arrow_file(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def test_parameters_are_bound(client: Client) -> None:
    query = "SELECT {x:UInt32} + 1, {s:String}, {list:Array(UInt8)}, {none:Nullable(String)}"
    given = {"x": 41, "s": "it's\ta \\ tab", "list": [1, 2], "none": None}
    assert client.query(query, parameters=given).result_rows == [(42, given["s"], [1, 2], None)]


def test_long_parameters_come_as_a_form(client: Client) -> None:
    values = ["€" * 10 for _ in range(3000)]
    found = client.query("SELECT length({v:Array(String)}), {v:Array(String)}[1]", parameters={"v": values})
    assert found.result_rows == [(3000, values[0])]


def test_settings_apply_to_their_query_only(client: Client) -> None:
    ask = "SELECT getSetting('log_comment'), getSetting('max_threads')"
    here = {"log_comment": "it's mine", "max_threads": 3}
    assert client.query(ask, settings=here).result_rows == [("it's mine", 3)]
    assert client.query(ask).result_rows[0][0] == ""
    client.command("SET log_comment = 'left behind'")
    assert client.query(ask).result_rows[0][0] == ""


def test_rows_are_inserted_and_counted(client: Client) -> None:
    summary = client.insert("clicks", [[1, "a"], [2, "b"]], column_names=["a", "s"])
    assert summary.written_rows == 2
    assert client.query("SELECT * FROM clicks ORDER BY a").result_rows == [(1, "a"), (2, "b")]
    assert client.insert_arrow("clicks", ROWS, settings={"max_threads": 1}).written_rows == 1000
    assert count(client) == 1002


@pytest.mark.parametrize("codec", ["lz4", "zstd", "gzip", None])
def test_compressed_bodies(client: Client, codec: str | None) -> None:
    body = arrow_file(ROWS)
    if codec:
        body = gzip.compress(body) if codec == "gzip" else pa.Codec(codec).compress(body, asbytes=True)
    summary = client.raw_insert("clicks", insert_block=body, fmt="Arrow", compression=codec)
    assert (summary.written_rows, count(client)) == (1000, 1000)


@pytest.mark.parametrize("codec", ["lz4", "zstd", "gzip", False])
def test_compressed_answers(server: ChdbServer, codec: str | bool) -> None:
    with clickhouse_connect.get_client(dsn=server.url, compress=codec) as client:
        rows = client.query("SELECT number, toString(number) FROM numbers(100000)").result_rows
    assert rows[-1] == (99999, "99999")


@pytest.mark.parametrize("fmt", ["Parquet", "ArrowStream", "JSONEachRow", "TabSeparatedWithNames", "Native"])
def test_every_format_goes_out_and_in(client: Client, fmt: str) -> None:
    client.insert_arrow("clicks", ROWS)
    body = client.raw_query("SELECT * FROM clicks", fmt=fmt)
    client.command("TRUNCATE TABLE clicks")
    client.raw_insert("clicks", insert_block=body, fmt=fmt)
    found = client.query_arrow("SELECT * FROM clicks ORDER BY a", use_strings=True)
    assert found.cast(ROWS.schema).equals(ROWS)


def test_a_large_answer_is_read_block_by_block(client: Client) -> None:
    query = "SELECT number FROM numbers(300000)"
    with client.query_row_block_stream(query, settings={"max_block_size": 10000}) as blocks:
        sizes = [len(block) for block in blocks]
    assert (len(sizes), sum(sizes)) == (30, 300000)


@pytest.mark.parametrize(
    ("query", "code", "name"),
    [
        ("SELECT * FROM absent", 60, "UNKNOWN_TABLE"),
        ("SELECT throwIf(1, 'FENCED')", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR"),
        ("INSERT INTO clicks FORMAT JSONEachRow\nx", 27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
    ],
)
def test_errors_arrive_with_code_and_name(client: Client, query: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.command(query)
    assert (caught.value.code, caught.value.name) == (code, name)


def test_a_wrong_password_is_refused(server: ChdbServer) -> None:
    with pytest.raises(DatabaseError) as caught:
        clickhouse_connect.get_client(dsn=server.url.replace(":chdb@", ":guess@"))
    assert caught.value.code == 516


def test_eight_threads_query_and_insert_at_once(server: ChdbServer, client: Client) -> None:
    def work(number: int) -> int:
        with clickhouse_connect.get_client(dsn=server.url) as own:
            for step in range(20):
                own.insert("clicks", [[number * 100 + step, "x"]], column_names=["a", "s"])
            comment = own.command("SELECT getSetting('log_comment')", settings={"log_comment": f"n{number}"})
            return int(str(comment)[1:])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))
    assert count(client) == 160


def kill_when_running(client: Client, comment: str) -> None:
    """Kills the statement with this comment, once it runs."""
    deadline = time.monotonic() + 10
    running = f"SELECT count() FROM system.processes WHERE Settings['log_comment'] = '{comment}'"
    while client.query(running).result_rows == [(0,)]:
        assert time.monotonic() < deadline, "there was nothing to kill"
    client.command(f"KILL QUERY WHERE Settings['log_comment'] = '{comment}' SYNC")


def slow_select(client: Client) -> None:
    client.query("SELECT sleepEachRow(1) FROM numbers(60)", settings={"log_comment": "s", "max_block_size": 1})


def slow_insert(client: Client) -> None:
    client.insert_arrow("slow", ROWS, settings={"log_comment": "s"})


@pytest.mark.parametrize("slow", [slow_select, slow_insert])
def test_a_slow_statement_is_killed(server: ChdbServer, client: Client, slow: Callable[[Client], None]) -> None:
    client.command("CREATE OR REPLACE TABLE slow (a UInt32, s String) ENGINE = Null")
    client.command("DROP VIEW IF EXISTS slow_view")
    client.command("CREATE MATERIALIZED VIEW slow_view TO clicks AS SELECT * FROM slow WHERE sleepEachRow(0.003) = 0")
    killer = threading.Thread(target=kill_when_running, args=(client, "s"))
    killer.start()
    with clickhouse_connect.get_client(dsn=server.url) as own, pytest.raises(DatabaseError) as caught:
        slow(own)
    killer.join()
    assert caught.value.code == 394
    assert count(client) == 0


def request_head(server: ChdbServer, length: str) -> bytes:
    token = b64encode(f"{server.user}:{server.password}".encode()).decode()
    lines = [
        "POST /?query=INSERT+INTO+clicks+FORMAT+CSV HTTP/1.1",
        "Host: t",
        f"Authorization: Basic {token}",
    ]
    return "\r\n".join([*lines, length, "", ""]).encode()


@pytest.mark.parametrize(
    ("length", "body"),
    [("Content-Length: 100", b"1,a\n2,b\n"), ("Transfer-Encoding: chunked", b"8\r\n1,a\n2,b\n\r\n8\r\n3,")],
)
def test_a_body_cut_short_inserts_nothing(server: ChdbServer, client: Client, length: str, body: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(request_head(server, length) + body)
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(100) == b""
    assert count(client) == 0


def test_plain_http(server: ChdbServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    auth = {"X-ClickHouse-User": server.user, "X-ClickHouse-Key": server.password}
    wanted = [
        ("/ping", {}, 200, b"Ok.\n"),
        ("/nowhere", {}, 404, None),
        ("/?query=SELECT+1&default_format=JSONCompactEachRow", auth, 200, b"[1]\n"),
        ("/?query=SELECT+*+FROM+absent", auth, 404, None),
        ("/?query=SELEC", auth, 400, None),
        ("/?query=CREATE+TABLE+no+(a+UInt8)+ENGINE=Memory", auth, 500, None),
        ("/?query=SELECT+1", {}, 403, None),
    ]
    for path, headers, status, body in wanted:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        received = answer.read()
        assert (answer.status, body or received) == (status, received), path


def test_inserts_are_told_apart() -> None:
    found = parse(b"INSERT INTO t (`format`, \"b\") /* FORMAT x */ SETTINGS a = 'FORMAT' FORMAT Native\n\x00;\x01")
    assert (found.data, found.sql[found.infile_at :]) == (
        b"\x00;\x01",
        b"SETTINGS a = 'FORMAT' FORMAT Native",
    )
    assert parse(b"INSERT INTO t SELECT 1 FORMAT Null").data is None
    assert parse(b"INSERT INTO t VALUES ('a;b')").data is None
    assert parse(b"SELECT 1 FORMAT jsoneachrow SETTINGS max_threads = 1;").output == "jsoneachrow"
    with pytest.raises(EngineError):
        parse(b"SELECT 1; DROP TABLE t")

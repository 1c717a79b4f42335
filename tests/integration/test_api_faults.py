"""The API over real processes while its database dies or hangs, and with clients that are slow, many, or leave."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from deploy.cli import main
from rollups.clickhouse import ClickHouse
from rollups.migrations.migrate import migrate
from tests.support import free_port
from tests.support.clickhouse_server import ClickHouseServer, start_clickhouse_server
from tests.support.redis_server import RedisServer
from tests.support.seed import Daily, insert_daily
from tests.support.stack import ADMIN_KEY, ROOT, Process, wait_until

CLICKS = "/api/v1/clicks?start_date=2026-03-01&end_date=2026-03-31"
ADMIN = {"X-Api-Key": ADMIN_KEY}
READER = "clickmill_read:read"
IDLE = 10_000
SLOW, SLOW_ROWS = 666, 6


class Api:
    """A running `clickmill api` that reads with the user of `deploy/clickhouse`."""

    def __init__(self, directory: Path, engine: ClickHouseServer, **environment: str) -> None:
        self.engine, self.port = engine, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        urls = {"CLICKHOUSE_URL": database_url(engine), "CLICKHOUSE_READ_URL": database_url(engine, READER)}
        settings = {**urls, "ADMIN_KEY": ADMIN_KEY, "LOG_LEVEL": "DEBUG", **environment}
        named = {f"CLICKMILL_{name}": value for name, value in settings.items()}
        self.process = Process(directory / f"api-{self.port}.log", named, "api", "--port", str(self.port))
        wait_until(self.ready, 30)

    def ready(self) -> bool:
        assert self.process.child.poll() is None, self.process.output[-3000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        return False

    def timed(self, path: str = CLICKS, accept: str = "*/*") -> tuple[httpx.Response, float]:
        began = time.monotonic()
        answer = httpx.get(self.url + path, headers=ADMIN | {"Accept": accept}, timeout=30)
        return answer, time.monotonic() - began


def database_url(engine: ClickHouseServer, credentials: str = "") -> str:
    """The URL of the database `clickmill`, by default with all rights."""
    credentials = credentials or f"{engine.user}:{engine.password}"
    return f"clickhouse://{credentials}@127.0.0.1:{engine.port}/clickmill"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    directory = tmp_path_factory.mktemp("faults") / "engine"
    (directory / "users.d").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "clickhouse" / "clickmill_read.xml", directory / "users.d")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLICKMILL_READ_PASSWORD_SHA256", sha256(b"read").hexdigest())
        yield from migrated(directory)


def migrated(directory: Path) -> Iterator[ClickHouseServer]:
    with start_clickhouse_server(directory) as server:
        ClickHouse(server.url).command("CREATE DATABASE clickmill")
        db = ClickHouse(database_url(server))
        migrate(db)
        insert_daily(db, [Daily("2026-03-05", clicks=3)])
        db.command(
            "INSERT INTO rollup (grain, owner, day, network_id, clicks) "
            f"SELECT 'affiliate_day', {SLOW}, '2026-03-05', number, 1 FROM numbers({SLOW_ROWS})"
        )
        db.close()
        yield server


@pytest.fixture(scope="module")
def api(engine: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    running = Api(tmp_path_factory.mktemp("api"), engine, RATE_LIMITS="off")
    yield running
    running.process.stop()


def distinct_question(number: int) -> str:
    """A query that no cache holds."""
    start = date(2026, 3, 1) - timedelta(days=number % 80)
    return f"/api/v1/clicks?start_date={start}&end_date=2026-03-10&publisher_id={number + 1}"


def is_told_to_wait(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0


def assert_quick(times: list[float]) -> None:
    """Nine of ten within two seconds and none stuck; other tests load the machine."""
    times.sort()
    assert times[len(times) * 9 // 10] < 2
    assert times[-1] < 10


class Load:
    """16 clients, each with one different request after another."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._going = True
        self.answers: list[tuple[httpx.Response, float]] = []
        self._answered: set[int] = set()

    def __enter__(self) -> Load:
        self._callers = [threading.Thread(target=self._ask, args=[number * 1000]) for number in range(16)]
        for caller in self._callers:
            caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        for caller in self._callers:
            caller.join()

    def _ask(self, number: int) -> None:
        caller = number
        while self._going:
            self.answers.append(self._api.timed(distinct_question(number)))
            self._answered.add(caller)
            number += 1

    def wait_for_those_under_way(self) -> None:
        """Returns once every client has the response that it waits for."""
        self._answered.clear()
        wait_until(lambda: len(self._answered) == len(self._callers), 60)

    def statuses(self) -> set[int]:
        return {answer.status_code for answer, _ in self.answers}

    def wait_for(self, status: int) -> None:
        """Returns once the responses have this status."""
        self.answers.clear()
        wait_until(lambda: {answer.status_code for answer, _ in self.answers[-20:]} == {status}, 20)


def test_the_database_dies_under_load_and_comes_back(api: Api) -> None:
    with Load(api) as load:
        load.wait_for(200)
        api.engine.kill()
        load.wait_for(503)
        time.sleep(1)
        answers = list(load.answers)
        api.engine.start()
        load.wait_for(200)
    assert all(is_told_to_wait(answer) for answer, _ in answers if answer.status_code != 200)
    assert_quick([took for _, took in answers])
    assert api.ready()


def test_a_database_that_hangs_is_not_waited_for(api: Api) -> None:
    assert api.engine.process is not None
    with Load(api) as load:
        load.wait_for(200)
        load.answers.clear()
        api.engine.process.send_signal(signal.SIGSTOP)
        try:
            load.wait_for_those_under_way()
            load.wait_for_those_under_way()
            assert {answer.status_code for answer, _ in load.answers[-16:]} == {503}
            assert all(is_told_to_wait(answer) for answer, _ in load.answers if answer.status_code != 200)
            slowest = max(took for _, took in load.answers)
            assert slowest < 10, "a query has 15 s"
            assert httpx.get(f"{api.url}/healthz", timeout=2).status_code == 200
            readiness, took = api.timed("/readyz")
            assert (readiness.status_code, took < 10) == (503, True)
        finally:
            api.engine.process.send_signal(signal.SIGCONT)
        load.wait_for(200)
    assert api.ready()


def test_a_question_and_a_stream_of_a_database_that_hangs_are_given_up(api: Api) -> None:
    assert api.engine.process is not None
    with slow_answers(api.engine) as db, ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(api.timed, slow_question(24), accept) for accept in ("application/json", "text/csv")]
        wait_until(lambda: reading(db) == 2, 5)
        api.engine.process.send_signal(signal.SIGSTOP)
        try:
            answers = [future.result(30) for future in asked]
        finally:
            api.engine.process.send_signal(signal.SIGCONT)
        assert all(is_told_to_wait(answer) and took < 10 for answer, took in answers)
        wait_until(lambda: reading(db) == 0, 10)
    assert api.ready()


# -- heavy questions ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def slow_answers(engine: ClickHouseServer) -> Iterator[ClickHouse]:
    """Listings of SLOW take a second for each of its SLOW_ROWS rows, like very large ones; other requests do not."""
    db = ClickHouse(database_url(engine))
    db.command("RENAME TABLE rollup TO rollup_kept")
    db.command(
        f"CREATE VIEW rollup AS SELECT * FROM rollup_kept WHERE owner != {SLOW} OR sleepEachRow(1) = 0 "
        "SETTINGS function_sleep_max_microseconds_per_block = 60000000"
    )
    try:
        yield db
    finally:
        db.command("DROP VIEW rollup")
        db.command("RENAME TABLE rollup_kept TO rollup")
        db.close()


def slow_question(end: int) -> str:
    return f"/api/v1/clicks?start_date=2026-03-01&end_date=2026-03-{end}&publisher_id={SLOW}"


def reading(db: ClickHouse) -> int:
    """The running statements of listings."""
    [(count,)] = db.query(
        "SELECT count() FROM system.processes WHERE startsWith(Settings['log_comment'], 'clickmill read')"
    )
    return int(count)


def assert_query_ends_with(leaving: Future[httpx.Response], db: ClickHouse) -> None:
    """A query is cancelled soon after its client has left."""
    wait_until(lambda: reading(db) == 1, 5)
    assert isinstance(leaving.exception(), httpx.ReadTimeout)
    left = time.monotonic()
    wait_until(lambda: reading(db) == 0, 5)
    assert time.monotonic() - left < 3


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_who_leaves_takes_the_query_along(api: Api, accept: str) -> None:
    headers = ADMIN | {"Accept": accept}
    with slow_answers(api.engine) as db, ThreadPoolExecutor(1) as pool:
        leaving = pool.submit(httpx.get, api.url + slow_question(20), headers=headers, timeout=1.2)
        assert_query_ends_with(leaving, db)
        assert api.ready()
    assert "Traceback" not in api.process.output


def test_who_leaves_takes_nothing_from_those_who_stay(api: Api) -> None:
    with slow_answers(api.engine), ThreadPoolExecutor(1) as pool:
        stays = pool.submit(api.timed, slow_question(21))
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(api.url + slow_question(21), headers=ADMIN, timeout=1)
        answer, took = stays.result()
    assert answer.status_code == 200
    assert answer.json()["meta"]["total_count"] == SLOW_ROWS
    assert took >= SLOW_ROWS - 1


def test_a_question_above_its_time_is_told_so(engine: ClickHouseServer, tmp_path: Path) -> None:
    strict = Api(tmp_path, engine, QUERY_SECONDS="1")
    try:
        with slow_answers(engine):
            answer, took = strict.timed(slow_question(22))
        assert is_told_to_wait(answer)
        assert "too busy" in answer.json()["error"]["message"]
        assert took < SLOW_ROWS
        assert strict.timed()[0].status_code == 200
    finally:
        strict.process.stop()


# -- clients -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_files(wanted: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(before[1], wanted)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError):
        pytest.skip(f"this user may open {before[1]} files, and {wanted} are needed")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0], most))


def test_ten_thousand_idle_connections_do_not_stop_it(engine: ClickHouseServer, tmp_path: Path) -> None:
    idle: list[socket.socket] = []
    with open_files(IDLE + 1000):
        crowded = Api(tmp_path, engine, RATE_LIMITS="off")
        try:
            idle += [socket.create_connection(("127.0.0.1", crowded.port), 10) for _ in range(IDLE)]
            for number, connection in enumerate(idle[:500]):
                connection.sendall(b"GET / HTTP/1.1\r\nX-Slow-" + str(number).encode())
            answers = [crowded.timed() for _ in range(5)]
        finally:
            for connection in idle:
                connection.close()
            crowded.process.stop()
    assert [answer.status_code for answer, _ in answers] == [200] * 5
    assert_quick([took for _, took in answers])


# -- several processes ---------------------------------------------------------------------------------------------


def test_two_processes_share_limits_and_keys(engine: ClickHouseServer, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as redis:
        apis = [Api(tmp_path, engine, REDIS_URL=redis.url, REQUESTS_PER_HOUR="1000000") for _ in range(2)]
        try:
            answers = counted_together(apis)
            assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 2
            assert [int(answer.headers["X-RateLimit-Remaining"]) for answer in answers[:10]] == list(range(9, -1, -1))
            assert 0 < int(answers[-1].headers["Retry-After"]) <= 3601
            redis.kill()
            assert [api.timed()[0].status_code for api in apis] == [200, 200], "while Redis is away each counts alone"
        finally:
            for api in apis:
                api.process.stop()


def counted_together(apis: list[Api]) -> list[httpx.Response]:
    """Twelve calls in turn with a key of ten an hour; repeated if Redis was too slow for one on a busy machine."""
    for _ in range(5):
        told = sum(api.process.output.count("Redis is away") for api in apis)
        wish = {"role": "admin", "requests_per_hour": 10}
        key = httpx.post(f"{apis[0].url}/admin/keys", json=wish, headers=ADMIN, timeout=30).json()["key"]
        urls = [apis[number % 2].url + CLICKS for number in range(12)]
        answers = [httpx.get(url, headers={"X-Api-Key": key}, timeout=30) for url in urls]
        if told == sum(api.process.output.count("Redis is away") for api in apis):
            break
        time.sleep(3)  # the API leaves Redis alone for two
    return answers


def test_keys_by_the_command_line(api: Api) -> None:
    environment = {"CLICKMILL_API_URL": api.url, "CLICKMILL_ADMIN_KEY": ADMIN_KEY}

    def keys(*arguments: str) -> Any:
        result = CliRunner().invoke(main, ["keys", *arguments], env=environment)
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    wish = ["--role", "admin", "--expires-at", "2099-01-01T00:00:00Z", "--requests-per-hour", "5"]
    made = keys("create", *wish)
    assert (made["expires_at"], made["requests_per_hour"]) == ("2099-01-01T00:00:00.000Z", 5)
    new = keys("rotate", made["id"], "--overlap-hours", "0")
    statuses = [httpx.get(api.url + CLICKS, headers={"X-Api-Key": key["key"]}).status_code for key in (made, new)]
    assert statuses == [401, 200]
    listed = {key["id"]: key for key in keys("list")["data"]}
    assert listed[new["id"]]["last_used_at"] is not None
    assert listed[made["id"]]["last_used_at"] is None


def test_no_key_is_ever_logged(api: Api) -> None:
    secret = "cm_a-key-that-nobody-may-see"
    for path in (f"{CLICKS}&api_key={secret}", f"/nope?api_key={secret}", f"/readyz?api_key={secret}"):
        httpx.get(api.url + path, headers={"Authorization": f"APIKey {secret}"}, timeout=10)
        httpx.post(api.url + path, headers={"X-Api-Key": secret}, timeout=10)
    with slow_answers(api.engine), contextlib.suppress(httpx.ReadTimeout):
        httpx.get(f"{api.url}{slow_question(23)}&api_key={ADMIN_KEY}", timeout=1)
    assert "DEBUG" in api.process.output
    assert secret not in api.process.output
    assert ADMIN_KEY not in api.process.output


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_who_leaves_a_tool_call_takes_the_query_along(api: Api, revision: str) -> None:
    arguments = {"start_date": "2026-03-01", "end_date": f"2026-03-{revision[-2:]}", "publisher_id": SLOW}
    envelope = {
        "io.modelcontextprotocol/protocolVersion": revision,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "get_clicks", "arguments": arguments, "_meta": envelope}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {**ADMIN, "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": revision}
    routing = {"Mcp-Method": "tools/call", "Mcp-Name": "get_clicks"}
    with slow_answers(api.engine) as db, ThreadPoolExecutor(1) as pool:
        leaving = pool.submit(httpx.post, f"{api.url}/mcp", json=message, headers={**headers, **routing}, timeout=1.2)
        assert_query_ends_with(leaving, db)
        assert api.ready()
    assert "Traceback" not in api.process.output

"""`clickmill up` for its user: ports, directories, signals, and commands that connect to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from deploy.embedded.data_dir import DataDir
from tests.support import free_port
from tests.support.stack import CLICKMILL, Process, wait_until

COMMANDS = (
    ["keys", "list"],
    ["dlq", "list"],
    ["dlq", "replay"],
    ["simulate", "--count", "5"],
    ["audit"],
    ["catalog", "import", "-"],
)
NO_HOME = {"HOME": "/proc/no-home"}


def command(*arguments: str, stdin: str = "{}", **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command line with these settings only."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLICKMILL_")}
    return subprocess.run(
        [CLICKMILL, *arguments], env=inherited | environment, input=stdin, capture_output=True, text=True, timeout=60
    )


def begun(directory: Path, *options: str) -> Process:
    log_file = directory.with_suffix(".log")
    return Process(log_file, NO_HOME, "up", "--port", "0", "--data-dir", str(directory), *options)


def ready(process: Process) -> Process:
    wait_until(lambda: "Clickmill is ready" in process.output or process.child.poll() is not None)
    assert process.child.poll() is None, process.output
    return process


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Process]:
    process = ready(begun(tmp_path / "data"))
    yield process
    if process.child.poll() is None:
        process.kill()


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def kafka_port(directory: Path) -> int:
    return int(DataDir(directory).addresses().kafka.partition(":")[2])


def broker_of(process: Process) -> int:
    """The process id of its broker."""
    [broker] = Path(f"/proc/{process.child.pid}/task/{process.child.pid}/children").read_text().split()
    return int(broker)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_kafka_port_stays_until_another_is_wanted(tmp_path: Path, taken: int) -> None:
    data, ports = tmp_path / "data", []
    for options in ([], ["--kafka-port", str(free_port())], []):
        process = ready(begun(data, *options))
        ports.append(kafka_port(data))
        assert f"Kafka at 127.0.0.1:{ports[-1]}" in process.output
        assert process.stop() == 0
        process.log_file.unlink()
    assert ports[0] != ports[1] == ports[2]
    (data / "kafka-port").write_text(str(taken))
    refused = command("up", "--port", "0", "--data-dir", str(data))
    assert refused.returncode == 1
    assert "the Kafka port of the last start, is taken: choose another --kafka-port" in refused.stderr


@pytest.mark.parametrize("option", ["--port", "--kafka-port"])
def test_a_taken_port_is_said_before_anything_is_started(option: str, tmp_path: Path, taken: int) -> None:
    options = {"--port": "0", option: str(taken)}
    refused = command("up", "--data-dir", str(tmp_path), *(word for pair in options.items() for word in pair))
    assert refused.returncode == 1
    assert f"127.0.0.1:{taken}" in refused.stderr
    assert f"choose another {option}" in refused.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"lock", "secrets.json"}, "no broker, no engine"


@pytest.mark.parametrize("name", ["CLICKMILL_ADMIN_KEY", "CLICKMILL_VISITOR_SECRET"])
def test_short_secrets_are_refused_by_name(name: str, tmp_path: Path) -> None:
    refused = command("up", "--port", "0", "--data-dir", str(tmp_path / "data"), **{name: "only-15-letters"})
    assert refused.returncode == 2
    assert f"{name}: 15 characters are too few" in refused.stderr
    assert "only-15-letters" not in refused.stderr + refused.stdout
    assert not (tmp_path / "data").exists()


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    refused = command("up", "--port", "0", CLICKMILL_DATA_DIR="/proc/clickmill/data")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: the data directory /proc/clickmill/data cannot be written")
    assert "--data-dir" in refused.stderr


def test_a_second_signal_ends_it_and_its_broker_at_once(up: Process) -> None:
    broker = broker_of(up)
    os.kill(broker, signal.SIGSTOP)  # a graceful stop would take it half a minute
    up.child.send_signal(signal.SIGINT)
    wait_until(lambda: "stopping on SIGINT" in up.output)
    time.sleep(0.5)
    assert up.child.poll() is None
    began = time.monotonic()
    up.child.send_signal(signal.SIGINT)
    assert up.child.wait(10) == 130
    assert time.monotonic() - began < 2
    wait_until(lambda: not lives(broker), seconds=5)
    assert "Traceback" not in up.output


def test_commands_find_it_by_its_directory(up: Process, tmp_path: Path) -> None:
    elsewhere = {"CLICKMILL_KAFKA_URL": "127.0.0.1:1", "CLICKMILL_API_URL": "http://127.0.0.1:1"}
    click = tmp_path / "click.ndjson"
    click.write_text(
        json.dumps({"clicked_at": int(time.time() * 1000), "account_id": 1, "domain": "go.example", "link_id": "a"})
    )
    for words in (*COMMANDS, ["import", str(click), "--format", "events"]):
        done = command(*words, "--data-dir", str(tmp_path / "data"), **elsewhere)
        assert done.returncode == 0, (words, done.stderr)


def test_commands_say_where_they_looked_and_what_to_set(tmp_path: Path) -> None:
    for words in (*COMMANDS, ["import", "/dev/null", "--format", "events"]):
        for words_of_directory, environment in (
            (["--data-dir", str(tmp_path)], {}),
            ([], {"CLICKMILL_DATA_DIR": str(tmp_path)}),
        ):
            done = command(*words, *words_of_directory, **environment)
            assert done.returncode == 1, words
            assert done.stderr.startswith(f"Error: no `clickmill up` is running in {tmp_path}: "), words
            assert all(name in done.stderr for name in ("--data-dir", "CLICKMILL_DATA_DIR", "CLICKMILL_KAFKA_URL"))


def test_dead_letters_that_end_are_counted_at_the_stop(up: Process, tmp_path: Path) -> None:
    url = DataDir(tmp_path / "data").addresses().kafka

    async def publish() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=url)
        await producer.start()
        for number in range(3):
            await producer.send_and_wait("clicks", b"rubbish %d" % number)
        await producer.stop()

    asyncio.run(publish())
    assert up.stop() == 0
    assert "3 dead letters end with the embedded broker; `clickmill dlq list --json`" in up.output


def test_a_stop_without_dead_letters_speaks_of_none(up: Process) -> None:
    assert up.stop() == 0
    assert "dead letters" not in up.output


def test_the_demo_names_everything_it_shows(tmp_path: Path) -> None:
    process = begun(tmp_path / "data", "--demo")
    try:
        wait_until(lambda: "Demo traffic goes on" in process.output)
        data_dir = DataDir(tmp_path / "data")
        days = [(datetime.now(UTC) + timedelta(days=days)).date().isoformat() for days in (-14, 0)]
        answer = httpx.get(
            f"{data_dir.addresses().http}/api/v1/clicks",
            params={"start_date": days[0], "end_date": days[1], "per_page": 1000},
            headers={"X-Api-Key": str(data_dir.saved_secret("admin_key"))},
        )
        rows = answer.raise_for_status().json()["data"]
        assert rows
        assert all(row[f"{owner}_name"] for row in rows for owner in ("publisher", "advertiser", "network"))
        assert "Personal" in process.output
        [line] = [line for line in process.output.splitlines() if "catalog import" in line]
        echoed, _, words = line.partition(" | clickmill ")
        entry = echoed.partition("'")[2].rstrip("'")
        assert command(*words.split(), stdin=entry).returncode == 0
    finally:
        process.kill()

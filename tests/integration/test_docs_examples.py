"""The examples of README and docs/, run unchanged against `clickmill up`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from deploy.embedded.data_dir import DataDir
from tests.integration.conftest import started
from tests.support import listens
from tests.support.docs import examples
from tests.support.stack import CLICKMILL, Stack, wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with started("embedded", tmp_path_factory.mktemp("up")) as stack:
        account = {"account_id": 1, "plan": "Business", "time_zone": "UTC"}
        link = {"account_id": 1, "domain": "go.example", "link_id": "hello", "grp_idx": 1}
        groups = [{"account_id": 1, "grp_idx": number, "name": f"Newsletter {number}"} for number in (1, 2)]
        stack.admin("PUT", "/admin/catalog", {"accounts": [account], "links": [link], "groups": groups})
        yield stack


@pytest.fixture
def environment(up: Stack) -> dict[str, str]:
    """The variables that the page sets, and no other settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLICKMILL_")}
    return inherited | {"CLICKMILL_URL": up.collector, "CLICKMILL_KEY": up.key("ingest")}


def needed(*programs: str) -> None:
    for program in programs:
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"{program} is not installed")


def clicks(up: Stack) -> int:
    """Clicks of the examples' link, today and yesterday."""
    key, link = up.key("account", account_id=1), {"linkId": "hello", "domain": "go.example"}
    days = [(datetime.now(UTC) - timedelta(days=days)).date().isoformat() for days in (0, 1)]
    return sum(count for day in days for _, count, _ in up.hours(key, day, **link))


def run(words: list[str | Path], environment: dict[str, str], directory: Path) -> str:
    done = subprocess.run(words, env=environment, cwd=directory, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def counts(up: Stack, more: int, before: int) -> None:
    wait_until(lambda: clicks(up) >= before + more, seconds=20)
    assert clicks(up) == before + more


def test_the_first_click_of_the_readme(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    """The commands print what the page shows, except the hour and the name of the demo's publisher."""
    needed("curl", "bash", "sed")
    [example] = [block for block in examples("../README.md", "sh") if "curl" in block]
    shown = examples("../README.md", "text")[0]
    keys = {
        "demo_ingest_key": up.key("ingest"),
        "demo_account_key": up.key("account", account_id=1),
        "demo_publisher_key": up.key("publisher", publisher_id=1),
    }
    (tmp_path / "clickmill-data").mkdir()
    (tmp_path / "clickmill-data" / "secrets.json").write_text(json.dumps(keys, indent=1))
    for given, here in (("http://127.0.0.1:8080", up.api), ("Asia/Seoul", "UTC"), ("sleep 2", "sleep 3")):
        example = example.replace(given, here)
    printed = run(["bash", "-ec", example], environment, tmp_path)
    assert timeless(printed.replace("\r", "")) == timeless(shown.replace('"Deal Digest"', ""))


def timeless(text: str) -> str:
    return re.sub(r'"20\d\d-\d\d-\d\d"', "DAY", re.sub(r'"hour":\d+', '"hour":HOUR', text))


def test_curl(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    needed("curl")
    before = clicks(up)
    [example] = examples("ingest.md", "sh", "curl")
    assert run(["sh", "-c", example], environment, tmp_path) == '{"accepted":1,"rejected":[]}'
    counts(up, 1, before)


def test_python(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    before = clicks(up)
    [example] = examples("ingest.md", "python", "Python, without Clickmill")
    (tmp_path / "example.py").write_text(example)
    assert run([sys.executable, "-I", "example.py"], environment, tmp_path) == "[]\n"
    counts(up, 3, before)


def test_python_tells_what_is_wrong_and_tries_again(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    """The failures in the example: rejected events are returned, and a response is never retried."""
    [example] = examples("ingest.md", "python", "Python, without Clickmill")
    rejected = example.replace('"account_id": 1', '"account_id": 0')
    assert "id_out_of_range" in run([sys.executable, "-c", rejected], environment, tmp_path)
    away = environment | {"CLICKMILL_URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", example.replace("tries=8", "tries=2")], env=away, capture_output=True, text=True
    )
    assert "3 clicks could not be delivered" in done.stderr


def test_click_producer(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    before = clicks(up)
    [example] = examples("ingest.md", "python", "Python, with `ClickProducer`")
    (tmp_path / "example.py").write_text(example)
    data_dir = DataDir(up.directory)
    settings = {
        "CLICKMILL_KAFKA_URL": data_dir.addresses().kafka,
        "CLICKMILL_VISITOR_SECRET": data_dir.get_or_create_secret("visitor_secret"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "example.py"], env=environment | settings, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().isdecimal()
    assert done.stderr == "", "no alarming lines"
    counts(up, 1, before)


def test_go(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    needed("go")
    before = clicks(up)
    [example] = examples("ingest.md", "go")
    (tmp_path / "main.go").write_text(example)
    cache = {"GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    assert run(["go", "run", "main.go"], environment | cache, tmp_path) == "0 <nil>\n"
    counts(up, 1, before)


def test_php(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    needed("php")
    before = clicks(up)
    [example] = examples("ingest.md", "php")
    (tmp_path / "example.php").write_text(example)
    assert run(["php", "example.php"], environment, tmp_path) == "array(0) {\n}\n"
    counts(up, 1, before)


def test_nginx_and_its_shipper(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    needed("nginx", "curl", "split")
    [configuration], [shipper] = examples("ingest.md", "nginx"), examples("ingest.md", "sh", "nginx")
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid nginx.pid; error_log stderr; worker_processes 1;\nevents {{}}\nhttp {{\n{configuration}\n}}\n"
    )
    words = ["nginx", "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"]
    path = {"PATH": f"{environment['PATH']}:/usr/sbin"}
    before = clicks(up)
    with (tmp_path / "nginx.log").open("w") as log:
        server = subprocess.Popen(words, env=environment | path, stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(8100) or server.poll() is not None)
        assert server.poll() is None, (tmp_path / "nginx.log").read_text()
        for number, link in enumerate(("hello", "hello", "nothing-there", "hello")):
            agent = f'Mozilla/5.0 "quoted\\" é Firefox/{number}'.encode()
            headers = {b"Host": b"go.example", b"User-Agent": agent}
            answer = httpx.get(f"http://127.0.0.1:8100/{link}", headers=headers)
            assert answer.status_code == (302 if link == "hello" else 404)
            time.sleep(0.01)
        away = environment | path | {"CLICKMILL_URL": "http://127.0.0.1:1"}
        tried = shipper.replace("--retry 8 --retry-connrefused", "")
        failed = subprocess.run(["bash", "-c", tried], env=away, cwd=tmp_path, capture_output=True, text=True)
        assert failed.returncode != 0
        assert [path.name[:4] for path in tmp_path.iterdir() if path.name.startswith(("part-", "sending-"))] == ["part"]
        for _ in range(2):
            run(["sh", "-c", shipper], environment | path, tmp_path)
        counts(up, 3, before)
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(("part-", "sending-"))]
    finally:
        server.terminate()
        server.wait()


def test_the_cure_for_code_1002(up: Stack) -> None:
    key, day = up.key("account", account_id=7), datetime.now(UTC).date().isoformat()

    def answer() -> int:
        return int(
            up.http.get(
                f"{up.api}/api/statistics/v2/clicks-by-hour",
                params={"ymd": day},
                headers={"Authorization": f"APIKey {key}"},
            ).json()["code"]
        )

    assert answer() == 1002
    [example] = [block for block in examples("ingest.md", "") if "catalog import" in block]
    arguments = ["bash", "-c", example.replace("clickmill", str(CLICKMILL))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLICKMILL_")}
    run(list(arguments), environment | up.environment | {"CLICKMILL_API_URL": up.api}, up.directory)
    wait_until(lambda: answer() == 0, seconds=15)


def test_the_calls_of_the_link_shortener(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    needed("curl", "bash")
    example = examples("statistics.md", "sh")[0].replace("http://127.0.0.1:8080", up.api)
    calls = sum(line.startswith("get /") for line in example.splitlines())
    key = {"KEY": up.key("account", account_id=1)}
    answers = [json.loads(line) for line in run(["bash", "-ec", example], environment | key, tmp_path).splitlines()]
    assert len(answers) == calls == 11
    for answer in answers:
        assert isinstance(answer, list) or answer["code"] == 0, answer


def test_mcp_by_hand(up: Stack, environment: dict[str, str], tmp_path: Path) -> None:
    needed("curl")
    [example] = [block for block in examples("mcp.md", "sh") if "jsonrpc" in block]
    given = {"URL": f"{up.api}/mcp", "ACCOUNT": up.key("account", account_id=1), "TODAY": str(datetime.now(UTC).date())}
    answer = json.loads(run(["sh", "-c", example], environment | given, tmp_path))
    assert answer["result"]["structuredContent"]["code"] == 0


def test_the_catalogue_of_the_operators(up: Stack) -> None:
    [example] = examples("operations.md", "json")
    assert up.admin("PUT", "/admin/catalog", json.loads(example))["groups"] == 1

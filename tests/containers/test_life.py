"""docker-compose.yml from the first start of a deployment to its last: nothing is lost, nothing counts twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import expect

from tests.containers.deployment import (
    NEW_COMPOSE,
    SERVICES,
    Deployment,
    docker,
    megabytes,
    missing_reason,
)
from tests.containers.traffic import Traffic
from tests.support import free_port
from tests.support.browser import chromium, open_tab, sign_in
from tests.support.compose_file import ROOT
from tests.support.kafka_broker import require

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]  # the first one may build the image

DISK_MB = 400
COUNTED_SECONDS = 180
IDLE_MB = 2000
PARTITIONS = 12
IMAGE_MB = 750


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    require(missing_reason())
    directory = tmp_path_factory.mktemp("life")
    subprocess.run(["docker", "build", "--quiet", "--tag", "clickmill", "."], cwd=ROOT, check=True, capture_output=True)
    disk = directory / "disk"
    disk.mkdir()
    options = f"size={DISK_MB}m,uid=101,gid=101,mode=0750"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    running = Deployment(f"clickmill-life-{os.getpid()}", directory, disk)
    try:
        yield running
    finally:
        running.run("--profile", "observability", "down", "--volumes", "--remove-orphans", check=False)
        subprocess.run(["umount", "--lazy", disk], check=False)


@pytest.fixture(scope="module")
def traffic(deployment: Deployment) -> Traffic:
    key = json.loads(deployment.clickmill("keys", "create", "--role", "ingest"))["key"]
    return Traffic(f"http://127.0.0.1:{deployment.collector_port}", key)


@pytest.fixture(scope="module")
def account_key(deployment: Deployment) -> str:
    catalogue = {"accounts": [{"account_id": 1, "name": "A", "plan": "Premium", "time_zone": "UTC"}]}
    deployment.clickmill("catalog", "import", "-", stdin=json.dumps(catalogue))
    return str(json.loads(deployment.clickmill("keys", "create", "--role", "account", "--account-id", "1"))["key"])


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a figure beside pytest's own lines."""

    def print_line(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}", flush=True)

    return print_line


def check_counted(traffic: Traffic, key: str, *apis: str) -> None:
    """Everything that was sent is counted once, by every one of these APIs."""
    for api in apis:
        deadline = time.monotonic() + COUNTED_SECONDS
        while (found := ask(api, key, traffic.day)) != traffic.expected:
            assert time.monotonic() < deadline, f"{found} instead of {traffic.expected}"
            time.sleep(0.5)


def ask(api: str, key: str, day: str) -> object:
    url, headers = f"{api}/api/statistics/v2/clicks-by-hour", {"Authorization": f"APIKey {key}"}
    try:
        answer = httpx.get(url, params={"ymd": day}, headers=headers, timeout=10).json()
    except (httpx.HTTPError, ValueError) as error:
        return repr(error)
    return answer.get("result") or answer


def api_of(deployment: Deployment) -> str:
    return deployment.address(deployment.containers("api")[0])


def test_without_a_secret_nothing_starts(deployment: Deployment) -> None:
    refused = deployment.run("up", "--detach", check=False, variables={"CLICKMILL_REDIS_PASSWORD": ""})
    assert refused.returncode != 0
    assert "CLICKMILL_REDIS_PASSWORD" in refused.stderr
    assert deployment.containers(*SERVICES) == []


def test_services_become_healthy_in_order(deployment: Deployment, say: Callable[[str], None]) -> None:
    say(f"healthy after {deployment.up():.0f} s")
    restarts = {each["Name"]: each["RestartCount"] for each in deployment.containers(*SERVICES, "migrate")}
    assert set(restarts.values()) == {0}, restarts
    assert "applied" in docker("logs", deployment.container("migrate")["Id"])


def test_an_idle_deployment_is_small(deployment: Deployment, say: Callable[[str], None]) -> None:
    ids = [each["Id"] for each in deployment.containers(*SERVICES)]
    lines = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *ids).splitlines()
    used = {line.split()[0]: megabytes(line.split()[1]) for line in lines}
    say(f"idle: {sum(used.values()):.0f} MB, " + ", ".join(f"{name} {size:.0f}" for name, size in used.items()))
    assert len(used) == len(SERVICES)
    assert sum(used.values()) < IDLE_MB


def test_the_image_is_small(deployment: Deployment, say: Callable[[str], None]) -> None:
    size = int(docker("image", "inspect", "--format", "{{.Size}}", "clickmill")) / 1e6
    say(f"image: {size:.0f} MB")
    assert size < IMAGE_MB


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_is_confined(deployment: Deployment, service: str) -> None:
    container = deployment.container(service)["Id"]
    status = dict(line.split(":", 1) for line in docker("exec", container, "cat", "/proc/1/status").splitlines())
    assert status["Uid"].split()[0] != "0"
    assert (int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"].strip()) == (0, 0, "1")
    assert docker("exec", container, "touch", "/etc/x", "/usr/x").count("Read-only file system") == 2


def test_clickhouse_keeps_no_logs_of_its_own(deployment: Deployment) -> None:
    assert deployment.query("SELECT name FROM system.tables WHERE database = 'system' AND name LIKE '%\\_log'") == ""


def test_clicks_are_counted(deployment: Deployment, traffic: Traffic, account_key: str) -> None:
    for _ in range(20):
        traffic.send()
    check_counted(traffic, account_key, api_of(deployment))


def test_the_dashboard_shows_what_is_counted_as_it_is(
    deployment: Deployment, traffic: Traffic, account_key: str
) -> None:
    with chromium() as browser, open_tab(browser) as tab:
        tab.page.goto(f"{api_of(deployment)}/dashboard?live=1")
        sign_in(tab.page, account_key)
        total = tab.page.get_by_label("Totals").locator("data").first
        expect(total).to_have_attribute("value", str(traffic.sent))
        traffic.send()
        expect(total).to_have_attribute("value", str(traffic.sent), timeout=COUNTED_SECONDS * 1000)


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_container_loses_nothing(
    deployment: Deployment, traffic: Traffic, account_key: str, service: str
) -> None:
    with traffic.flowing():
        time.sleep(1)
        deployment.kill(service)
        time.sleep(2)
    check_counted(traffic, account_key, api_of(deployment))
    deployment.wait_healthy()


def test_services_are_scaled_under_load(deployment: Deployment, traffic: Traffic, account_key: str) -> None:
    first = free_port()
    with traffic.flowing():
        options = ("--scale", "worker=3", "--scale", "api=2")
        deployment.up(*options, CLICKMILL_API_PORT=f"{first}-{first + 9}")
        workers, apis = deployment.containers("worker"), deployment.containers("api")
        assert (len(workers), len(apis)) == (3, 2)
        check_shared(deployment, 3)
        addresses = [deployment.address(each) for each in apis]
    check_counted(traffic, account_key, *addresses)
    with traffic.flowing():
        deployment.up()
        assert len(deployment.containers("worker")) == 1
    check_counted(traffic, account_key, api_of(deployment))


def check_shared(deployment: Deployment, workers: int) -> None:
    """Each of the workers has partitions to count."""
    deadline = time.monotonic() + 60
    while True:
        held = [partitions(each["Id"]) for each in deployment.containers("worker")]
        if len(held) == workers and 0 not in held and sum(held) == PARTITIONS:
            return
        assert time.monotonic() < deadline, held
        time.sleep(1)


def partitions(worker: str) -> int:
    """How many a worker holds, by its metrics."""
    read = "import urllib.request as r; print(r.urlopen('http://localhost:9464/metrics').read().decode())"
    metrics = docker("exec", worker, "python", "-c", read)
    return int(sum(map(float, re.findall(r"^clickmill_partitions\{.*\} ([\d.]+)$", metrics, re.MULTILINE))))


def test_a_full_disk_delays_and_loses_nothing(
    deployment: Deployment, traffic: Traffic, account_key: str, say: Callable[[str], None]
) -> None:
    ballast = deployment.disk / "ballast"
    with traffic.flowing():
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=1M"], capture_output=True, check=False)
        deadline = time.monotonic() + 60
        while "worker" not in str(deployment.troubled(["worker"])):
            assert time.monotonic() < deadline, "the worker does not notice that nothing is counted"
            time.sleep(0.5)
        ballast.unlink()
    begin = time.monotonic()
    check_counted(traffic, account_key, api_of(deployment))
    say(f"all is counted {time.monotonic() - begin:.0f} s after the disk was freed")
    deployment.wait_healthy()


def test_a_restart_loses_nothing(deployment: Deployment, traffic: Traffic, account_key: str) -> None:
    with traffic.flowing():
        deployment.run("restart")
        deployment.wait_healthy()
    check_counted(traffic, account_key, api_of(deployment))


def test_data_outlive_the_containers_and_secrets_may_be_files(
    deployment: Deployment, traffic: Traffic, account_key: str, say: Callable[[str], None]
) -> None:
    with traffic.flowing():
        deployment.run("stop")
        deployment.run("down")
        assert deployment.containers(*SERVICES) == []
        deployment.compose, deployment.secrets_from_files = (NEW_COMPOSE,), True
        say(f"healthy again after {deployment.up():.0f} s")
    check_counted(traffic, account_key, api_of(deployment))


def test_the_audit_agrees(deployment: Deployment, traffic: Traffic) -> None:
    """It counts the log a second time, with none of the worker's code."""
    assert deployment.clickmill("audit", "--from", traffic.day, "--to", traffic.day).endswith("Everything adds up.\n")
    assert traffic.refused, "no collector was ever away"

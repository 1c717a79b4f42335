"""The compose file, documented settings, the imports of each process, commands and their errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from click.testing import CliRunner

from api.query.executor import read_limits
from deploy.cli import main
from deploy.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service.get("image") == "clickmill"}


def setting(variable: str) -> str:
    return variable.removeprefix("CLICKMILL_").lower()


@pytest.mark.parametrize("name", OURS)
def test_a_composed_command_exists_with_its_options(name: str) -> None:
    command, *options = OURS[name]["command"]
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    for option in options[::2]:
        assert f"{option} " in result.output


@pytest.mark.parametrize("name", OURS)
def test_a_composed_environment_is_made_of_settings(name: str) -> None:
    environment = OURS[name]["environment"]
    assert {setting(variable) for variable in environment} <= set(Settings.model_fields)


@pytest.mark.parametrize("name", [name for name in COMPOSE["services"] if name != "migrate"])
def test_a_composed_service_has_a_health_check(name: str) -> None:
    assert COMPOSE["services"][name]["healthcheck"]["test"]


def test_collectors_and_workers_hash_under_one_secret() -> None:
    secrets = {OURS[name]["environment"]["CLICKMILL_VISITOR_SECRET"] for name in ("collector", "worker")}
    assert len(secrets) == 1


@pytest.mark.parametrize("name", ["collector", "worker", "api"])
def test_a_health_check_asks_the_port_that_is_served(name: str) -> None:
    service = OURS[name]
    port = service["command"][service["command"].index("--port") + 1]
    assert f"localhost:{port}/readyz" in service["healthcheck"]["test"][-1]


def test_the_api_reads_with_a_user_of_its_own_within_its_own_limits() -> None:
    file, place, _ = COMPOSE["services"]["clickhouse"]["volumes"][1].split(":")
    tree = ElementTree.parse(ROOT / file)
    assert place.startswith("/etc/clickhouse-server/users.d/")
    [user], [profile] = tree.findall("users/*"), tree.findall("profiles/*")
    url = urlsplit(OURS["api"]["environment"]["CLICKMILL_CLICKHOUSE_READ_URL"])
    assert (url.username, user.findtext("profile")) == (user.tag, profile.tag)
    password = user.find("password")
    assert password is not None
    assert COMPOSE["services"]["clickhouse"]["environment"][password.attrib["from_env"]] == url.password
    limits = {name: value for name, value in read_limits(Settings()).items() if isinstance(value, int | float)}
    assert {name: float(profile.findtext(name, "nan")) for name in limits} == limits
    for name in ("max_execution_time", "max_rows_to_read", "max_memory_usage"):
        assert float(profile.findtext(f"constraints/{name}/max", "nan")) == limits[name]


def test_commands_that_publish_addresses_want_the_secret_that_hides_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("")
    addresses = {"CLICKMILL_KAFKA_URL": "127.0.0.1:1", "CLICKMILL_CLICKHOUSE_URL": f"chdb://{tmp_path}/engine"}
    for arguments in (["collector"], ["import", str(log), "--format", "events"], ["dlq", "replay"]):
        result = CliRunner().invoke(main, arguments, env=addresses | {"CLICKMILL_VISITOR_SECRET": ""})
        assert result.exit_code == 2
        assert "CLICKMILL_VISITOR_SECRET" in result.output


def test_docker_compose_takes_the_file() -> None:
    command = shutil.which("docker-compose")
    if command is None:
        if os.environ.get("CI") == "true":
            pytest.fail("docker-compose is not installed; .ci/run installs it")
        pytest.skip("docker-compose is not installed")
    environment = os.environ | {"CLICKMILL_ADMIN_KEY": "a" * 32, "CLICKMILL_VISITOR_SECRET": "b" * 32}
    done = subprocess.run([command, "config", "--quiet"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_setting_is_documented() -> None:
    documented = (ROOT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"| `CLICKMILL_{name.upper()}` |" in documented, f"docs/settings.md does not name {name}"
        assert field.description
        assert field.description.replace("|", "\\|") in documented, f"docs/settings.md describes {name} differently"


@pytest.mark.parametrize(
    ("process", "others"),
    [
        ("deploy.processes.api", ["aiokafka", "faust", "numba", "ahocorasick_rs"]),
        ("deploy.processes.collector", ["faust", "numba", "mcp", "ahocorasick_rs"]),
        ("deploy.processes.worker", ["mcp"]),
        ("deploy.cli", ["faust", "numba", "mcp", "ahocorasick_rs"]),
    ],
)
def test_a_process_does_not_load_what_only_others_need(process: str, others: list[str]) -> None:
    program = f"import {process}, sys; print([name for name in {others} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_library_whose_private_names_are_used_is_bounded_above() -> None:
    used = (ROOT / "deploy" / "processes" / "timeout_protocol.py").read_text()
    assert "from uvicorn.protocols.http.httptools_impl import" in used, "without it the bound is not needed"
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [bound] = [line for line in dependencies if line.startswith("uvicorn")]
    assert "<" in bound


def test_commands_fail_with_status_2_when_used_wrongly() -> None:
    for arguments in (
        ["nonsense"],
        ["up", "--port", "x"],
        ["import", "/no/such/file", "--format", "bitly"],
        ["worker"],
    ):
        assert CliRunner().invoke(main, arguments, env={"CLICKMILL_KAFKA_URL": "embedded"}).exit_code == 2


@pytest.mark.parametrize("command", ["up", "collector", "worker", "api", "migrate", "import", "simulate"])
def test_each_command_has_an_example(command: str) -> None:
    assert "Example:" in CliRunner().invoke(main, [command, "--help"]).output

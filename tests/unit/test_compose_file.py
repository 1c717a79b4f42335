"""docker-compose.yml and the files beside it: commands, settings, secrets, confinement; each Compose takes them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from click.testing import CliRunner

from api.query.executor import read_limits
from deploy.cli import main
from deploy.settings import Settings
from tests.support.kafka_broker import require
from tests.support.npm import node, npm_missing_reason

ROOT = Path(__file__).parents[2]
PARTS = ("", ".override", ".secrets")
FILES = {part: yaml.safe_load((ROOT / f"docker-compose{part}.yml").read_text()) for part in PARTS}
SERVICES: dict[str, dict[str, Any]] = FILES[""]["services"]
OURS = [name for name, service in SERVICES.items() if service.get("image") == "clickmill"]
SECRETS = {
    "CLICKMILL_ADMIN_KEY",
    "CLICKMILL_VISITOR_SECRET",
    "CLICKMILL_CLICKHOUSE_PASSWORD",
    "CLICKMILL_CLICKHOUSE_READ_PASSWORD",
    "CLICKMILL_REDIS_PASSWORD",
}


def environment(name: str) -> dict[str, Any]:
    """The variables of a service when its secrets come from the environment."""
    secret = FILES[".override"]["services"].get(name, {}).get("environment", {})
    return {**SERVICES[name].get("environment", {}), **secret}


def required_of(service: str) -> set[str]:
    """The secrets that the service refuses to be without."""
    return {match for value in environment(service).values() for match in re.findall(r"\{(\w+):\?", str(value))}


@pytest.mark.parametrize("name", OURS)
def test_a_composed_command_exists_with_its_options(name: str) -> None:
    command, *options = SERVICES[name]["command"]
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    for option in options[::2]:
        assert f"{option} " in result.output


@pytest.mark.parametrize("name", OURS)
def test_a_composed_environment_is_made_of_settings(name: str) -> None:
    settings = {variable.removeprefix("CLICKMILL_").lower() for variable in environment(name)}
    assert settings <= set(Settings.model_fields)


def test_no_secret_has_a_default_and_no_file_holds_one() -> None:
    assert set().union(*map(required_of, SERVICES)) == SECRETS
    names = "|".join(SECRETS)
    example = (ROOT / ".env.example").read_text()
    assert not re.findall(rf"^(?:{names})=.+", example, re.MULTILINE)
    composed = "".join((ROOT / f"docker-compose{part}.yml").read_text() for part in PARTS)
    assert not re.findall(rf"[^$]\$\{{(?:{names}):?-", composed)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_gets_the_same_secrets_as_variables_and_as_files(name: str) -> None:
    files = FILES[".secrets"]["services"].get(name, {}).get("secrets", [])
    assert {secret.upper() for secret in files} == required_of(name)
    assert set(files) <= set(FILES[".secrets"]["secrets"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["init"] is True
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["logging"]["options"]["max-size"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.get("user", "")) or name in OURS
    assert not [port for port in service.get("ports", []) if not port.startswith("${CLICKMILL_BIND:-127.0.0.1}:")]


def test_the_image_runs_as_a_numbered_user() -> None:
    assert re.findall(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_stopped_before_what_it_needs(name: str) -> None:
    """Compose stops in the reverse of this order, and `migrate`, which also waits for them, is over by then."""
    needed = {"clickhouse"} | ({"redis"} if name == "api" else {"kafka"})
    assert needed <= set(SERVICES[name]["depends_on"])


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "migrate"])
def test_a_health_check_asks_the_port_that_is_served(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["start_period"] == "60s"
    if name in OURS:
        command = SERVICES[name]["command"]
        assert check["test"] == ["CMD", "ready", command[command.index("--port") + 1]]


def test_collectors_and_workers_hash_under_one_secret() -> None:
    assert len({environment(name)["CLICKMILL_VISITOR_SECRET"] for name in ("collector", "worker", "api")}) == 1


def test_the_api_reads_with_a_user_of_its_own_within_its_own_limits() -> None:
    [mount] = [volume for volume in SERVICES["clickhouse"]["volumes"] if "clickmill_read.xml" in volume]
    file, place, _ = mount.split(":")
    tree = ElementTree.parse(ROOT / file)
    assert place.startswith("/etc/clickhouse-server/users.d/")
    [user], [profile] = tree.findall("users/*"), tree.findall("profiles/*")
    url = urlsplit(environment("api")["CLICKMILL_CLICKHOUSE_READ_URL"])
    assert (url.username, user.findtext("profile")) == (user.tag, profile.tag)
    password = user.find("password_sha256_hex")
    assert password is not None
    assert f'export {password.attrib["from_env"]}=$$(sha256 "$$reader")' in SERVICES["clickhouse"]["entrypoint"][-1]
    passwords = {environment(name)["CLICKMILL_CLICKHOUSE_READ_PASSWORD"] for name in ("clickhouse", "api")}
    assert len(passwords) == 1
    limits = {name: value for name, value in read_limits(Settings()).items() if isinstance(value, int | float)}
    assert {name: float(profile.findtext(name, "nan")) for name in limits} == limits
    for name in ("max_execution_time", "max_rows_to_read", "max_memory_usage"):
        assert float(profile.findtext(f"constraints/{name}/max", "nan")) == limits[name]


def test_every_variable_is_in_the_example_with_its_default() -> None:
    text = "".join((ROOT / f"docker-compose{name}.yml").read_text() for name in FILES)
    example = (ROOT / ".env.example").read_text()
    defaults = dict(re.findall(r"[^$]\$\{(\w+):-([^}]*)\}", text))
    assert len(defaults) > 5
    for name, default in defaults.items():
        assert f"\n#{name}={default}\n" in example, name
    for name in SECRETS:
        assert f"\n{name}=\n" in example


COMPOSES = {"v1": shutil.which("docker-compose"), "v2": str(Path(sys.executable).with_name("docker-compose"))}
FROM_FILES = ("-f", "docker-compose.yml", "-f", "docker-compose.secrets.yml")


def compose(version: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = COMPOSES[version]
    if command is None:
        reason = "docker-compose is not installed; .ci/run installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLICKMILL_")}
    return subprocess.run([command, *arguments], cwd=ROOT, env=inherited | variables, capture_output=True, text=True)


@pytest.mark.parametrize("version", COMPOSES)
@pytest.mark.parametrize("files", [(), FROM_FILES], ids=["environment", "files"])
def test_compose_takes_the_files(version: str, files: tuple[str, ...]) -> None:
    given = dict.fromkeys(SECRETS, "s" * 32)
    done = compose(version, *files, "config", "--quiet", **({} if files else given), CLICKMILL_API_PORT="8080-8083")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", COMPOSES)
@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_compose_names_a_secret_that_is_missing(version: str, missing: str) -> None:
    done = compose(version, "config", "--quiet", **dict.fromkeys(SECRETS - {missing}, "s" * 32))
    assert done.returncode != 0
    assert missing in done.stderr
    assert "set it to" in done.stderr


@pytest.mark.parametrize("version", COMPOSES)
def test_what_runs_can_be_stopped_without_the_secrets(version: str) -> None:
    assert compose(version, "-f", "docker-compose.yml", "config", "--quiet").returncode == 0


def test_the_dockerfile_has_no_findings() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "")


# They ask for an order of keys, for a name, which old Compose refuses, and for an address, which the variable has.
MATTERS_OF_STYLE = (
    "require-project-name-field",
    "require-quotes-in-ports",
    "no-unbound-port-interfaces",
    "service-dependencies-alphabetical-order",
    "service-keys-order",
    "services-alphabetical-order",
    "top-level-properties-order",
)


@pytest.mark.parametrize("file", [f"docker-compose{part}.yml" for part in PARTS])
def test_the_compose_files_have_no_findings(file: str) -> None:
    linter = ROOT / "tests" / "support" / "compose_linter"
    require(npm_missing_reason(linter))
    disabled = [word for rule in MATTERS_OF_STYLE for word in ("--disable-rule", rule)]
    script = linter / "node_modules" / "dclint" / "bin" / "dclint.cjs"
    done = node(ROOT, script, file, "--max-warnings", "0", *disabled)
    assert (done.returncode, done.stdout.strip()) == (0, "")

"""docker-compose.yml as an operator runs it, over images that are there."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.containers import engine
from tests.support import free_port
from tests.support.compose_file import ROOT, named_images

ODD = """p@s:s/w#o%r$d"'`\\ ?&<é]]>"""  # characters that mean something in URLs, shells, XML, YAML or Redis' files
SECRETS = {
    "CLICKMILL_ADMIN_KEY": "an admin@key:of/the#tests%$\"'`\\",
    "CLICKMILL_VISITOR_SECRET": f"{ODD} visitor",
    "CLICKMILL_CLICKHOUSE_PASSWORD": f"{ODD} writer",
    "CLICKMILL_CLICKHOUSE_READ_PASSWORD": f"{ODD} reader",
    "CLICKMILL_REDIS_PASSWORD": f"{ODD} redis",
}
OLD_COMPOSE, NEW_COMPOSE = shutil.which("docker-compose"), Path(sys.executable).with_name("docker-compose")
SERVICES = ("kafka", "clickhouse", "redis", "collector", "worker", "api")
# On a disk that can be filled; and a group that notices a dead worker in 6 s rather than 30.
OVERRIDE = """
services:
  worker:
    environment:
      CLICKMILL_SESSION_TIMEOUT_SECONDS: 6
volumes:
  clickhouse:
    driver_opts: {{type: none, o: bind, device: {disk}}}
"""


@dataclass
class Deployment:
    """A project of Compose with ports of its own, and ClickHouse's data in `disk`."""

    project: str
    directory: Path
    disk: Path
    api_port: int = field(default_factory=free_port)
    collector_port: int = field(default_factory=free_port)
    compose: Sequence[str | Path] = (OLD_COMPOSE or "docker-compose",)
    secrets_from_files: bool = False

    def __post_init__(self) -> None:
        (self.directory / "override.yml").write_text(OVERRIDE.format(disk=self.disk))
        for name, secret in SECRETS.items():
            (self.directory / name.lower()).write_text(f"{secret}\n")

    def run(
        self,
        *arguments: str,
        check: bool = True,
        stdin: str | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str]:
        """A command of Compose; its text is in the error if it fails."""
        place = "secrets" if self.secrets_from_files else "override"
        files = ["docker-compose.yml", f"docker-compose.{place}.yml", str(self.directory / "override.yml")]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CLICKMILL_")}
        environment |= {} if self.secrets_from_files else SECRETS
        environment |= {
            "COMPOSE_FILE": ":".join(files),
            "COMPOSE_PROJECT_NAME": self.project,
            "CLICKMILL_SECRETS": str(self.directory),
            "CLICKMILL_API_PORT": str(self.api_port),
            "CLICKMILL_COLLECTOR_PORT": str(self.collector_port),
            "CLICKMILL_NOFILE": "16384",  # the engine of a machine in a container may not grant more
        }
        done = subprocess.run(
            [*self.compose, *arguments],
            cwd=ROOT,
            env={**environment, **variables},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}\n{self.logs()}"
        return done

    def up(self, *options: str, **variables: str) -> float:
        """Seconds until every service is healthy."""
        begin = time.monotonic()
        self.run("up", "--detach", "--no-build", *options, variables=variables)
        self.wait_healthy()
        return time.monotonic() - begin

    def clickmill(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of a command in the container of the API."""
        return self.run("exec", "-T", "api", "clickmill", *arguments, stdin=stdin).stdout

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """What Docker knows about the containers of these services that are not one-off."""
        ids = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}").split()
        found = json.loads(docker("inspect", *ids)) if ids else []
        return [each for each in found if each["Config"]["Labels"]["com.docker.compose.service"] in services]

    def container(self, service: str) -> dict[str, Any]:
        [found] = self.containers(service)
        return found

    def wait_healthy(self, *services: str, seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while states := self.troubled(services or SERVICES):
            assert time.monotonic() < deadline, f"not healthy after {seconds:.0f} s: {states}\n{self.logs()}"
            time.sleep(0.3)

    def troubled(self, services: Sequence[str]) -> dict[str, str]:
        """The states of containers that are not healthy, and of services without one."""
        states = dict.fromkeys(services, "absent")
        for each in self.containers(*services):
            service, state = each["Config"]["Labels"]["com.docker.compose.service"], each["State"]
            health = state["Health"]["Status"] if state["Status"] == "running" else state["Status"]
            states[f"{service} {each['Name']}"] = health
            states.pop(service, None)
        return {name: state for name, state in states.items() if state != "healthy"}

    def kill(self, service: str) -> None:
        """SIGKILL to the process, as when it crashes; `docker kill` would keep the engine from starting it again."""
        before = self.container(service)
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        deadline = time.monotonic() + 30
        while self.container(service)["RestartCount"] == before["RestartCount"]:
            assert time.monotonic() < deadline, f"{service} was not started again"
            time.sleep(0.1)

    def address(self, container: dict[str, Any]) -> str:
        [port] = [each[0]["HostPort"] for each in container["NetworkSettings"]["Ports"].values() if each]
        return f"http://127.0.0.1:{port}"

    def query(self, sql: str) -> str:
        """Asks ClickHouse as its user `clickmill`."""
        password = SECRETS["CLICKMILL_CLICKHOUSE_PASSWORD"]
        login = ("--user", "clickmill", "--password", password)
        return self.run("exec", "-T", "clickhouse", "clickhouse-client", *login, "--query", sql).stdout

    def logs(self) -> str:
        ids = [each["Id"] for each in self.containers(*SERVICES, "migrate")]
        return "\n".join(docker("logs", "--tail", "15", each) for each in ids)


def docker(*arguments: str) -> str:
    """The output of the command, errors included."""
    done = subprocess.run(["docker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def megabytes(size: str) -> float:
    """Docker's "85.3MiB" in MB."""
    found = re.fullmatch(r"([\d.]+)([kMG]?)i?B", size.strip())
    assert found, size
    return float(found[1]) * {"": 1e-6, "k": 1.024e-3, "M": 1.048576, "G": 1073.741824}[found[2]]


def missing_reason() -> str | None:
    """Why nothing can be deployed here, or None."""
    if OLD_COMPOSE is None:
        return "docker-compose is not installed; .ci/run installs it"
    if not engine.answers():
        return "no Docker engine answers; `make containers` starts one where it may"
    absent = [name for name in named_images() if docker("image", "inspect", "--format", "here", name) != "here\n"]
    return f"the engine has no {', '.join(absent)}; `make images` gets them" if absent else None

#!/usr/bin/python3
"""What the official image's entry point does, as far as compose files and testcontainers rely on it.

Root becomes the user `clickhouse`. CLICKHOUSE_USER with CLICKHOUSE_PASSWORD or CLICKHOUSE_PASSWORD_FILE replaces the
user `default`, who without them may connect from this container only. The first start makes CLICKHOUSE_DB, and runs
/docker-entrypoint-initdb.d, with a server that listens on 127.0.0.1 only; then the server starts anew.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen
from xml.sax.saxutils import escape

DATA = Path("/var/lib/clickhouse")
LOGS = Path("/var/log/clickhouse-server")
USERS = Path("/etc/clickhouse-server/users.d")
SCRIPTS = Path("/docker-entrypoint-initdb.d")
SERVER = ["clickhouse-server", f"--config-file={os.environ['CLICKHOUSE_CONFIG']}"]
USER = os.environ.get("CLICKHOUSE_USER") or "default"
DATABASE = os.environ.get("CLICKHOUSE_DB")
MANAGES_ACCESS = os.environ.get("CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT") or "0"
FIRST_START_SECONDS = 1000.0


def main() -> None:
    if len(sys.argv) > 1 and not sys.argv[1].startswith("--"):
        os.execvp(sys.argv[1], sys.argv[1:])
    password = read_password()
    if os.getuid() == 0:
        become_clickhouse()
    write_user(password)
    if not (DATA / "data").exists() and (DATABASE or any(SCRIPTS.iterdir())):
        start_first_time(password)
    os.execvp(SERVER[0], [*SERVER, *sys.argv[1:]])


def become_clickhouse() -> None:
    for directory in (DATA, LOGS):
        if directory.owner() != "clickhouse":  # a read-only one cannot be changed
            subprocess.run(["chown", "-R", "clickhouse:clickhouse", directory], check=True)
    os.setgroups([])
    os.setgid(101)
    os.setuid(101)


def read_password() -> str:
    if file := os.environ.get("CLICKHOUSE_PASSWORD_FILE"):
        return Path(file).read_text().rstrip("\n")
    return os.environ.get("CLICKHOUSE_PASSWORD", "")


def write_user(password: str) -> None:
    if (USER, password, MANAGES_ACCESS) == ("default", "", "0"):
        users = '<default><networks replace="replace"><ip>::1</ip><ip>127.0.0.1</ip></networks></default>'
    else:
        users = (
            f'<default remove="remove"/><{USER}><password>{escape(password)}</password><profile>default</profile>'
            f"<quota>default</quota><networks><ip>::/0</ip></networks>"
            f"<access_management>{MANAGES_ACCESS}</access_management></{USER}>"
        )
    (USERS / "default-user.xml").write_text(f"<clickhouse><users>{users}</users></clickhouse>\n")


def start_first_time(password: str) -> None:
    server = subprocess.Popen([*SERVER, "--", "--listen_host=127.0.0.1"])
    wait_until_it_answers(server)
    client = ["clickhouse-client", "--host", "127.0.0.1", "--user", USER, "--password", password]
    if DATABASE:
        subprocess.run([*client, "--query", f"CREATE DATABASE IF NOT EXISTS {DATABASE}"], check=True)
    for script in sorted(SCRIPTS.iterdir()):
        if script.suffix == ".sql":
            subprocess.run([*client, "--queries-file", script], check=True)
        elif script.suffix == ".sh":
            subprocess.run(["sh", script], check=True)
    server.terminate()
    server.wait()


def wait_until_it_answers(server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + FIRST_START_SECONDS
    while True:
        try:
            with urlopen("http://127.0.0.1:8123/ping", timeout=1):
                return
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit("ClickHouse's first start failed")
        time.sleep(0.2)


main()

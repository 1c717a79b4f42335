"""The processes of a benchmark: start, CPU and memory as the kernel reports them, and stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[1]
CLICKMILL = Path(sys.executable).with_name("clickmill")
_START_SECONDS = 60.0
_STOP_SECONDS = 45.0
_KIB_PER_MB = 1_000_000 / 1024


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds of a process."""

    user: float
    system: float

    @property
    def seconds(self) -> float:
        return self.user + self.system

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.user - before.user, self.system - before.system)


def cpu_of(pid: int) -> Cpu:
    times = psutil.Process(pid).cpu_times()
    return Cpu(times.user, times.system)


def peak_rss_mb(pid: int) -> float:
    """Peak resident memory of the process, in MB."""
    return _status_kib(pid, "VmHWM") / _KIB_PER_MB


def rss_mb(pid: int) -> float:
    return _status_kib(pid, "VmRSS") / _KIB_PER_MB


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"process {pid} has ended")


class Child:
    """A command as a child process, with its output in a file."""

    def __init__(
        self, name: str, directory: Path, command: list[str], environment: dict[str, str] | None = None
    ) -> None:
        self.name, self.log_file = name, directory / f"{name}.log"
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=_inherited() | (environment or {}), stdout=output, stderr=output
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises RuntimeError with the last output if the process has ended."""
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"{self.name} ended with {code}:\n{self.output[-3000:]}")

    @property
    def output(self) -> str:
        return self.log_file.read_text(errors="replace")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def clickmill(name: str, directory: Path, environment: dict[str, str], *arguments: str) -> Child:
    """A `clickmill` command."""
    return Child(name, directory, [str(CLICKMILL), *arguments], environment)


def wait_ready(child: Child, url: str) -> None:
    """Returns once `/readyz` of the process is 200."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        child.check()
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{child.name} is not ready:\n{child.output[-3000:]}")


def ask(module: str, *arguments: object, seconds: float = 300, python: str = sys.executable) -> dict[str, Any]:
    """Runs a module to its end. Returns its last line, as JSON."""
    command = [python, "-m", module, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, env=_inherited(), capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module} ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CLICKMILL_")}

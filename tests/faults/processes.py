"""Starts, stops and traces the processes under faults."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONG = os.environ.get("FAULTS") == "long"


class Program:
    """A module of tests.faults as a child process, by default `program`."""

    def __init__(self, url: str, seed: int, clicks: int, *options: str, log: Path, module: str = "program") -> None:
        command = [sys.executable, "-m", f"tests.faults.{module}", url, str(seed), str(clicks), *options]
        self._log = log.open("ab")
        self.log = log
        self.child = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    def said(self, word: str) -> bool:
        """Waits until the process prints the word; False if it ended before."""
        assert self.child.stdout is not None
        return any(line.strip() == word for line in iter(self.child.stdout.readline, ""))

    def go(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write("go\n")
        self.child.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def ended(self, seconds: float = 120) -> int:
        """Waits for the end. Returns the exit status; fails the test unless it is done, fenced or killed."""
        try:
            output, _ = self.child.communicate(timeout=seconds)
        finally:
            self.kill()
        code = self.child.returncode
        assert code in (0, 5, -signal.SIGKILL), f"exit status {code}\n{output[-3000:]}\n{self.log.read_text()[-3000:]}"
        return code


class Strace:
    """Traces calls of a running process, all or those on `paths`, and injects a fault. Attached once constructed."""

    def __init__(self, pid: int, call: str, log: Path, fault: str = "", paths: Sequence[str] = ()) -> None:
        command = ["strace", "-f", "-y", "-p", str(pid), "-e", f"trace={call}", "-o", str(log)]
        for path in paths:
            command += ["-P", path]
        if fault:
            command += ["-e", f"inject={call}:{fault}"]
        self.child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.child.stderr is not None
        line = self.child.stderr.readline()
        if "attached" not in line:
            pytest.fail(f"strace did not attach: {line}")
        time.sleep(0.1)

    def __enter__(self) -> Strace:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.terminate()
        self.child.communicate()


def needs_strace() -> None:
    if shutil.which("strace") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("strace is not installed; .ci/run installs it")
        pytest.skip("strace is not installed")

"""A Docker engine: the one that answers, or a new one where this may start it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START_SECONDS = 60.0
LOG = Path(tempfile.gettempdir()) / "clickmill-dockerd.log"


class EngineError(RuntimeError):
    """Docker cannot be used here; the text says why."""


def answers() -> bool:
    try:
        asked = subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def start() -> None:
    """Starts an engine if none answers, and waits until it does; it goes on when this process ends."""
    if answers():
        return
    if not shutil.which("docker"):
        raise EngineError("no Docker engine: `docker` is not installed")
    if not (shutil.which("dockerd") and sys.platform == "linux" and os.geteuid() == 0):
        raise EngineError("no Docker engine answers, and only root on Linux with `dockerd` installed can start one")
    with LOG.open("ab") as log:
        engine = subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if engine.poll() is not None or time.monotonic() > deadline:
            raise EngineError(f"dockerd did not start:\n{LOG.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)

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


def answers() -> bool:
    try:
        asked = subprocess.run(["docker", "version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def start() -> None:
    """Starts an engine if none answers, which goes on when this process ends. Blocks until it answers.

    Raises RuntimeError with the reason if there can be none.
    """
    if answers():
        return
    if not shutil.which("docker"):
        raise RuntimeError("no Docker engine: `docker` is not installed")
    if not (shutil.which("dockerd") and sys.platform == "linux" and os.geteuid() == 0):
        raise RuntimeError("no Docker engine answers, and only root on Linux with `dockerd` installed can start one")
    # Directories of its own: a killed engine leaves the process ids of itself and of its containerd behind, and refuses
    # to start where other processes have them by now.
    state = tempfile.mkdtemp(prefix="clickmill-docker-", dir="/run")
    command = ["dockerd", "--exec-root", state, "--pidfile", f"{state}/docker.pid"]
    with LOG.open("wb") as log:
        engine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if engine.poll() is not None or time.monotonic() > deadline:
            shutil.rmtree(state, ignore_errors=True)
            raise RuntimeError(f"dockerd did not start:\n{LOG.read_text(errors='replace')[-2000:]}")
        time.sleep(0.2)

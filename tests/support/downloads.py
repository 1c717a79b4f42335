"""Programs that tests download or compile once for a machine: Kafka, ZooKeeper and the ClickHouse server."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

FETCH_SECONDS = 900.0


def downloaded(name: str, pinned_by: Path, fetch: Callable[[Path], list[str]]) -> Path:
    """A directory of the user's cache, filled by the command that `fetch` returns for an empty directory.

    A new content of the file `pinned_by` means a new download. Blocks; processes that ask at once wait for one
    download. Raises RuntimeError with the command's output if it fails.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clickmill"
    target = cache / f"{name}-{hashlib.sha256(pinned_by.read_bytes()).hexdigest()[:8]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                Path(scratch, name).mkdir()
                _run(name, fetch(Path(scratch, name)))
                Path(scratch, name).rename(target)
    return target


def _run(name: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{name} was not downloaded within {FETCH_SECONDS:.0f} s") from error
    if done.returncode:
        raise RuntimeError(f"The download of {name} failed:\n{done.stdout[-2000:]}{done.stderr[-500:]}")

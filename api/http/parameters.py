"""Query parameters. Calls parse them themselves, not FastAPI, and so word their own errors."""

from __future__ import annotations

import re
from typing import Any

_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")  # Python reads no more than 4,300 digits


def parse_integer(text: str) -> int | None:
    """The number of plain ASCII digits with an optional sign, else None."""
    return int(text) if _INTEGER.fullmatch(text) else None


def query_parameter(name: str, schema: dict[str, Any], description: str, *, required: bool = False) -> dict[str, Any]:
    """A query parameter for the OpenAPI document."""
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": description}

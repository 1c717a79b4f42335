"""Writes the tables of bench/results/README.md from the JSON beside it: `python -m bench tables`."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.report.machine import one_line
from bench.report.results import as_markdown, read_all

PAGE = Path(__file__).resolve().parents[1] / "results" / "README.md"


def write_tables(results: Path) -> list[str]:
    """Fills `<!-- PART -->` … `<!-- end -->` in the page. Returns the parts without a result."""
    found, missing = read_all(results), []

    def filled(place: re.Match[str]) -> str:
        name = place[1]
        if name not in found or find_spec(f"bench.parts.{name}") is None:
            missing.append(name)
            return place[0]
        return f"<!-- {name} -->\n{_tables(name, found[name])}\n<!-- end -->"

    page = re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", filled, PAGE.read_text(), flags=re.DOTALL)
    PAGE.write_text(page)
    return missing


def _tables(name: str, result: dict[str, Any]) -> str:
    part = import_module(f"bench.parts.{name}")
    with as_markdown() as lines:
        part.table(result)
    return "\n".join([f"{one_line(result['machine'])}, commit {result['machine']['commit']}", "", *lines])

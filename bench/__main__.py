"""`python -m bench PART`: one part of the benchmarks, or `all` of them. Tables to the terminal, JSON to a file."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.results import DIRECTORY, runs_of, shaped, show_machine, write

PARTS = ("pipeline", "scaling", "freshness", "collector", "storage")
_OPTIONS = {
    "pipeline": ("events", "broker"),
    "scaling": ("events", "broker"),
    "freshness": ("broker", "capacity"),
    "collector": ("broker",),
}


def main() -> int:
    options = _arguments()
    show_machine()
    names = [name for name in PARTS if name not in _LEFT_OUT] if options.part == "all" else [options.part]
    for name in names:
        result = run_part(name, options)
        write(options.json or DIRECTORY / f"{name}.json", result)
    return 0


_LEFT_OUT = ("soak",)


def run_part(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One part, measured and shown."""
    part = import_module(f"bench.{name}")
    chosen = {option: getattr(options, option) for option in _OPTIONS.get(name, ())}
    result = shaped(name, part.run(quick=options.quick, **chosen), quick=options.quick, runs=runs_of(options.quick))
    part.table(result)
    return result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--quick", action="store_true", help="One run of little, in less than 50 seconds a part.")
    parser.add_argument("--json", type=Path, help="Where the result goes.  [default: bench/results/PART.json]")
    parser.add_argument("--events", type=int, help="Events of the pipeline.")
    parser.add_argument("--capacity", type=float, help="Events/s that freshness takes shares of.")
    parser.add_argument("--broker", choices=["kafka", "tansu"], help="Default: kafka where there is Java.")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

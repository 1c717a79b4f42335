"""The benchmarks: `python -m bench PART` runs one, `all` most of them. Prints tables and writes JSON.

`chart` draws the last results again, `tables` writes them into bench/results/README.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.report.chart import draw
from bench.report.machine import others_percent
from bench.report.results import directory, runs_of, shaped, show_machine, write
from bench.report.tables import write_tables

# In the order of `all`: later parts use the rate that the pipeline reached.
PARTS = (
    "pipeline",
    "scaling",
    "freshness",
    "hostile",
    "api",
    "collector",
    "strangers",
    "storage",
    "web",
    "protocol",
    "soak",
)
_ALONE = {"protocol", "soak"}
_QUIET = 20.0  # % of all processors
_OPTIONS = {
    "pipeline": ("events", "broker"),
    "scaling": ("events", "broker"),
    "freshness": ("broker", "capacity"),
    "hostile": ("broker",),
    "collector": ("broker",),
    "soak": ("broker", "seconds", "horizon"),
}


def main() -> int:
    options = _arguments()
    if options.part == "chart":
        draw(directory(options.quick))
        return 0
    if options.part == "tables":
        for name in write_tables(directory(options.quick)):
            print(f"no result of {name}")
        return 0
    if options.part == "all":
        return _run_all(options.quick)
    show_machine()
    result = _run(options.part, options)
    write(options.json or directory(options.quick) / f"{options.part}.json", result)
    return 0


def _run_all(quick: bool) -> int:
    """Runs each part in its own process: chDB opens one directory a process."""
    started, failed = time.monotonic(), []
    for name in PARTS:
        if name in _ALONE or find_spec(f"bench.parts.{name}") is None:
            continue
        command = [sys.executable, "-m", "bench", name, *(["--quick"] if quick else [])]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    draw(directory(quick))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes; results in {directory(quick)}")
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


def _run(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measures one part and prints its table."""
    part = import_module(f"bench.parts.{name}")
    busy = others_percent()
    if busy > _QUIET:
        print(f"other processes use {busy:.0f} % of the processors: the figures will be too low", file=sys.stderr)
    chosen = {option: getattr(options, option) for option in _OPTIONS.get(name, ())}
    figures = {**part.run(quick=options.quick, **chosen), "busy_before_percent": busy}
    result = shaped(name, figures, quick=options.quick, runs=runs_of(options.quick))
    part.table(result)
    return result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "all", "chart", "tables"])
    parser.add_argument("--quick", action="store_true", help="One run of little, in less than 50 seconds a part.")
    parser.add_argument("--json", type=Path, help="Where the result goes.  [default: bench/results/PART.json]")
    parser.add_argument("--events", type=int, help="Events of the pipeline, or of each case of scaling.")
    parser.add_argument("--broker", choices=["kafka", "tansu"], help="Default: kafka where there is Java.")
    parser.add_argument("--capacity", type=float, help="Events/s that freshness takes shares of.")
    parser.add_argument("--seconds", type=float, help="How long the soak lasts.  [default: 600]")
    parser.add_argument("--horizon", type=int, help="Minutes for which the soak's worker remembers ids.  [default: 60]")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

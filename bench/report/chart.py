"""A chart of the last results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.report.results import read_all

_OURS, _LIMIT, _OTHERS = "#1f6feb", "#8b949e", "#d0d7de"
_NAMES = {
    "faust_stock": "stock Faust agent",
    "aiokafka_loop": "aiokafka loop, same inserts",
    "aiokafka_narrow": "aiokafka loop, narrow insert",
    "quix": "Quix Streams",
    "bytewax_flow": "Bytewax",
    "pathway_table": "Pathway",
}


def draw(directory: Path) -> None:
    """Draws events a second of the pipeline and its peers, and freshness by load, from the results in the directory."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    results = read_all(directory)
    if "pipeline" not in results:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(3, 2))
    _speeds(left, results["pipeline"])
    if "freshness" in results:
        _freshness(right, results["freshness"])
    else:
        right.set_axis_off()
    figure.tight_layout()
    figure.savefig(directory / "chart.png", dpi=110)
    plt.close(figure)


def _speeds(axes: Any, result: dict[str, Any]) -> None:
    bars = [("engine alone, from a file", result["limit"]["events_per_second"], _LIMIT)]
    bars.append(("Clickmill, everything on", result["events_per_second"], _OURS))
    peers = sorted(result["peers"].items(), key=lambda item: -item[1]["events_per_second"])
    bars += [(_NAMES.get(name, name), peer["events_per_second"], _OTHERS) for name, peer in peers]
    names, values, colours = zip(*reversed(bars), strict=True)
    drawn = axes.barh(names, values, color=colours)
    axes.bar_label(drawn, labels=[f"{value:,.0f}" for value in values], padding=3)
    axes.set_xlim(0, max(values) * 1.18)
    axes.set_title("events/s from the log into the rollups", loc="left")
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _freshness(axes: Any, result: dict[str, Any]) -> None:
    rates = result["rates"]
    shares = [f"{row['share']:.0%}\n{row['events_per_second']:,}/s" for row in rates]
    for name, colour in (("p99_seconds", _OTHERS), ("p50_seconds", _OURS)):
        drawn = axes.bar(shares, [row[name] for row in rates], color=colour, label=name.partition("_")[0])
        axes.bar_label(drawn, labels=[f"{row[name]:.2f}" for row in rates], padding=2)
    axes.set_title("seconds from event sent to served, by load", loc="left")
    axes.legend(frameon=False)
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)

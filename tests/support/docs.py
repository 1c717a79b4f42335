"""The examples of a page of docs/, as readers copy them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def examples(page: str, language: str, heading: str | None = None) -> list[str]:
    """The fenced blocks in a language, in order: of the whole page, or of the section under a heading."""
    text = (DOCS / page).read_text()
    if heading is not None:
        _, _, text = text.partition(f"\n### {heading}\n")
        text = re.split(r"\n##+ ", text)[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)

"""axe-core, which looks for what keeps people from using a page, pinned here and kept out of what is served."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from playwright.sync_api import Page

from tests.support.kafka_broker import require
from tests.support.npm import npm_missing_reason

_HERE = Path(__file__).parent
_FINDINGS = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return grave.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${node.target}: ${node.failureSummary}`));
}"""


def assert_accessible(page: Page) -> None:
    """Fails for each finding of serious or critical kind in what the page shows now, contrast included."""
    page.evaluate(_program())  # by the debugger, as the page's policy runs no foreign script
    findings = page.evaluate(_FINDINGS)
    assert not findings, "\n".join(findings)


@cache
def _program() -> str:
    require(npm_missing_reason(_HERE))
    return (_HERE / "node_modules" / "axe-core" / "axe.min.js").read_text()

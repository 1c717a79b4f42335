"""The docs against the code: docs/ingest.md names every fault, status and limit, and examples do not age."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.http import middleware
from deploy.processes.timeout_protocol import HEAD_TIMEOUT_SECONDS, KEEP_ALIVE_TIMEOUT_SECONDS, MAX_HEAD_BYTES
from deploy.settings import Settings
from ingest import collector
from ingest.event import validation
from ingest.event.validation import Fault
from tests.support.docs import DOCS

PAGE = (DOCS / "ingest.md").read_text()
PAGES = [
    *sorted(DOCS.parent.glob("*.md")),
    *sorted(DOCS.rglob("*.md")),
    DOCS.parent / "bench" / "results" / "README.md",
]


@pytest.mark.parametrize("fault", [*(fault.value for fault in Fault), "future"])
def test_every_fault_is_named(fault: str) -> None:
    table = PAGE.partition("| `error` of a rejected event |")[2].partition("\n## ")[0]
    assert f"`{fault}`" in table


def test_every_status_of_the_collector_is_named() -> None:
    ingest = DOCS.parent / "ingest"
    source = (ingest / "collector.py").read_text() + (ingest / "content_encoding.py").read_text()
    raised = set(re.findall(r'HttpError\(\s*(\d{3}), "(\w+)"', source))
    assert len(raised) >= 6
    for status, code in raised:
        [row] = [line for line in PAGE.splitlines() if line.startswith(f"| {status} |")]
        assert f"`{code}`" in row


def test_limits_are_those_of_the_code() -> None:
    limits = PAGE.partition("## Limits")[2].partition("\n## ")[0]
    buffer = Settings.model_fields["collector_buffer_events"].default
    for text in (
        f"{collector.MAX_BODY_BYTES >> 20} MiB, unpacked",
        f"{collector.MAX_EVENTS:,} events",
        f"| an event | {validation.MAX_EVENT_BYTES >> 10} KiB ",
        f"| `event_id` | {validation.MAX_EVENT_ID} characters |",
        f"| `visitor_id` | {validation.MAX_VISITOR_ID} |",
        f"| `domain` | {validation.MAX_DOMAIN} ",
        f"| `link_id` | {validation.MAX_LINK_ID:,} |",
        f"`CLICKMILL_COLLECTOR_BUFFER_EVENTS` ({buffer:,})",
        f"{collector.BUFFER_TIMEOUT_SECONDS:.0f} s for room",
        f"acknowledgement | {collector.ACKNOWLEDGE_TIMEOUT_SECONDS:.0f} s",
        f"{middleware.MAX_BODY_BYTES >> 20} MiB of body",
        f"idle for {KEEP_ALIVE_TIMEOUT_SECONDS} s",
    ):
        assert text in limits, text
    assert (
        f"longer than {HEAD_TIMEOUT_SECONDS:.0f} s, the body longer than {middleware.BODY_TIMEOUT_SECONDS:.0f} s"
        in PAGE
    )
    assert f"headers above {MAX_HEAD_BYTES >> 10} KiB" in PAGE


@pytest.mark.parametrize("page", ["../README.md", *sorted(path.name for path in DOCS.glob("*.md"))])
def test_no_example_has_a_date_that_will_have_passed(page: str) -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    examples = [block for language, block in blocks if language != "text"]  # text is output: readers copy none of it
    assert not [block for block in examples if re.search(r"\b20\d\d-\d\d|\b1[678]\d{11}\b", block)]


def places(page: Path) -> set[str]:
    """The headings of a page as GitHub writes them into links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    links = [link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link, _, _ in links if not (page.parent / link).exists()] == []
    assert [
        (link, place) for link, _, place in links if place and place not in places(page.parent / link if link else page)
    ] == []
    paths = re.findall(r"`((?:ingest|rollups|api|deploy|tests|bench|docs)/[\w/.-]*\w)/?`", text)
    assert [path for path in paths if not (DOCS.parent / path).exists()] == []


def test_tests_that_a_page_names_exist() -> None:
    tests = sorted((DOCS.parent / "tests").rglob("test_*.py"))
    known = {path.stem for path in tests} | {
        name for path in tests for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = {name for page in PAGES for name in re.findall(r"\b(test_\w+)", page.read_text())}
    assert len(named) > 10
    assert named <= known

"""Who is not a person: bots and link previews by user agent, prefetches by what the browser says it is doing."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rollups.bots.rules import Kind, Rules

if TYPE_CHECKING:
    from rollups.bots.automaton import Judge

_LONGEST_PURPOSE = 512  # characters that are looked at
_PREFETCH = ("prefetch", "prerender", "preview")


@cache
def _judge() -> Judge:
    from rollups.bots.automaton import Judge  # every process loads this module for the recount; most judge nobody

    return Judge(Rules.in_force())


def bot_kinds(agents: pa.StringArray) -> NDArray[np.uint8]:
    """What each user agent is: a `Kind`, or 0 for a person and for null. See docs/decisions/0005-bots.md."""
    return _judge().kinds(agents)


def bot_mask(agents: pa.StringArray) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = bot_kinds(agents) != 0
    return mask


def bot_kind(agent: str) -> Kind | None:
    """None is a person. Takes 0.2 ms for a bot; use `bot_kinds` for many."""
    kind = _judge().kind(agent)
    return Kind(kind) if kind else None


def is_bot(agent: str) -> bool:
    return bot_kind(agent) is not None


def is_prefetch(method: str | None, purpose: str | None) -> bool:
    """A HEAD request, or one whose `Purpose`/`Sec-Purpose` says that nobody has clicked yet."""
    if method is not None and method[:5].upper() == "HEAD":
        return True
    return purpose is not None and any(word in purpose[:_LONGEST_PURPOSE].lower() for word in _PREFETCH)

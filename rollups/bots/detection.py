"""Tells clicks of people from others: bots and link previews by user agent, prefetches by method and purpose."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rollups.bots.rules import Kind, Rules

if TYPE_CHECKING:
    from rollups.bots.automaton import Judge

_MAX_PURPOSE_LENGTH = 512  # characters examined
_PREFETCH = ("prefetch", "prerender", "preview")


@cache
def _judge() -> Judge:
    from rollups.bots.automaton import Judge  # most processes load this module and judge nothing

    return Judge(Rules.in_force())


def bot_kinds(agents: pa.StringArray) -> NDArray[np.uint8]:
    """The `Kind` of each user agent, 0 for a person and for null. See docs/decisions/0005-bots.md."""
    return _judge().kinds(agents)


def bot_mask(agents: pa.StringArray) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = bot_kinds(agents) != 0
    return mask


def bot_kind(agent: str) -> Kind | None:
    """The kind of bot, None for a person. Takes 0.2 ms for a bot; use `bot_kinds` for many."""
    kind = _judge().kind(agent)
    return Kind(kind) if kind else None


def is_bot(agent: str) -> bool:
    return bot_kind(agent) is not None


def is_prefetch(method: str | None, purpose: str | None) -> bool:
    """Whether it is a HEAD request, or one whose `Purpose`/`Sec-Purpose` announces a prefetch."""
    if method is not None and method[:5].upper() == "HEAD":
        return True
    return purpose is not None and any(word in purpose[:_MAX_PURPOSE_LENGTH].lower() for word in _PREFETCH)

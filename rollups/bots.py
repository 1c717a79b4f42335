"""Who is not a person: bots and link previews by user agent, prefetches by what the browser says it is doing."""

from __future__ import annotations

from functools import cache, lru_cache

import crawleruseragents
from crawlerdetect import CrawlerDetect

_MOST = 512  # characters; nobody's user agent is longer, and a longer text costs time and memory
_PREFETCH = ("prefetch", "prerender", "preview")


@cache
def _crawler_detect() -> CrawlerDetect:
    return CrawlerDetect()


def is_bot(user_agent: str) -> bool:
    """Two kept lists, either of them; the measured verdicts are in docs/decisions/0005-bots.md."""
    return _verdict(user_agent[:_MOST])


@lru_cache(maxsize=65536)
def _verdict(user_agent: str) -> bool:
    return crawleruseragents.is_crawler(user_agent) or bool(_crawler_detect().isCrawler(user_agent))


@lru_cache(maxsize=1024)
def is_prefetch(method: str | None, purpose: str | None) -> bool:
    """A HEAD request, or one whose `Purpose`/`Sec-Purpose` says that nobody has clicked yet."""
    if method is not None and method.upper() == "HEAD":
        return True
    return purpose is not None and any(word in purpose.lower() for word in _PREFETCH)

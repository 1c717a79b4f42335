"""Reading in a thread for somebody who may leave meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from anyio import to_thread

from rollups.errand import Errand
from rollups.store import Store, StoreError

Made = TypeVar("Made")

_AGAIN_SECONDS = 0.25


async def run_errand(store: Store, make: Callable[[], Made]) -> Made:
    """What `make` returns, called in a thread. If the caller is cancelled, what ClickHouse does for it is killed."""
    errand = Errand()
    thread = asyncio.ensure_future(to_thread.run_sync(errand.call, make))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        errand.called_off = True
        while not thread.done():  # a statement may have been on its way when it was killed
            with suppress(StoreError):
                await asyncio.to_thread(store.kill, errand.comment)
            await asyncio.wait([thread], timeout=_AGAIN_SECONDS)
        if not thread.cancelled():
            thread.exception()  # nobody wants to know how it ended
        raise

"""What is read for one answer, so that it can be called off: whoever wants the answer may leave before it is there."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

Made = TypeVar("Made")

_current: ContextVar[Errand | None] = ContextVar("errand", default=None)


class CalledOff(Exception):
    """The errand ended before its next statement."""


class Errand:
    """Statements that a `Store` runs inside `call` carry `comment` as log comment, by which they can be killed."""

    def __init__(self) -> None:
        self.comment = f"clickmill read {uuid.uuid4().hex}"
        self.called_off = False

    def call(self, make: Callable[[], Made]) -> Made:
        """Runs it in this thread. Raises CalledOff instead of starting a statement once `called_off` is set."""
        token = _current.set(self)
        try:
            return make()
        finally:
            _current.reset(token)


def current_errand() -> dict[str, str]:
    """The settings that a statement of the errand under way carries."""
    errand = _current.get()
    if errand is None:
        return {}
    if errand.called_off:
        raise CalledOff
    return {"log_comment": errand.comment}

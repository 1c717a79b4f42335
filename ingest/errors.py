"""The exceptions that Clickmill raises on purpose, in one tree. Any other is a bug or a library's."""

from __future__ import annotations


class ClickmillError(Exception):
    """Raised on purpose; the message is for people."""


class InvalidInput(ClickmillError):
    """A request, file or record that fails again when it is sent again."""


class Unavailable(ClickmillError):
    """Something is away or overloaded; the same call may succeed later."""


class OperatorError(ClickmillError):
    """The process cannot start or go on until an operator does what the message says."""


class HttpError(ClickmillError):
    """A request that ends with an error response of this status, code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

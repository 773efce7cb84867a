"""What the server says no to."""

from __future__ import annotations

from ..core.errors import UserError


class Refused(UserError):
    """A request that is answered with an HTTP status and a sentence."""

    def __init__(self, status: int, message: str, hint: str = ""):
        super().__init__(message, hint)
        self.status = status

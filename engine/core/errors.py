"""The one exception that people see."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can fix: `message` says what is wrong, `hint` says what to do about it."""

    def __init__(self, message: str, hint: str = ""):
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint

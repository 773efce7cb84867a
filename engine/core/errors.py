"""The one exception that people see."""

from __future__ import annotations

from typing import Any

Value = int | float | str
Values = tuple[tuple[str, Value], ...]
"""Figures and words that a sentence contains, each with its name."""


class UserError(Exception):
    """Something the user can mend: `message` says what is wrong, `hint` says what to do about it.

    `code` names the sentence and `values` are what it contains, so that an interface can say it in another language.
    """

    def __init__(self, message: str, hint: str = "", /, code: str = "", **said: Any):
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint
        self.code = code
        self.values = values(**said)


def values(**said: Any) -> Values:
    """Named figures and words of a sentence. Numbers of numpy become Python's; all else that is no number becomes text."""
    return tuple((name, _plain(value)) for name, value in said.items())


def _plain(value: Any) -> Value:
    value = value.item() if hasattr(value, "item") else value
    return value if type(value) in (int, float, str) else str(value)

"""The one exception that people see."""

from __future__ import annotations

from typing import Any

LONGEST = 4000
"""Letters of a sentence, or of a value in it."""

Value = int | float | str
Values = tuple[tuple[str, Value], ...]
"""Figures and words that a sentence contains, each with its name."""


class UserError(Exception):
    """Something the user can mend: `message` says what is wrong, `hint` says what to do about it.

    `code` names the sentence and `values` are what it contains, so that an interface can say it in another language.
    """

    def __init__(self, message: str, hint: str = "", /, code: str = "", **said: Any):
        self.message, self.hint = printable(message), printable(hint)
        super().__init__(f"{self.message} {self.hint}".strip())
        self.code = code
        self.values = values(**said)


def values(**said: Any) -> Values:
    """Named figures and words of a sentence. Numbers of numpy become Python's; all else that is no number becomes text."""
    return tuple((name, _plain(value)) for name, value in said.items())


def printable(text: str) -> str:
    """Text that every terminal and file takes: files may hold zero bytes, halves of letters, or names of thousands of letters."""
    if text.isascii() and text.isprintable() and len(text) <= LONGEST:
        return text
    clean = "".join("?" if letter == "\0" or "\ud800" <= letter <= "\udfff" else letter for letter in text)
    return clean if len(clean) <= LONGEST else f"{clean[:LONGEST]} …"


def _plain(value: Any) -> Value:
    value = value.item() if hasattr(value, "item") else value
    return value if type(value) in (int, float) else printable(str(value))

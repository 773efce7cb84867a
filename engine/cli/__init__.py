"""The command line: one file a verb; main.py registers them."""

from typing import TYPE_CHECKING

from ..core.former_imports import former_members

if not TYPE_CHECKING:
    __getattr__ = former_members(__name__)

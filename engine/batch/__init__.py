"""Several captures and trainings, one after the other."""

from typing import TYPE_CHECKING

from ..core.former_imports import former_members

if not TYPE_CHECKING:
    __getattr__ = former_members(__name__)

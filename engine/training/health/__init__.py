"""Finds unhealthy trainings early."""

from typing import TYPE_CHECKING

from ...core.former_imports import former_members

if not TYPE_CHECKING:
    __getattr__ = former_members(__name__)

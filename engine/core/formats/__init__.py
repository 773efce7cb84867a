"""Splat files: one file a format, one line each in registry.py."""

from typing import TYPE_CHECKING

from ..former_imports import former_members

if not TYPE_CHECKING:
    __getattr__ = former_members(__name__)

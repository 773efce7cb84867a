"""Blender ships no types: everything in here is Any."""

from typing import Any

def __getattr__(name: str) -> Any: ...

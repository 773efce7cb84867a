"""Installed with the full engine alone."""

from typing import Any

def __getattr__(name: str) -> Any: ...

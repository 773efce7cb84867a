"""Which packages photos need, told in one sentence when they are missing. Standard library only."""

from __future__ import annotations

import importlib.util

from ..core.errors import UserError

PACKAGES = {"pycolmap": "pycolmap", "PIL": "Pillow", "matplotlib": "matplotlib"}
"""Module -> what pip calls it."""


def check_packages() -> None:
    """UserError that names what is missing."""
    missing = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(f"Finding the cameras of photos needs {' and '.join(missing)}, which this Python lacks.",
                        "Install it with: pip install 'splatwright[photos]'")

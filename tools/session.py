"""Blender as a Python module with this checkout enabled as its extension, in a profile of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODULE = "bl_ext.user_default.splatwright"


def start_extension(resources: Path) -> str:
    """Link the checkout into a fresh profile below `resources`, import bpy, enable the extension; returns its module name."""
    os.environ["BLENDER_USER_RESOURCES"] = str(resources)
    link = resources / "extensions" / "user_default" / "splatwright"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(ROOT, target_is_directory=True)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.preferences.addon_enable(module=MODULE)
    return MODULE

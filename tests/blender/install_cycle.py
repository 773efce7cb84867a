"""Run as a script: installs the zip given on the command line, switches it on and off, and prints what it left behind."""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any

import bpy as blender  # isort: skip
import addon_utils  # known only once bpy is imported

bpy: Any = blender  # stubs know nothing of what the extension registers

MODULE = "bl_ext.user_default.splatwright"


def registered() -> dict[str, set[str]]:
    """Names of everything that an extension can leave behind in Blender."""
    handlers = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
    menus = {name: getattr(kind.draw, "_draw_funcs", []) for name in dir(bpy.types)
             if (kind := getattr(bpy.types, name, None)) and isinstance(getattr(kind, "draw", None), types.FunctionType)}
    owners = ("Scene", "Object", "WindowManager", "World", "Camera", "PointCloud", "Mesh", "Material", "Collection")
    return {
        "types": set(dir(bpy.types)),
        "operators": set(dir(bpy.ops.splatwright)),
        "handlers": {f"{name}: {item}" for name, items in handlers.items() if isinstance(items, list) for item in items},
        "menus": {f"{name}: {item.__module__}" for name, items in menus.items() for item in items
                  if not item.__module__.startswith("bl_ui.")},  # Blender lists its own drawing once somebody has added to it
        "properties": {f"{owner}.{name}" for owner in owners for name, _ in getattr(bpy.types, owner).bl_rna.properties.items()},
        "timers": {str(item) for item in gc.get_objects() if isinstance(item, types.FunctionType)
                   and (item.__module__ or "").startswith(MODULE) and bpy.app.timers.is_registered(item)},
        "keymaps": {f"{keymap.name}: {item.idname}" for keymap in bpy.context.window_manager.keyconfigs.addon.keymaps
                    for item in keymap.keymap_items},
    }


def left_behind(before: dict[str, set[str]]) -> dict[str, list[str]]:
    return {kind: sorted(names - before[kind]) for kind, names in registered().items() if names - before[kind]}


def main(archive: str) -> None:
    before, answers = registered(), {}
    bpy.ops.extensions.package_install_files(filepath=archive, repo="user_default", enable_on_install=True)
    answers["installed"] = addon_utils.check(MODULE)
    answers["added"] = left_behind(before)
    resources = Path(os.environ["BLENDER_USER_RESOURCES"])
    answers["plyfile"] = [path.name for path in resources.glob("extensions/.local/lib/python*/site-packages/plyfile.py")]
    addon_utils.disable(MODULE, default_set=True)
    answers["after disable"] = left_behind(before)
    addon_utils.enable(MODULE, default_set=True, persistent=True)
    answers["enabled again"] = left_behind(before)
    addon_utils.disable(MODULE, default_set=True)
    answers["after second disable"] = left_behind(before)
    print("ANSWERS", json.dumps(answers), flush=True)


if __name__ == "__main__":
    status = 0
    try:
        main(sys.argv[1])
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)  # bpy 4.5 hangs at exit when something is still registered

"""A script for a fresh Blender: adds the extension repository whose index is given, installs Splatwright from it, prints what came."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import bpy as blender  # isort: skip
import addon_utils  # known only once bpy is imported

bpy: Any = blender
MODULE = "bl_ext.from_the_web.splatwright"

bpy.context.preferences.system.use_online_access = True
repository = bpy.context.preferences.extensions.repos.new(name="Splatwright", module="from_the_web", remote_url=sys.argv[1])
index = list(bpy.context.preferences.extensions.repos).index(repository)
bpy.ops.extensions.repo_sync(repo_index=index)
bpy.ops.extensions.package_install(repo_index=index, pkg_id="splatwright", enable_on_install=True)
print("ANSWERS", json.dumps({"enabled": addon_utils.check(MODULE), "panel": hasattr(bpy.types, "SPLATWRIGHT_PT_train")}), flush=True)
addon_utils.disable(MODULE)
os._exit(0)  # Blender 4.5 waits for ever at its exit when anything is still registered

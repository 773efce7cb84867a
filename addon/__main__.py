"""Captures without a window, with the add-on of this checkout: `blender -b --python addon/__main__.py -- WORK PACKAGES`, or with
`python addon/__main__.py WORK PACKAGES` where bpy is a module.

An enabled extension has registered the scenes' settings already, so it does the work itself.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import bpy

OWN = "splatwright_checkout"
context: Any = bpy.context  # a script has no package, so it cannot import the add-on's types


def extension() -> str:
    """The package to work with: the enabled extension, or this checkout under a name of its own, with its settings registered."""
    enabled = next((addon.module for addon in context.preferences.addons if addon.module.endswith(".splatwright")), "")
    if enabled:
        return enabled
    root = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location(OWN, root / "__init__.py", submodule_search_locations=[str(root)])
    if spec is None or spec.loader is None:
        sys.exit(f"{root} holds no add-on")
    sys.modules[OWN] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[OWN])
    importlib.import_module(f"{OWN}.addon.properties").register()
    return OWN


def main(arguments: list[str]) -> int:
    """Capture what a work folder orders."""
    work, packages = arguments
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]
    if packages:
        sys.path.append(packages)
    return importlib.import_module(f"{extension()}.addon.batch.command_line").run([work])


if __name__ == "__main__":
    status = 1
    try:
        status = main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if "--" not in sys.argv or status:
            os._exit(status)  # bpy as a module may hang at exit while classes are registered

"""The part of Splatwright that runs inside Blender. MODULES are registered in this order and unregistered in the reverse."""

from __future__ import annotations

import importlib
from types import ModuleType

MODULES = (
    "preferences",
    "properties",
    "preview",
    "operators",
    "panels",
    "check_panel",
    "photos_panel",
    "batch_panel",
    "instant_panel",
    "report_panel",
    "splats_panel",
    "viewport",
    "layout_panel",
    "jobs",
    "batch",
    "command_line",
    "dataset_check",
    "estimate",
    "linked",
)


def register() -> None:
    """Register every module; one that fails leaves nothing registered behind."""
    done: list[ModuleType] = []
    try:
        for name in MODULES:
            module = importlib.import_module(f".{name}", __package__)
            module.register()
            done.append(module)
    except Exception:
        for module in reversed(done):
            module.unregister()
        raise


def unregister() -> None:
    """Unregister every module."""
    for name in reversed(MODULES):
        importlib.import_module(f".{name}", __package__).unregister()

"""The part of Splatwright that runs inside Blender. MODULES are registered in this order and unregistered in the reverse."""

from __future__ import annotations

import importlib
from types import ModuleType

MODULES = (
    "translations",
    "preferences",
    "properties",
    "ui.notice",
    "splats.display",
    "splats.originals",
    "splats.unapplied_transform",
    "operators",
    "panels.next_step",
    "panels.capture",
    "panels.photos",
    "panels.train",
    "panels.status_bar",
    "panels.check",
    "panels.batch",
    "panels.instant",
    "panels.report",
    "panels.splats",
    "viewport",
    "viewport.rig_preview",
    "viewport.region_box",
    "panels.layout",
    "jobs.jobs",
    "jobs.earlier",
    "unsaved",
    "first_save",
    "batch.run",
    "batch.command_line",
    "splats.linked_files",
    "ui.background",
    "ui.guide",
    "welcome",
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

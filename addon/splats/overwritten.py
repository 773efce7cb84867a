"""Exports over the files of linked objects: what the objects show must not be placed twice, nor lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import bpy
import numpy as np

from ...engine.core.formats.registry import Format, format_of, lost_in
from ...engine.core.splats.gaussians import Gaussians
from ..translations import tr
from ..typed import point_cloud, splat_settings
from .extras import EXTRA
from .foreign_points import is_foreign
from .importing import DERIVED, remember_state, stamp_of
from .linked_files import end_link, linked_objects
from .packing import WIDTHS
from .source_paths import source_of
from .splat_object import gaussians_from_object

OVERWRITTEN = "An export wrote other splats over their file, so the .blend holds these. Keep in File reads the file again."


class WrittenSplats(Protocol):
    """What an export wrote, in the scene's frame."""

    @property
    def gaussians(self) -> Gaussians: ...

    @property
    def extra_names(self) -> tuple[str, ...]: ...


def after_export(written: Mapping[Path, WrittenSplats], axes: str) -> list[str]:
    """Links of which an export wrote over the file: they go on where it holds what the object shows, else the object keeps its splats.

    Sentences about those that end.
    """
    ended = []
    for target in linked_objects():
        path = source_of(target)
        splats = next((splats for file, splats in written.items() if _is_same(file, path)), None)
        if splats is None or not len(point_cloud(target).points):
            continue
        if not is_foreign(target) and _holds(target, splats, axes, format_of(path)):
            remember_state(target, stamp_of(path))
        elif not is_foreign(target):
            end_link(target, OVERWRITTEN)
            ended.append(tr("{target} is linked to {file} no more: the file holds other splats now than the object does",
                            target=target.name, file=path.name))
        else:
            ended.append(tr("{target} of another file is linked to {file} and shows what was exported", target=target.name_full,
                            file=path.name))
    return ended


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _holds(target: bpy.types.Object, splats: WrittenSplats, axes: str, form: Format) -> bool:
    """Whether what was written reads as what an object shows in its own frame, with every attribute."""
    settings, own = splat_settings(target), gaussians_from_object(target).arrays()
    as_read = settings.axes in ("AUTO", axes) and not settings.linear_scales
    whole = not lost_in(form, splats.gaussians, splats.extra_names) and all(map(_is_written, point_cloud(target).attributes.keys()))
    there = splats.gaussians.arrays()
    return as_read and whole and all(np.array_equal(there[name], rows) for name, rows in own.items())


def _is_written(name: str) -> bool:
    """Whether files hold an attribute, or it follows from what they hold."""
    return name in (*WIDTHS, *DERIVED) or name.startswith((".", "radiance:", "splatwright:", EXTRA.format("")))

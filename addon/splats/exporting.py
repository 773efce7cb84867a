"""Splat objects to a file, where they stand in the scene."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.formats.registry import PLY, Format, write_splats
from ...engine.core.splats.axes import Axes
from ...engine.core.splats.gaussians import Gaussians, concatenate, drawable, drawable_rows
from ...engine.core.splats.offset import NO_OFFSET, Offset
from ...engine.core.splats.surface_normals import turned_normals
from ...engine.core.splats.transform import transform_gaussians
from ...engine.core.text import phrase
from ..typed import Context, current_context, splat_settings
from .extras import join_extras
from .instances import SplatInstance, objects_with_splats, splat_instances
from .splat_object import is_splat_object
from .survey import offset_of_export

FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
"""What some file system does not allow in a name."""


@dataclass(frozen=True)
class WorldGaussians:
    """What splat objects show, in the scene's frame."""

    gaussians: Gaussians
    dropped: int  # rows that could not be drawn, because of a NaN or an infinity
    extra: np.ndarray | None = None  # [N] with a field for each property of a PLY that splats do not have
    offset: Offset = NO_OFFSET  # what the scene's coordinates lack of a survey's
    unturned: tuple[bpy.types.Object, ...] = ()  # whose points were turned without their splats

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Properties that splats do not have."""
        return () if self.extra is None else self.extra.dtype.names or ()


def world_gaussians(targets: Sequence[bpy.types.Object]) -> WorldGaussians:
    """All splats of the objects, one object after the other, as their modifiers leave them and with transforms and parents baked in.

    Instances of splats count, by collections as well as by Geometry Nodes.
    """
    if not targets:
        raise UserError("No splat object is selected.", "Select the splat objects to export.", "export.none_selected")
    placed = splat_instances(targets, current_context().evaluated_depsgraph_get())
    kept = [drawable(part.gaussians) for part in placed]
    baked = [transform_gaussians(gaussians, part.matrix) for gaussians, part in zip(kept, placed, strict=True)]
    if not baked:
        raise UserError("The selected objects hold no splats.", "Select splat objects that are not empty.", "export.no_splats")
    extra = join_extras([(len(gaussians), _kept_extra(part, gaussians)) for gaussians, part in zip(kept, placed, strict=True)])
    offset = offset_of_export(targets, current_context().scene)
    unturned = tuple(dict.fromkeys(part.unturned for part in placed if part.unturned is not None))
    dropped = sum(len(part.gaussians) for part in placed) - sum(map(len, kept))
    return WorldGaussians(concatenate(baked), dropped, extra, offset, unturned)


def export_splats(
    targets: Sequence[bpy.types.Object], path: Path, axes: Axes = "SUPERSPLAT", chosen: Format | None = None,
) -> WorldGaussians:
    """Write the objects into one file, in a chosen format or the one its name asks for; returns what was written.

    UserError when there is nothing to write.
    """
    world = world_gaussians(targets)
    if not len(world.gaussians):
        raise UserError("The selected objects hold no splats.", "Select splat objects that are not empty.", "export.no_splats")
    write_splats(path, world.gaussians, axes, all(splat_settings(target).antialiased for target in targets), chosen, world.extra,
                 world.offset)
    return world


def _kept_extra(part: SplatInstance, kept: Gaussians) -> np.ndarray | None:
    """The properties of the rows that can be drawn, in the scene's frame."""
    extra = part.extra
    if extra is not None and len(kept) < len(part.gaussians):
        extra = extra[drawable_rows(part.gaussians)]
    return turned_normals(extra, part.matrix)


def selected_to_export(context: Context) -> list[bpy.types.Object]:
    """The selected objects that show splats, their own or instances; splat objects that modifiers left empty count too."""
    showing = objects_with_splats(context.evaluated_depsgraph_get())
    return [found for found in context.selected_objects if found in showing or is_splat_object(found)]


def visible_to_export(context: Context) -> list[bpy.types.Object]:
    """All visible objects that show splats, their own or instances."""
    showing = objects_with_splats(context.evaluated_depsgraph_get())
    return [found for found in context.visible_objects if found in showing]


def export_each(
    targets: Sequence[bpy.types.Object], path: Path, axes: Axes = "SUPERSPLAT", chosen: Format = PLY,
) -> dict[Path, WorldGaussians]:
    """Write each object into a file of its own beside `path`, named after both; returns what was written.

    UserError, before anything is written, when one of them holds no splats.
    """
    empty = [target.name for target in targets if not len(world_gaussians([target]).gaussians)]
    if empty:
        holds = phrase("hold") if len(empty) > 1 else phrase("holds")
        raise UserError(f"{', '.join(empty)} {holds} no splats.", "Leave out what is empty.",
                        "export.empty", names=", ".join(empty), holds=holds)
    files = files_for(targets, path, chosen.suffix)
    return {file: export_splats([target], file, axes, chosen) for target, file in zip(targets, files, strict=True)}


def files_for(targets: Sequence[bpy.types.Object], path: Path, suffix: str) -> list[Path]:
    """A file for each object: `layout.ply` and an object "Chair" give `layout Chair.ply`. No two are the same."""
    stem = path.name[: -len(suffix)] if path.name.lower().endswith(suffix) else path.stem
    names: list[str] = []
    for target in targets:
        name = first = f"{stem} {FORBIDDEN.sub('_', target.name)}"
        number = 2
        while name.lower() in {taken.lower() for taken in names}:
            name, number = f"{first} {number}", number + 1
        names.append(name)
    return [path.with_name(name + suffix) for name in names]

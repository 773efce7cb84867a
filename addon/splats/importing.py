"""Splat files into the scene, at once or step by step."""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path

import bpy
import numpy as np

from ...engine.core.formats.registry import read_splats
from ...engine.core.formats.splat_file import SplatFile
from ...engine.core.formats.strange_values import spread_of
from ...engine.core.splats.axes import AxesOrAuto
from ..typed import current_context, point_cloud, splat_settings
from ..ui.steps import Steps, run_to_end
from .attributes import read_layer
from .extras import write_extras
from .object_labels import keep_names
from .packing import RADIUS, TURN, WIDTHS
from .source_paths import keep_path
from .splat_object import creation_steps, update_splat_object
from .subsets import read_one
from .survey import follow_offset, place_in_survey

WHOLE = "all:"
"""Begins checksums of all attributes."""

DERIVED = (RADIUS, TURN)


def import_splats(
    path: Path, axes: AxesOrAuto = "AUTO", link: bool = False, linear_scales: bool = False,
) -> tuple[bpy.types.Object, SplatFile]:
    """A new splat object of a splat file, at identity in the active collection; the inverse of export_splats. One of a survey lies where
    it belongs beside others: survey.py.

    Properties of a PLY that splats do not have become attributes of the points. With `link` the splats stay in the file.
    """
    stamp = stamp_of(path)
    found = read_splats(path, axes, linear_scales)
    return run_to_end(placing_steps(path, found, axes, stamp if link else "", linear_scales)), found


def placing_steps(
    path: Path, found: SplatFile, axes: AxesOrAuto, stamp: str, linear_scales: bool = False,
) -> Steps[bpy.types.Object]:
    """Make the object of a file that was read, in steps; closed early they leave nothing behind.

    With a stamp the object is linked to the file, whose splats in that state it shows.
    """
    made = yield from creation_steps(path.stem, found.gaussians, current_context().collection, found.antialiased)
    settings = splat_settings(made)
    settings.source, settings.axes, settings.linked, settings.linear_scales = str(path), axes, bool(stamp), linear_scales
    place_in_survey(made, found.offset, spread_of(found.gaussians.means).radius, current_context().scene)
    _remember_extras(made, found)
    if stamp:
        keep_path(made)
        yield from _checksum_of_new(made)
        settings.stamp = stamp
    return made


def _checksum_of_new(made: bpy.types.Object) -> Steps[None]:
    """Note the checksum of an object that was just made; closed early the object goes again."""
    try:
        splat_settings(made).checksum = yield from checksum_steps(point_cloud(made))
    except BaseException:
        with suppress(ReferenceError):  # another file was opened
            bpy.data.pointclouds.remove(point_cloud(made))  # the object goes with it
        raise


def stamp_of(path: Path) -> str:
    """Changes with the content of a file."""
    with suppress(OSError, ValueError):
        state, path = path.stat(), Path(os.path.normpath(path))
        return f"{state.st_mtime_ns} {state.st_size} {path}"
    return f"missing {path}"


def remember_state(target: bpy.types.Object, stamp: str) -> None:
    """Note which state of its file an object shows, and how its splats were read."""
    splat_settings(target).stamp, splat_settings(target).checksum = stamp, checksum_of(point_cloud(target))


def checksum_of(points: bpy.types.PointCloud) -> str:
    """Changes with every attribute of the points but those that follow from others, as what materials read, and what Edit Mode selects."""
    return run_to_end(checksum_steps(points))


def checksum_steps(points: bpy.types.PointCloud) -> Steps[str]:
    """As checksum_of, attribute by attribute."""
    total = 0
    for name in sorted(found.name for found in points.attributes if not found.name.startswith(".") and found.name not in DERIVED):
        attribute = points.attributes[name]
        total = zlib.crc32(f"{name} {attribute.data_type} {attribute.domain}".encode(), total)
        if (layer := read_one(attribute, len(points.points))) is not None:
            total = zlib.crc32(np.ascontiguousarray(layer.rows).data, total)
            yield 1.0
    return f"{WHOLE}{total:08x}"


def is_as_read(target: bpy.types.Object) -> bool:
    """Whether the points of an object are still those that were read from its file, as far as that was noted."""
    noted, points = splat_settings(target).checksum, point_cloud(target)
    if not noted or noted.startswith(WHOLE):
        return not noted or noted == checksum_of(points)
    total = 0  # noted by version 0.1, which knew places, shapes, colours and opacities
    for name in WIDTHS:
        if (rows := read_layer(points, name)) is not None:
            total = zlib.crc32(rows.data, total)
    return noted == f"{total:08x}"


def fill_splat_object(target: bpy.types.Object, found: SplatFile) -> None:
    """Replace an object's splats by those of a file; its transform, name and materials stay. Pushes no undo step."""
    update_splat_object(target, found.gaussians, found.antialiased)
    follow_offset(target, found.offset)
    _remember_extras(target, found)


def _remember_extras(target: bpy.types.Object, found: SplatFile) -> None:
    splat_settings(target).axes_guessed = found.axes_guessed
    if found.extra is not None:
        write_extras(target, found.extra)
        keep_names(target, Path(bpy.path.abspath(splat_settings(target).source)).parent)

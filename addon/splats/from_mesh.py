"""Splats that came into Blender as the points of a mesh: Blender's own PLY import and other add-ons keep their properties as attributes."""

from __future__ import annotations

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.formats.ply import splats_in_table
from ...engine.core.formats.splat_file import SplatFile
from ...engine.core.splats.axes import AxesOrAuto
from ..typed import mesh_data, untyped
from .extras import write_extras
from .splat_object import create_splat_object
from .subsets import STORED

MARKS = ("opacity", "scale_0", "scale_1", "rot_0", "rot_3")
"""Attributes that only splats have."""


def is_mesh_of_splats(item: bpy.types.ID | None) -> bool:
    """Whether a mesh's points carry the properties of splats."""
    return isinstance(item, bpy.types.Object) and item.type == "MESH" and all(name in mesh_data(item).attributes for name in MARKS)


def splats_of_mesh(source: bpy.types.Object, axes: AxesOrAuto = "BLENDER") -> tuple[bpy.types.Object, SplatFile]:
    """A new splat object of a mesh's points, in its place, in its collections; the mesh stays and is hidden.

    BLENDER leaves the splats where the points lie; other axes turn them. UserError for a mesh that lacks one of the properties.
    """
    if not is_mesh_of_splats(source):
        raise UserError(f"{source.name} holds no splats.", "Choose a mesh with attributes such as opacity, scale_0 and rot_0.",
                        "mesh.no_splats", source=source.name)
    found = splats_in_table(source.name, _table(mesh_data(source)), axes)
    if not len(found.gaussians):
        raise UserError(f"{source.name} holds no usable splats.", "Choose another mesh.", "mesh.no_usable", source=source.name)
    made = create_splat_object(f"{source.name} Splats", found.gaussians, next(iter(source.users_collection), None))
    made.matrix_world = source.matrix_world
    if found.extra is not None:
        write_extras(made, found.extra)
    source.hide_set(True)
    source.hide_render = True
    return made, found


def _table(mesh: bpy.types.Mesh) -> np.ndarray:
    """The points [N] as the vertices of a PLY: x, y, z and every attribute of one number."""
    places = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", places.ravel())
    single = [found for found in mesh.attributes if found.domain == "POINT" and found.data_type in STORED
              and STORED[found.data_type][1] == 1 and not found.name.startswith(".")]
    kinds = {found.name: np.dtype("u1" if found.data_type == "BOOLEAN" else STORED[found.data_type][2]) for found in single}
    table = np.empty(len(places), [*((name, np.float32) for name in "xyz"), *kinds.items()])
    for index, name in enumerate("xyz"):
        table[name] = places[:, index]
    for found in single:
        column = np.empty(len(places), STORED[found.data_type][2])
        untyped(found).data.foreach_get("value", column)
        table[found.name] = column
    return table

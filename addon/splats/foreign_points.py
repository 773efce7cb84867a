"""The points of objects that belong to another file, or override such ones: Blender saves nothing of them here.

Python cannot fill point clouds of other files. The object gets points of this file instead, and its own back before anything may see
that which does not expect it: saving, and undo, which frees points that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import bpy

from ...engine.core.formats.splat_file import SplatFile
from ...engine.core.splats.gaussians import drawable
from ..typed import point_cloud, splat_settings, untyped
from .attributes import new_points
from .extras import stored_extras
from .splat_object import carry_over, write_gaussians
from .subsets import write_stored


@dataclass(frozen=True)
class Loan:
    """Points of this file that an object of another one shows instead of its own."""

    target: bpy.types.Object
    own: bpy.types.PointCloud
    lent: bpy.types.PointCloud
    key: object  # what was read


_loans: list[Loan] = []


def is_foreign(target: bpy.types.Object) -> bool:
    """Whether an object, or its points, belong to another file or override what does."""
    data = point_cloud(target)
    return any(item.library is not None or item.override_library is not None for item in (target, data))


def fill_foreign(target: bpy.types.Object, found: SplatFile, key: object) -> None:
    """Let an object of another file show the splats that were read; `key` names what was read, so that objects share it."""
    earlier = next((loan for loan in _loans if loan.target == target), None)
    own = earlier.own if earlier is not None else _own_points(target)
    shared = next((loan.lent for loan in _loans if loan.own == own and loan.key == key), None)
    if shared is None:
        shared = new_points(own.name, len(drawable(found.gaussians)))
        carry_over(own, shared)
        _fill(target, shared, found)
    if earlier is not None:
        _loans.remove(earlier)
    _loans.append(Loan(target, own, shared, key))
    untyped(target).data = shared
    if earlier is not None and earlier.lent != shared and not earlier.lent.users:
        bpy.data.pointclouds.remove(earlier.lent)


def take_back(linked: Iterable[bpy.types.Object]) -> list[Loan]:
    """Give every object its own points again; what was lent stays in memory, without a user.

    Among the linked objects may be overrides that undo has brought back with what they were lent.
    """
    known, taken = [loan.target for loan in _loans], []
    undone = [Loan(target, _own_points(target), point_cloud(target), None) for target in linked
              if target.override_library is not None and target not in known and point_cloud(target).library is None]
    for loan in (*_loans, *undone):
        with suppress(ReferenceError):  # removed in the meantime
            untyped(loan.target).data = loan.own
            _forget_override(loan.target)
            taken.append(loan)
    _loans.clear()
    return taken


def lend_again(taken: list[Loan]) -> None:
    """Show what was lent before take_back()."""
    for loan in taken:
        untyped(loan.target).data = loan.lent
    _loans.extend(taken)


def end_loans(linked: Iterable[bpy.types.Object]) -> None:
    """Give every object its own points again and remove what was lent; the next look at the files finds that they show nothing."""
    taken = take_back(linked)
    for loan in taken:
        splat_settings(loan.target).stamp = splat_settings(loan.target).checksum = ""
    for lent in {loan.lent for loan in taken if not loan.lent.users}:  # a copy of the object may use it
        bpy.data.pointclouds.remove(lent)


def keep_loan(target: bpy.types.Object) -> None:
    """An override keeps what it was lent: somebody edited it."""
    _loans[:] = [loan for loan in _loans if loan.target != target]


def forget_loans() -> None:
    """Another file was opened: nothing of them is left."""
    _loans.clear()


def _own_points(target: bpy.types.Object) -> bpy.types.PointCloud:
    """What an object shows in the file that it comes from."""
    override = target.override_library
    source = target if override is None or override.reference is None else untyped(override.reference)
    return next((loan.own for loan in _loans if loan.target == source), point_cloud(source))


def _fill(target: bpy.types.Object, points: bpy.types.PointCloud, found: SplatFile) -> None:
    write_gaussians(points, found.gaussians, splat_settings(target).display)
    if found.extra is not None:
        write_stored(points, stored_extras(found.extra))


def _forget_override(target: bpy.types.Object) -> None:
    """Blender notes that an override shows other points, and would save that."""
    override = target.override_library
    if override is not None:
        for known in [found for found in override.properties if found.rna_path == "data"]:
            override.properties.remove(known)

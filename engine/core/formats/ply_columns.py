"""Which columns of a PLY's vertices make a splat, and what to do where a trainer left some out or wrote others instead."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..splats.gaussians import Gaussians, rgb_to_sh0
from ..splats.surface_normals import NORMAL
from .ply_container import POSITION, PlyHeader, PlyPart, columns
from .quantization import opacity

REST_COUNTS = (0, 9, 24, 45, 72)
MOST_HARMONICS = 15
SCALE = ("scale_0", "scale_1", "scale_2")
ROTATION, BASE = ("rot_0", "rot_1", "rot_2", "rot_3"), ("f_dc_0", "f_dc_1", "f_dc_2")
REQUIRED = (*POSITION, *BASE, "opacity", *SCALE, *ROTATION)
FILTER = "filter_3D"
"""Mip-Splatting's smoothing filter: the least size that the training views could see, one for each splat."""

KNOWN = {*REQUIRED, *NORMAL, FILTER}
COLOR_NAMES = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
FLATNESS = np.float32(np.log(1e-3))
"""Thickness of the flat splats of 2D Gaussian Splatting against their smaller width: thin, and still no needle for a rasterizer."""


@dataclass(frozen=True)
class SplatColumns:
    """Which columns of one file make its splats."""

    rest: tuple[str, ...]  # f_rest in order
    colors: tuple[str, ...]  # red, green, blue where there is no f_dc; else empty
    flat: bool  # without scale_2
    filtered: bool  # with Mip-Splatting's filter
    used: frozenset[str]  # all that are no extra properties


def own_names(part: PlyPart) -> PlyPart:
    """The same rows with the usual letters: `X` is `x` where there is no other."""
    usual = {name.lower(): name for name in KNOWN}
    names = [usual.get(name.lower(), name) if name not in KNOWN else name for name in part.names]
    if len(set(names)) < len(names) or tuple(names) == part.names:
        return part
    dtype = np.dtype([(name, part.dtype[index]) for index, name in enumerate(names)])
    return replace(part, dtype=dtype)


def splat_columns(path: Path, header: PlyHeader, part: PlyPart) -> SplatColumns:
    """The columns that hold the splats of a file; UserError in one sentence when they are none, a mesh or points."""
    names = part.names
    colors = next((found for found in COLOR_NAMES if {*found} <= {*names}), ()) if not {*BASE} & {*names} else ()
    flat = "scale_2" not in names and {*SCALE[:2], *ROTATION} <= {*names}
    given = {"scale_2"} if flat else set()
    missing = [name for name in REQUIRED if name not in names and name not in given and not (colors and name in BASE)]
    if missing:
        raise _no_splats(path, header, part, missing)
    rest, filtered = tuple(rest_names(path, names)), FILTER in names
    used = {*REQUIRED, *NORMAL, *rest, *colors, *([FILTER] if filtered else [])}
    return SplatColumns(rest, colors, flat, filtered, frozenset(used))


def rest_names(path: Path, names: tuple[str, ...]) -> list[str]:
    """The f_rest properties in order; UserError when there is a hole or an impossible number of them."""
    numbers = sorted(int(match[1]) for name in names if (match := re.fullmatch(r"f_rest_(\d{1,6})", name)))
    if len(numbers) not in REST_COUNTS or numbers != list(range(len(numbers))):
        raise UserError(f"{path.name} holds {len(numbers)} view-dependent colour properties (f_rest) that form no whole SH degree.",
                        "Export it again with SH degree 0, 1, 2 or 3.", "ply.degree", file=path.name, count=len(numbers))
    return [f"f_rest_{number}" for number in numbers]


def from_columns(table: np.ndarray, found: SplatColumns) -> tuple[Gaussians, tuple[str, ...]]:
    """The splats of a table [N], and sentences about what was not as usual."""
    count, notes = len(table), []
    shN = columns(table, list(found.rest)).reshape(count, 3, len(found.rest) // 3).transpose(0, 2, 1)[:, :MOST_HARMONICS]
    if len(found.rest) > 3 * MOST_HARMONICS:
        notes.append("The harmonics of degree 4 were left out.")
    scales = _flat_scales(table) if found.flat else columns(table, SCALE)
    if found.flat:
        notes.append("Its splats are flat, as 2D Gaussian Splatting trains them: each got a thousandth of its width as thickness.")
    if found.colors:
        notes.append("Its colours stand as red, green and blue: they look the same from all sides.")
    parts = {
        "means": columns(table, POSITION), "quats": columns(table, ROTATION), "scales": scales,
        "opacities": columns(table, ("opacity",))[:, 0], "shN": shN,
        "sh0": (rgb_to_sh0(_shares(table, found.colors)) if found.colors else columns(table, BASE))[:, None],
    }
    gaussians = Gaussians(**{name: np.array(part, np.float32, order="C") for name, part in parts.items()})
    if found.filtered:
        gaussians = _with_filter(gaussians, table[FILTER].astype(np.float64))
        notes.append("Mip-Splatting's 3D filter was taken into the sizes and opacities.")
    return gaussians, tuple(notes)


def extra_columns(table: np.ndarray, found: SplatColumns) -> np.ndarray | None:
    """A copy of the properties that splats do not have, in native byte order; None when there are none.

    Normals are among them where they are not all zero, as trainers write them.
    """
    known = {*found.used} - {*(NORMAL if _has_normals(table) else ())}
    names = [name for name in table.dtype.names or () if name not in known]
    if not names:
        return None
    extra = np.empty(len(table), [(name, table.dtype[name].newbyteorder("=")) for name in names])
    for name in names:
        extra[name] = table[name]
    return extra


def _has_normals(table: np.ndarray) -> bool:
    """Whether the normals are more than the zeros that trainers write."""
    return {*NORMAL} <= {*(table.dtype.names or ())} and any(table[name].any() for name in NORMAL)


def to_columns(gaussians: Gaussians, extra: np.ndarray | None = None) -> np.ndarray:
    """The table [N] that other programs read; extra properties [N] stand behind the splats' own, in their own types, and normals in the
    place that they always have."""
    count, rest = len(gaussians), 3 * gaussians.shN.shape[1]
    names = (*POSITION, *NORMAL, *BASE, *(f"f_rest_{index}" for index in range(rest)), "opacity", *SCALE, *ROTATION)
    raw = np.zeros((count, len(names)), "<f4")
    raw[:, 0:3] = gaussians.means
    raw[:, 6:9] = gaussians.sh0[:, 0]
    raw[:, 9 : 9 + rest].reshape(count, 3, rest // 3)[:] = gaussians.shN.transpose(0, 2, 1)
    raw[:, -8] = gaussians.opacities
    raw[:, -7:-4] = gaussians.scales
    raw[:, -4:] = gaussians.quats
    own = raw.view([(name, "<f4") for name in names]).reshape(count)
    return own if extra is None else _beside(own, extra)


def with_doubles(table: np.ndarray, offset: tuple[float, float, float]) -> np.ndarray:
    """The same table [N] with its places in double precision and an offset added."""
    wide = np.empty(len(table), [(name, "<f8" if name in POSITION else table.dtype[name]) for name in table.dtype.names or ()])
    for name in wide.dtype.names or ():
        wide[name] = table[name]
    for name, value in zip(POSITION, offset, strict=True):
        wide[name] += value
    return wide


def _beside(own: np.ndarray, extra: np.ndarray) -> np.ndarray:
    names = [name for name in extra.dtype.names or () if name not in (own.dtype.names or ())]
    wide = np.empty(len(own), own.dtype.descr + [(name, extra.dtype[name].newbyteorder("<")) for name in names])
    normals = [name for name in NORMAL if name in (extra.dtype.names or ())]
    for source, chosen in ((own, own.dtype.names or ()), (extra, [*normals, *names])):
        for name in chosen:
            wide[name] = source[name]
    return wide


def _no_splats(path: Path, header: PlyHeader, part: PlyPart, missing: list[str]) -> UserError:
    if any(name.startswith(("f_dc_", "scale_", "rot_")) for name in part.names) or not {*POSITION} <= {*part.names}:
        return UserError(f"{path.name} holds no splats: it lacks {', '.join(missing)}.",
                         "Choose a PLY that a splat trainer or SuperSplat wrote.", "ply.no_splats", file=path.name,
                         missing=", ".join(missing))
    if header.faces:
        return UserError(f"{path.name} is a mesh, not splats: it has faces, and lacks {', '.join(missing)}.",
                         "Blender imports it with File > Import > Stanford PLY.", "ply.mesh", file=path.name, missing=", ".join(missing))
    return UserError(f"{path.name} holds points, not splats: it lacks {', '.join(missing)}.",
                     "Blender imports it with File > Import > Stanford PLY; as points3d.ply in a dataset a training starts from it.",
                     "ply.points", file=path.name, missing=", ".join(missing))


def _flat_scales(table: np.ndarray) -> np.ndarray:
    widths = columns(table, SCALE[:2])
    return np.concatenate([widths, widths.min(axis=1, keepdims=True) + FLATNESS], axis=1)


def _shares(table: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Colours in 0 ... 1 [N, 3], float32: whole numbers against the largest of their type, floats as they are, or in 0 ... 255."""
    rows = np.stack([table[name] for name in names], axis=1)
    if rows.dtype.kind in "iu":
        return (rows / np.iinfo(rows.dtype).max).astype(np.float32)
    return (rows / (255 if np.nanmax(rows, initial=0) > 1 else 1)).astype(np.float32)


def _with_filter(gaussians: Gaussians, filter_size: np.ndarray) -> Gaussians:
    """Scales and opacities as Mip-Splatting renders them (Yu et al. 2024): s' = √(s² + f²), o' = o·√(Π s² / Π s'²)."""
    logs = gaussians.scales.astype(np.float64)
    with np.errstate(all="ignore"):  # rows that are no numbers stay none, and are dropped
        wide = np.logaddexp(2 * logs, 2 * np.log(np.abs(filter_size))[:, None]) / 2
        filtered = opacity(gaussians.opacities.astype(np.float64)) * np.exp((logs - wide).sum(axis=1))
        logits = np.log(filtered) - np.log1p(-filtered)
    return replace(gaussians, scales=wide.astype(np.float32), opacities=logits.astype(np.float32))

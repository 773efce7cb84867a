"""PlayCanvas' compressed PLY: splats in chunks of 256, in 16 bytes each and one byte for every harmonic.

Every chunk names the bounds of its places, log scales and colours; a splat holds 11, 10 and 11 bits between these bounds for
place and scale, 8 bits for each colour and the opacity, and the three smaller components of its quaternion in 10 bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import UserError
from ..splats.axes import Axes, AxesOrAuto
from ..splats.gaussians import Gaussians, rgb_to_sh0, sh0_to_rgb
from ..splats.offset import NO_OFFSET, Offset, turned_offset
from .ply import read_comments, written_comments
from .ply_columns import MOST_HARMONICS, rest_names
from .ply_container import AGAIN, PlyHeader, read_part, read_ply_header, write_parts
from .quantization import from_smallest_three, logits_of_bytes, opacity, pack_10_10_10_2, smallest_three, unpack_10_10_10_2, whole
from .splat_file import SplatFile, StoredSplats, from_blender, to_blender
from .strange_values import far_lost, reach, size_lost, spread_of, without_far

CHUNK = 256
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
BOUNDS = (("x", "y", "z"), ("scale_x", "scale_y", "scale_z"), ("r", "g", "b"))
LARGEST_LOG_SCALE = 20.0
BITS = np.array([11, 10, 11])
SHIFTS = np.array([21, 11, 0])
HALF_WIDTH = np.float32(2**0.5)
"""The smaller components of a unit quaternion lie within ± 1/√2: a range this wide."""

LARGEST_HARMONIC = 4.0
OUTER = 8.0
"""Times the spread beyond which splats would widen the cells of the curve and the bounds of others' chunks."""


def is_compressed_ply(path: Path) -> bool:
    """Whether a PLY is a compressed one, by its header; UserError when it cannot be read."""
    part = read_ply_header(path).part("vertex")
    return part is not None and "packed_position" in part.names


def read_compressed_ply(path: Path, axes: AxesOrAuto = "AUTO") -> SplatFile:
    """Read a compressed PLY into Blender's world; AUTO as in read_ply. UserError in one sentence when it is malformed."""
    path = Path(path)
    header = read_ply_header(path)
    table, chunks = _vertices_and_chunks(path, header)
    bounds = [_bounds(chunks, names) for names in BOUNDS]
    positions, rotations, scales, colors = (table[name].astype(np.uint32) for name in PACKED)
    rgba = np.stack([colors >> shift & 255 for shift in (24, 16, 8, 0)], axis=1)
    with np.errstate(all="ignore"):  # bounds that are no numbers give rows that are none, which are dropped
        gaussians = Gaussians(
            means=_between(bounds[0], _unpack(positions)), scales=_between(bounds[1], _unpack(scales)), quats=_quats(rotations),
            opacities=logits_of_bytes(rgba[:, 3]), shN=_harmonics(path, header),
            sh0=rgb_to_sh0(_between(bounds[2], rgba[:, :3] / np.float32(255)))[:, None],
        )
    marks, sh = read_comments(header.comments), header.part("sh")
    notes = ("The harmonics of degree 4 were left out.",) if sh is not None and len(sh.names) > 3 * MOST_HARMONICS else ()
    stored = StoredSplats(gaussians, marks.axes, marks.antialiased, None, notes, header.comments, up=marks.up, offset=marks.offset)
    return to_blender(stored, axes)


def write_compressed_ply(path: Path, gaussians: Gaussians, axes: Axes = "SUPERSPLAT", antialiased: bool = False,
                         offset: Offset = NO_OFFSET) -> None:
    """Write a compressed PLY in one piece. Rows are ordered so that a chunk's bounds are tight.

    The few splats that lie far beyond all others are left out: a chunk that holds one has no precision for its 255 others.
    """
    gaussians = without_far(from_blender(gaussians, axes))
    gaussians = gaussians.take(chunk_order(gaussians.means))
    values = (gaussians.means, gaussians.scales.clip(-LARGEST_LOG_SCALE, LARGEST_LOG_SCALE), sh0_to_rgb(gaussians.sh0[:, 0]))
    packed = [_chunked(rows) for rows in values]
    chunks = np.concatenate([np.concatenate([low, high], axis=1) for low, high, _ in packed], axis=1).astype("<f4")
    names = [f"{end}_{name}" for triple in BOUNDS for end in ("min", "max") for name in triple]
    table = np.empty(len(gaussians), [(name, "<u4") for name in PACKED])
    table["packed_position"], table["packed_scale"] = _pack(packed[0][2]), _pack(packed[1][2])
    table["packed_rotation"] = _packed_quats(gaussians.quats)
    red, green, blue = whole(packed[2][2] * 255, 255).T
    table["packed_color"] = red << 24 | green << 16 | blue << 8 | whole(opacity(gaussians.opacities) * 255, 255)
    parts = {"chunk": chunks.view([(name, "<f4") for name in names]).reshape(-1), "vertex": table}
    comments = written_comments(axes, antialiased, turned_offset(offset, axes, into_blender=False))
    write_parts(Path(path), parts | _harmonics_part(gaussians.shN), comments)


def lost_in_compressed_ply(gaussians: Gaussians) -> tuple[str, ...]:
    """Sentences about what write_compressed_ply leaves out or changes."""
    label = "Compressed PLY"
    return (*far_lost(label, gaussians), *size_lost(label, gaussians.scales, -LARGEST_LOG_SCALE, LARGEST_LOG_SCALE))


def chunk_order(means: np.ndarray) -> np.ndarray:
    """Indices [N] that order places [N, 3] into tight chunks: the mass along a Morton curve, then what lies around it, outwards."""
    spread = spread_of(means)
    if len(means) <= CHUNK or reach(means, spread.middle) <= OUTER * spread.radius:
        return morton_order(means)
    distance = np.abs(means - spread.middle).max(axis=1)
    outside = distance > OUTER * spread.radius
    mass, around = np.flatnonzero(~outside), np.flatnonzero(outside)
    return np.concatenate([mass[morton_order(means[mass])], around[np.argsort(distance[around], kind="stable")]])


def morton_order(means: np.ndarray) -> np.ndarray:
    """Indices [N] that order places [N, 3] along a Z-shaped curve (Morton 1966) of 21 bits an axis."""
    low = means.min(axis=0, initial=np.inf).astype(np.float64)
    span = max(float((means.max(axis=0, initial=-np.inf) - low).max(initial=0)), 1e-30)
    cells = ((means - low) / span * (2**21 - 1)).astype(np.uint64)
    # Spreads the bits of a number three apart, halving the group that moves together at each step.
    for shift, mask in ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3),
                        (2, 0x1249249249249249)):
        cells = (cells | cells << np.uint64(shift)) & np.uint64(mask)
    return np.argsort(cells[:, 0] | cells[:, 1] << np.uint64(1) | cells[:, 2] << np.uint64(2), kind="stable")


def _vertices_and_chunks(path: Path, header: PlyHeader) -> tuple[np.ndarray, np.ndarray]:
    """The packed rows [N] and the chunk of each [N]; UserError when one of them is missing."""
    vertex, chunk = header.part("vertex"), header.part("chunk")
    names = [f"{end}_{name}" for triple in BOUNDS[:2] for end in ("min", "max") for name in triple]
    if vertex is None or chunk is None or not {*PACKED} <= {*vertex.names} or not {*names} <= {*chunk.names} \
            or any(vertex.dtype[name].newbyteorder("=") != np.uint32 for name in PACKED):
        raise UserError(f"{path.name} is no compressed PLY: its chunks or packed properties are missing.",
                        "Export it again with SuperSplat, or as a plain PLY.", "compressed_ply.missing", file=path.name)
    if chunk.count * CHUNK < vertex.count:
        raise UserError(f"{path.name} names {chunk.count} chunks, too few for its {vertex.count} splats.", AGAIN, "compressed_ply.chunks",
                        file=path.name, count=chunk.count, total=vertex.count)
    rows = read_part(path, header, chunk)
    return read_part(path, header, vertex), rows[np.arange(vertex.count) // CHUNK]


def _bounds(chunks: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest values [N, 3]; early files have none for colours, which are then in 0 ... 1."""
    if not {f"{end}_{name}" for name in names for end in ("min", "max")} <= {*(chunks.dtype.names or ())}:
        return np.zeros((len(chunks), 3), np.float32), np.ones((len(chunks), 3), np.float32)
    low, high = (np.stack([chunks[f"{end}_{name}"] for name in names], axis=1).astype(np.float32) for end in ("min", "max"))
    return low, high


def _between(bounds: tuple[np.ndarray, np.ndarray], share: np.ndarray) -> np.ndarray:
    low, high = bounds
    return (low * (1 - share) + high * share).astype(np.float32)


def _chunked(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least and largest values of each chunk [C, 3], and every row's share between them [N, 3]."""
    starts = np.arange(0, len(rows), CHUNK)
    if not len(starts):
        return rows, rows, rows
    low, high = np.minimum.reduceat(rows, starts), np.maximum.reduceat(rows, starts)
    chunk = np.arange(len(rows)) // CHUNK
    span = np.maximum(high - low, np.finfo(np.float32).tiny)
    return low, high, (rows - low[chunk]) / span[chunk]


def _pack(shares: np.ndarray) -> np.ndarray:
    fields = whole(shares * (2**BITS - 1), 2**11)
    return fields[:, 0] << 21 | fields[:, 1] << 11 | fields[:, 2]


def _unpack(packed: np.ndarray) -> np.ndarray:
    return ((packed[:, None] >> SHIFTS) & (2**BITS - 1)).astype(np.float32) / (2**BITS - 1).astype(np.float32)


def _packed_quats(quats: np.ndarray) -> np.ndarray:
    largest, others = smallest_three(quats)
    return pack_10_10_10_2(largest, whole((others / HALF_WIDTH + 0.5) * 1023, 1023))


def _quats(packed: np.ndarray) -> np.ndarray:
    largest, fields = unpack_10_10_10_2(packed)
    return from_smallest_three(largest, (fields.astype(np.float32) / 1023 - 0.5) * HALF_WIDTH)


def _harmonics(path: Path, header: PlyHeader) -> np.ndarray:
    """shN [N, K-1, 3]; a byte stands for the middle of its step, the first and last for the ends of the range."""
    vertex, part = header.part("vertex"), header.part("sh")
    count = vertex.count if vertex else 0
    if part is None:
        return np.zeros((count, 0, 3), np.float32)
    names = rest_names(path, part.names)
    if part.count != count or any(part.dtype[name] != np.uint8 for name in names):
        raise UserError(f"{path.name} holds harmonics for {part.count} of its {count} splats, or not in bytes.", AGAIN,
                        "compressed_ply.harmonics", file=path.name, count=part.count, total=count)
    table = read_part(path, header, part)
    values = ((np.arange(256) + 0.5) / 256 - 0.5) * 2 * LARGEST_HARMONIC
    values[0], values[-1] = -LARGEST_HARMONIC, LARGEST_HARMONIC
    rows = np.stack([table[name] for name in names], axis=1) if names else np.zeros((count, 0), np.uint8)
    return np.ascontiguousarray(values.astype(np.float32)[rows].reshape(count, 3, -1).transpose(0, 2, 1)[:, :MOST_HARMONICS])


def _harmonics_part(shN: np.ndarray) -> dict[str, np.ndarray]:
    count, rest = len(shN), 3 * shN.shape[1]
    if not rest:
        return {}
    rows = np.floor((shN / (2 * LARGEST_HARMONIC) + 0.5) * 256).clip(0, 255).astype(np.uint8)
    rows = np.ascontiguousarray(rows.transpose(0, 2, 1)).reshape(count, rest)
    return {"sh": rows.view([(f"f_rest_{index}", "u1") for index in range(rest)]).reshape(count)}

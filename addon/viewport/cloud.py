"""The Gaussians of a scene as textures of the graphics card."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ..splats.attributes import read_layer
from ..splats.packing import BASE, HARMONIC, POSITION, ROTATION, SCALE
from ..typed import untyped
from .shaders import WIDTH, copy_shader

MOST_SPLATS = 16_000_000
"""Rows are counted in float32, which is exact up to 2^24."""

LOADED_AT_ONCE = 100_000
"""So many splats take no longer than a redraw."""

SLICE = 8 * WIDTH
"""Splats that are packed and uploaded in a step: whole lines of either texture."""


SHAPE = ((POSITION, 3), (BASE, 4), (ROTATION, 4), (SCALE, 3))
"""Attributes without harmonics, and how many numbers a splat has of each."""


@dataclass(frozen=True)
class Source:
    """An object's splats. The key changes with whatever changes them."""

    key: Hashable
    target: bpy.types.Object  # evaluated


@dataclass(frozen=True)
class Block:
    """Where the splats of a source lie in the textures."""

    first_row: int
    means: np.ndarray  # [N, 3] float32, for sorting


@dataclass(frozen=True, eq=False)
class Cloud:
    """All Gaussians that can be drawn together; each is equal to itself alone."""

    keys: tuple[Hashable, ...]
    blocks: tuple[Block, ...]  # one for each source
    sh_degree: int
    shapes: gpu.types.GPUTexture  # three texels a splat: mean and opacity, quaternion w x y z, scale
    harmonics: gpu.types.GPUTexture  # (degree + 1)² texels a splat


@dataclass(frozen=True)
class Shown:
    """The points of a source that are drawn: every `step`-th."""

    geometry: Any  # Blender's GeometrySet, which owns the points
    step: int

    @property
    def points(self) -> bpy.types.PointCloud:
        return self.geometry.pointcloud

    @property
    def count(self) -> int:
        return len(range(0, _count(self.geometry), self.step))

    @property
    def sh_degree(self) -> int:
        names = self.points.attributes if self.count else ()
        return next((degree for degree in (3, 2, 1) if HARMONIC.format((degree + 1) ** 2 - 2) in names), 0)

    def layer(self, name: str, width: int) -> np.ndarray:
        """An attribute's rows [count, width]; zeros where it is missing or of another type."""
        rows = read_layer(self.points, name) if self.count else None
        return np.zeros((self.count, width), np.float32) if rows is None or rows.shape[1] != width else rows[:: self.step]


class CloudLoading:
    """Reads the objects' attributes and brings them to the graphics card in steps, so that Blender answers meanwhile.

    Its functions need a graphics context. `partial` is what can be drawn of it meanwhile: splats that are not there yet are invisible.
    It is there once it shows everything that was `shown` before; None also where something that was shown has changed, so that no
    preview makes way for a part of the next one.
    """

    def __init__(self, sources: Sequence[Source], shown: Sequence[Hashable] = ()):
        self.keys = tuple(source.key for source in sources)
        self.partial: Cloud | None = None
        parts = [_shown(source, MOST_SPLATS // len(sources)) for source in sources]
        self._total = sum(part.count for part in parts)
        self._steps = self._loading_steps(parts, shown)

    def advance(self, seconds: float) -> Cloud | None:
        """Go on for about so many seconds, with few splats to the end; the cloud when it is whole."""
        end = time.perf_counter() + seconds if self._total > LOADED_AT_ONCE else math.inf
        while True:
            try:
                next(self._steps)
            except StopIteration as done:
                return done.value
            if time.perf_counter() > end:
                return None

    def _loading_steps(self, parts: Sequence[Shown], shown: Sequence[Hashable]) -> Generator[None, None, Cloud]:
        degree = _common_degree(parts, self._total)
        read: list[SourceRows] = []
        for part in parts:
            read.append((yield from _reading_steps(part, degree)))
        firsts = np.cumsum([0, *(len(rows) for rows in read)]).tolist()
        shapes = FilledTexture("RGBA32F", 3, self._total)
        shapes.texture.clear(format="FLOAT", value=(0.0, 0.0, 0.0, 0.0))  # splats without opacity
        yield
        harmonics = FilledTexture("RGBA16F", (degree + 1) ** 2, self._total)
        yield
        blocks = tuple(Block(first, rows.placed) for rows, first in zip(read, firsts, strict=False))
        known = [range(first, last) for key, first, last in zip(self.keys, firsts, firsts[1:], strict=False) if key in shown]
        slices = sorted(range(0, self._total, SLICE), key=lambda start: not _overlaps(start, known))
        due = sum(_overlaps(start, known) for start in slices) or 1
        for done, start in enumerate(slices, start=1):
            stop = min(start + SLICE, self._total)
            chosen = [(rows, slice(max(0, start - first), stop - first)) for rows, first in zip(read, firsts, strict=False)
                      if first < stop and first + len(rows) > start]
            harmonics.fill(start, np.concatenate([rows.harmonics(part, (degree + 1) ** 2) for rows, part in chosen]))
            yield
            shapes.fill(start, np.concatenate([rows.shapes(part) for rows, part in chosen]))
            if due <= done < len(slices) and set(shown) <= set(self.keys):
                due = 2 * done  # all drawings of parts together cost as much as one of the whole
                self.partial = Cloud(self.keys, blocks, degree, shapes.texture, harmonics.texture)
            yield
        return Cloud(self.keys, blocks, degree, shapes.texture, harmonics.texture)


def _overlaps(start: int, known: Sequence[range]) -> bool:
    """Whether the slice of splats from `start` on holds some of the known rows."""
    return any(rows.start < start + SLICE and rows.stop > start for rows in known)


@dataclass(frozen=True)
class SourceRows:
    """What was read of a source, not packed yet."""

    means: np.ndarray  # [N, 3] float32
    base: np.ndarray  # [N, 4]
    quats: np.ndarray  # [N, 4]
    scales: np.ndarray  # [N, 3]
    layers: tuple[np.ndarray, ...]  # [N, 3] each, harmonics from degree 1 on

    def __len__(self) -> int:
        return len(self.means)

    @property
    def placed(self) -> np.ndarray:
        """The means, 0 where modifiers have written no numbers."""
        sound = np.isfinite(self.means).all(axis=1)
        return self.means if sound.all() else np.where(sound[:, None], self.means, np.float32(0))

    def shapes(self, part: slice) -> np.ndarray:
        """Three texels a splat [n, 3, 4]."""
        packed = np.zeros((len(self.means[part]), 3, 4), np.float32)
        packed[:, 0, :3], packed[:, 0, 3] = self.means[part], self.base[part, 3]
        packed[:, 1], packed[:, 2, :3] = self.quats[part], self.scales[part]
        packed[~np.isfinite(packed).all(axis=(1, 2))] = 0.0  # invisible; modifiers may write anything
        return packed

    def harmonics(self, part: slice, count: int) -> np.ndarray:
        """`count` texels a splat [n, count, 4]."""
        packed = np.zeros((len(self.means[part]), count, 4), np.float32)
        packed[:, 0, :3] = self.base[part, :3]
        for index, layer in enumerate(self.layers[: count - 1], start=1):
            packed[:, index, :3] = layer[part]
        return packed


def _reading_steps(part: Shown, degree: int) -> Generator[None, None, SourceRows]:
    """Read one attribute a step."""
    found = []
    names = [HARMONIC.format(index) for index in range((min(part.sh_degree, degree) + 1) ** 2 - 1)]
    for name, width in (*SHAPE, *((name, 3) for name in names)):
        found.append(part.layer(name, width))
        yield
    means, base, quats, scales, *layers = found
    return SourceRows(means, base, quats, scales, tuple(layers))


def read_rows(source: Source) -> SourceRows:
    """What a source shows, without harmonics."""
    part = _shown(source, MOST_SPLATS)
    means, base, quats, scales = (part.layer(name, width) for name, width in SHAPE)
    return SourceRows(means, base, quats, scales, ())


class FilledTexture:
    """A texture of `texels` a splat that is filled by drawing smaller ones into it: at once it would hold Blender up."""

    def __init__(self, kind: str, texels: int, splats: int):
        self._texels = texels
        self.size = (WIDTH, max(1, -(-splats * texels // WIDTH)))
        self.texture = untyped(gpu.types).GPUTexture(self.size, format=kind)
        self._framebuffer = untyped(gpu.types).GPUFrameBuffer(color_slots=self.texture)
        self._shader = copy_shader()
        self._quad = batch_for_shader(self._shader, "TRI_STRIP", {"corner": [(-1, -1), (1, -1), (-1, 1), (1, 1)]})

    def fill(self, first_splat: int, numbers: np.ndarray) -> None:
        """Write texels [n, texels, 4] of the splats from `first_splat` on, which begins a line."""
        piece = texture(numbers, "RGBA32F")
        first_line = first_splat * self._texels // WIDTH
        with self._framebuffer.bind():
            gpu.state.viewport_set(0, first_line, WIDTH, min(piece.height, self.size[1] - first_line))
            gpu.state.blend_set("NONE")
            gpu.state.depth_test_set("NONE")
            self._shader.bind()
            untyped(self._shader).uniform_int("first_line", [first_line])
            self._shader.uniform_sampler("piece", piece)
            self._quad.draw(self._shader)


def texture(numbers: np.ndarray, kind: str) -> gpu.types.GPUTexture:
    """A texture of WIDTH texels a line from float32 numbers [..., channels], filled up with zeros."""
    line = WIDTH * numbers.shape[-1]
    height = max(1, -(-numbers.size // line))
    flat = np.ascontiguousarray(numbers).ravel()
    if len(flat) != height * line:
        flat = np.concatenate([flat, np.zeros(height * line - len(flat), np.float32)])
    return untyped(gpu.types).GPUTexture((WIDTH, height), format=kind, data=untyped(gpu.types).Buffer("FLOAT", len(flat), flat))


def _shown(source: Source, most: int) -> Shown:
    geometry = source.target.evaluated_geometry()
    return Shown(geometry, max(1, -(-_count(geometry) // max(1, most))))


def _count(geometry: Any) -> int:
    """Modifiers may leave no points at all."""
    return 0 if geometry.pointcloud is None else len(geometry.pointcloud.points)


def _common_degree(shown: Sequence[Shown], total: int) -> int:
    """The highest degree of harmonics among them, as far as the largest texture reaches."""
    degree = max(part.sh_degree for part in shown)
    room = WIDTH * gpu.capabilities.max_texture_size_get()
    while degree and (degree + 1) ** 2 * total > room:
        degree -= 1
    return degree

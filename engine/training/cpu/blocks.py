"""How the kernels store Gaussians: in blocks of sixteen, component by component, for vector instructions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .library import RowsStruct, floats, load

BLOCK = 16
COLUMNS = {"means": slice(0, 3), "quats": slice(3, 7), "scales": slice(7, 10), "opacities": slice(10, 11), "sh0": slice(11, 14),
           "shN": slice(14, None)}
"""Components of each parameter, in the order of projection.h."""

NAMES = tuple(COLUMNS)
ALIGNMENT = 64  # bytes: a cache line, and the widest vector
INVISIBLE = -100.0  # logit of the opacity of rows that only fill a block


SPARE = 8
"""Memory that has to grow grows by a part of so many more than is asked for."""

PART_BLOCKS = 1 << 10
"""Blocks that are copied at a time where a whole copy is not wanted: some megabytes."""


@dataclass(frozen=True)
class Blocks:
    """Arrays of one value for each component of each Gaussian: the parameters, their gradients, or a moment of Adam."""

    values: np.ndarray  # [blocks, components, BLOCK] float32, contiguous
    count: int
    room: np.ndarray | None = None  # more blocks, which `values` are the first of

    @property
    def memory(self) -> np.ndarray:
        """All blocks that there is room for."""
        return self.values if self.room is None else self.room

    @property
    def rest(self) -> int:
        """Number of SH coefficients above degree 0."""
        return (self.values.shape[1] - COLUMNS["shN"].start) // 3

    @staticmethod
    def zeros(count: int, rest: int) -> Blocks:
        """All zero, with room for `count` Gaussians of `rest` harmonics beyond the constant one."""
        return Blocks(aligned_zeros(-(-count // BLOCK), COLUMNS["shN"].start + 3 * rest), count)

    @staticmethod
    def pack(arrays: dict[str, np.ndarray]) -> Blocks:
        """From arrays named and shaped as in Gaussians; ValueError for other shapes or types."""
        count, rest = len(arrays["means"]), arrays["shN"].shape[1]
        made = Blocks.zeros(count, rest)
        for name, shape in parameter_shapes(count, rest).items():
            if arrays[name].shape != shape or arrays[name].dtype != np.float32:
                raise ValueError(f"{name}: expected float32 {shape}, got {arrays[name].dtype} {arrays[name].shape}")
            made._scatter(None, arrays[name], COLUMNS[name])
        return made

    def zeros_like(self) -> Blocks:
        """All zero, with room for as much."""
        return Blocks.zeros(self.count, self.rest)

    def copy(self) -> Blocks:
        """The same once more, without room for more."""
        return Blocks(self.values.copy(), self.count)

    def unpack(self) -> dict[str, np.ndarray]:
        """Copies, named and shaped as in Gaussians."""
        return {name: self.read(name) for name in NAMES}

    def read(self, name: str, rows: np.ndarray | None = None) -> np.ndarray:
        """A copy of one parameter, shaped as in Gaussians, of all of them or of some rows."""
        found = self._gather(rows, COLUMNS[name])
        return found.reshape(parameter_shapes(len(found), self.rest)[name])

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """All components [M, components] of some Gaussians."""
        return self._gather(rows, slice(None))

    def write(self, rows: np.ndarray, values: np.ndarray, name: str | None = None) -> None:
        """Overwrite all components of some Gaussians, or those of one parameter."""
        self._scatter(rows, values, COLUMNS[name] if name else slice(None))

    @property
    def finite(self) -> bool:
        """Whether every value is a number."""
        return bool(load().splat_all_finite(floats(self.values, *self.values.shape), self.values.size))

    def _gather(self, rows: np.ndarray | None, columns: slice, memory: np.ndarray | None = None) -> np.ndarray:
        """Copies [M, width] of some components of Gaussians, of `rows` [M] or of all; in `memory` [M or more, width] where it is given."""
        struct, _kept = self._struct(rows, columns)
        out = np.empty((struct.count, struct.width), np.float32) if memory is None else memory[: struct.count]
        load().splat_gather_rows(struct, floats(out, *out.shape))
        return out

    def _scatter(self, rows: np.ndarray | None, values: np.ndarray, columns: slice) -> None:
        """Overwrite what _gather() reads."""
        struct, _kept = self._struct(rows, columns)
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        load().splat_scatter_rows(struct, floats(flat, struct.count * struct.width))

    def _move(self, sources: np.ndarray, targets: np.ndarray) -> None:
        """Copy rows to others, one after the other."""
        struct, _kept = self._struct(sources, slice(None))
        to, _kept_too = self._struct(targets, slice(None))
        load().splat_move_rows(struct, to)

    def _struct(self, rows: np.ndarray | None, columns: slice) -> tuple[RowsStruct, np.ndarray | None]:
        """RowsStruct, and the array that must live as long; IndexError for rows that are none."""
        kept = None if rows is None else np.ascontiguousarray(rows, np.int64)
        if kept is not None and kept.size and not 0 <= kept.min() <= kept.max() < len(self.values) * BLOCK:
            raise IndexError(f"rows {kept.min()} to {kept.max()} of {len(self.values) * BLOCK}")
        first, end, _ = columns.indices(self.values.shape[1])
        count = self.count if kept is None else len(kept)
        return RowsStruct(floats(self.values, *self.values.shape), self.values.shape[1], first, end - first,
                          None if kept is None else kept.ctypes.data, count), kept

    def with_room(self, count: int) -> Blocks:
        """The same, with memory for so many Gaussians; for some more where it has to be another memory."""
        blocks = -(-count // BLOCK)
        if blocks <= len(self.memory):
            return self
        memory = aligned_zeros(blocks + blocks // SPARE, self.values.shape[1])
        memory[: len(self.values)] = self.values
        return Blocks(memory[: len(self.values)], self.count, memory)

    def rebuilt(self, sources: np.ndarray) -> Blocks:
        """Row i becomes a copy of row sources[i] [M], in place: this one is no more. There must be room for M."""
        targets = np.flatnonzero(sources != np.arange(len(sources)))
        moved = np.zeros(max(self.count, len(sources)), bool)
        moved[targets] = True
        lost = targets[(sources[targets] < targets) & moved[sources[targets]]]  # whose sources will have been overwritten
        copies, moved[lost] = self.rows(sources[lost]), False
        made = Blocks(self.memory[: -(-len(sources) // BLOCK)], len(sources), self.memory)
        targets = np.flatnonzero(moved)
        Blocks(self.memory, self.count)._move(sources[targets], targets)
        made.write(lost, copies)
        return made

    def hide_padding(self) -> None:
        """Set the opacity of the rows that only fill the last block to zero."""
        padding = np.arange(self.count, len(self.values) * BLOCK)
        self.write(padding, np.zeros((len(padding), self.values.shape[1]), np.float32))
        self.write(padding, np.full(len(padding), INVISIBLE, np.float32), "opacities")


def aligned_zeros(blocks: int, components: int) -> np.ndarray:
    """Zeros [blocks, components, BLOCK] that begin at a cache line."""
    size = blocks * components * BLOCK
    memory = np.zeros(size + ALIGNMENT // 4, np.float32)
    start = -memory.ctypes.data % ALIGNMENT // 4
    return memory[start : start + size].reshape(blocks, components, BLOCK)


def parameter_shapes(count: int, rest: int) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter array."""
    return {"means": (count, 3), "quats": (count, 4), "scales": (count, 3), "opacities": (count,),
            "sh0": (count, 1, 3), "shN": (count, rest, 3)}


@dataclass(frozen=True)
class BlockRows:
    """One parameter of Blocks, copied when it is read: a backend.LiveRows."""

    blocks: Blocks
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """As in Gaussians."""
        return parameter_shapes(self.blocks.count, self.blocks.rest)[self.name]

    def parts(self) -> Iterator[np.ndarray]:
        """Its rows in their order, all in the same memory."""
        columns, part = COLUMNS[self.name], PART_BLOCKS * BLOCK
        memory = np.empty((min(part, self.blocks.count), self.blocks.values[:, columns].shape[1]), np.float32)
        for first in range(0, max(1, self.blocks.count), part):
            rows = Blocks(self.blocks.values[first // BLOCK : (first + part) // BLOCK], min(part, self.blocks.count - first))
            yield rows._gather(None, columns, memory)

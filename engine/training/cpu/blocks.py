"""How the kernels store Gaussians: in blocks of sixteen, component by component, for vector instructions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BLOCK = 16
COLUMNS = {"means": slice(0, 3), "quats": slice(3, 7), "scales": slice(7, 10), "opacities": slice(10, 11), "sh0": slice(11, 14),
           "shN": slice(14, None)}
"""Components of each parameter, in the order of projection.h."""

NAMES = tuple(COLUMNS)
ALIGNMENT = 64  # bytes: a cache line, and the widest vector
INVISIBLE = -100.0  # logit of the opacity of rows that only fill a block


@dataclass(frozen=True)
class Blocks:
    """Arrays of one value for each component of each Gaussian: the parameters, their gradients, or a moment of Adam."""

    values: np.ndarray  # [blocks, components, BLOCK] float32, contiguous
    count: int

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
        made.write(np.arange(count), np.concatenate([flat(arrays[name]) for name in NAMES], axis=1))
        return made

    def unpack(self) -> dict[str, np.ndarray]:
        """Copies, named and shaped as in Gaussians."""
        return {name: self.read(name) for name in NAMES}

    def read(self, name: str) -> np.ndarray:
        """A copy of one parameter, shaped as in Gaussians."""
        part = self.values[:, COLUMNS[name]].transpose(0, 2, 1)  # [blocks, BLOCK, components]
        rows = part.reshape(part.shape[0] * BLOCK, part.shape[2])[: self.count]
        return rows.reshape(parameter_shapes(self.count, self.rest)[name])

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """All components [M, components] of some Gaussians."""
        return self.values[rows // BLOCK, :, rows % BLOCK]

    def write(self, rows: np.ndarray, values: np.ndarray, name: str | None = None) -> None:
        """Overwrite all components of some Gaussians, or those of one parameter."""
        columns = COLUMNS[name] if name else slice(None)
        self.values[rows // BLOCK, columns, rows % BLOCK] = flat(values)

    def resized(self, count: int) -> Blocks:
        """Blocks of another number of Gaussians, which may share memory: surplus rows are cut, added rows are undefined."""
        blocks = -(-count // BLOCK)
        if blocks == len(self.values):
            return Blocks(self.values, count)
        values = aligned_zeros(blocks, self.values.shape[1])
        kept = min(blocks, len(self.values))
        values[:kept] = self.values[:kept]
        return Blocks(values, count)

    def hide_padding(self) -> None:
        """Set the opacity of the rows that only fill the last block to zero."""
        padding = np.arange(self.count, len(self.values) * BLOCK)
        self.write(padding, np.zeros((len(padding), self.values.shape[1]), np.float32))
        self.write(padding, np.full(len(padding), INVISIBLE, np.float32), "opacities")


def flat(rows: np.ndarray) -> np.ndarray:
    """[M, ...] -> [M, components], of no rows too."""
    return rows.reshape(len(rows), math.prod(rows.shape[1:]))


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

"""Which pairs of photos to match. The number of all pairs grows with the square of the number of photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np

Pair = tuple[int, int]
"""Indices of two photos, the smaller first."""

FEW = 24
"""Up to so many photos, all are matched with all."""
OVERLAP = 8
"""Neighbours on either side that a photo of an ordered series is compared with."""
LOOKALIKES = 16
"""Photos of an unordered set are compared with so many that look most alike ..."""
LOOPS = 4
"""... and those of a series with so many, to close loops."""
STRONGEST = 300
"""Features of a photo that are compared to find look-alikes: the largest ones, which survive changes of scale best
(Wu, "Towards Linear-time Incremental Structure from Motion", 2013)."""
ALIKE = 0.85
"""Cosine between the descriptors of features that may be the same."""
CHUNK = 64


def all_pairs(count: int) -> list[Pair]:
    """Every photo with every other."""
    return list(combinations(range(count), 2))


def neighbours(count: int, overlap: int = OVERLAP) -> set[Pair]:
    """Every photo with the next `overlap` and with those 2, 4, 8 ... further on, as far as 64."""
    steps = {*range(1, overlap + 1), *(2**power for power in range(7))}
    return {(index, index + step) for index in range(count) for step in steps if index + step < count}


def lookalikes(similarity: np.ndarray, most: int) -> set[Pair]:
    """Every photo with the `most` others that have most in common with it, by a symmetric table [N, N]."""
    count = len(similarity)
    scores = similarity + np.where(np.eye(count, dtype=bool), -np.inf, 0.0)
    best = np.argsort(-scores, axis=1, kind="stable")[:, : min(most, count - 1)]
    return {(min(row, other), max(row, other)) for row in range(count) for other in best[row].tolist()}


def similarity(descriptors: Sequence[np.ndarray], tick: Callable[[int], None] = lambda _: None) -> np.ndarray:
    """How many of the features of each two photos find each other: [N, N], from descriptors uint8 [M, 128], strongest first.

    `tick` is called with the number of each photo whose row is begun.
    """
    count = len(descriptors)
    packed = np.zeros((count, STRONGEST, 128), np.float32)
    for row, values in enumerate(descriptors):
        packed[row, : min(STRONGEST, len(values))] = _unit(values[:STRONGEST])
    table = np.zeros((count, count))
    for row, columns, common in _common(packed):
        tick(row)
        table[row, columns] = table[columns, row] = common
    return table


def _unit(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)


def _common(packed: np.ndarray) -> Iterator[tuple[int, slice, np.ndarray]]:
    """For each photo and a chunk of later ones: how many features are each other's best."""
    count, own = len(packed), np.arange(STRONGEST)
    for row in range(count):
        for first in range(row + 1, count, CHUNK):
            columns = slice(first, min(first + CHUNK, count))
            cosines = packed[columns] @ packed[row].T  # [C, M of the other, M of this]
            best_there, best_here = cosines.argmax(axis=1), cosines.argmax(axis=2)  # [C, M of this], [C, M of the other]
            mutual = np.take_along_axis(best_here, best_there, axis=1) == own
            yield row, columns, (mutual & (cosines.max(axis=1) > ALIKE)).sum(axis=1)

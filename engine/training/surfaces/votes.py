"""Which object each Gaussian belongs to: that whose pixels get most of its light."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..backend import Model
from ..init.knn import nearest_rows
from .view_maps import ViewMaps

BATCH = 18
"""Labels whose light is summed at once: so many numbers for each Gaussian are the memory that it takes."""

NUMBERS = 1 << 16
"""Of labels, of which 0 is none."""


@dataclass(frozen=True)
class Labelling:
    """The label of each Gaussian, and how much of its light reaches pixels of that label."""

    labels: np.ndarray  # [N] int64; 0 only where no Gaussian has a label
    confidence: np.ndarray  # [N] float32, 0 to 1; 0: it was seen by none, and has the label of its neighbour


class Votes:
    """Sums of light by Gaussian and label, of which only those are kept that are not 0: a few for each Gaussian, however many labels."""

    def __init__(self, count: int):
        self._count = count
        self._keys, self._sums = np.zeros(0, np.int64), np.zeros(0)
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting = 0
        self._light = np.zeros(count)

    def add(self, numbers: np.ndarray, sums: np.ndarray) -> None:
        """Sums [N, L] of light that falls on pixels with the numbers [L]."""
        rows, columns = np.nonzero(sums > 0)
        self._pending.append((rows * NUMBERS + numbers[columns].astype(np.int64), sums[rows, columns].astype(np.float64)))
        self._waiting += len(rows)
        if self._waiting > len(self._keys) + self._count:
            self._merge()

    def add_light(self, weight: np.ndarray) -> None:
        """All light [N] of a view, on whatever it falls."""
        self._light += weight

    def labelling(self, means: np.ndarray) -> Labelling:
        """The label with most light; those without any take that of the nearest Gaussian of `means` [N, 3] that has one."""
        self._merge()
        labels, confidence = np.zeros(self._count, np.int64), np.zeros(self._count, np.float32)
        rows = self._keys // NUMBERS
        best = np.lexsort((-self._sums, rows))
        found, first = np.unique(rows[best], return_index=True)
        winners = best[first]
        labels[found] = self._keys[winners] % NUMBERS
        confidence[found] = np.clip(self._sums[winners] / np.maximum(self._light[found], 1e-12), 0, 1)
        return Labelling(filled(labels, labels > 0, means), confidence)

    def _merge(self) -> None:
        keys = np.concatenate([self._keys, *(keys for keys, _ in self._pending)])
        sums = np.concatenate([self._sums, *(sums for _, sums in self._pending)])
        self._keys, places = np.unique(keys, return_inverse=True)
        self._sums = np.bincount(places, sums, len(self._keys))
        self._pending, self._waiting = [], 0


def vote(model: Model, views: Iterable[ViewMaps], means: np.ndarray) -> Labelling:
    """The labels of a model's Gaussians, which stand at `means` [N, 3]. The background never wins: borders would have holes."""
    votes = Votes(model.count)
    for view in views:
        labels = view.labels()
        numbers = np.unique(labels)
        numbers = numbers[numbers > 0]
        for start in range(0, max(1, len(numbers)), BATCH):
            some = numbers[start : start + BATCH]
            found = model.contribution([(view.camera, view.shares(labels, some))], len(some))
            votes.add(some, found.channels)
            if not start:
                votes.add_light(found.weight)
    return votes.labelling(means)


def filled(values: np.ndarray, known: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Values [N, ...] of which those that are not known are the nearest known ones; the same where none is known."""
    if known.all() or not known.any():
        return values
    rows = np.flatnonzero(known)
    made = values.copy()
    made[~known] = values[rows[nearest_rows(means[rows], means[~known])]]
    return made

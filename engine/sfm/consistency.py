"""Cameras that contradict the matches: found by the epipolar geometry of their poses.

A wrong pose may still have a small reprojection error, when only wrong points of its own support it. The
verified matches between two photos must satisfy the epipolar geometry of both poses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

LARGEST_ERROR = 0.006
"""Sampson distance, as a share of the focal length, up to which a match agrees: about 6 pixels of 1000."""
AGREE = 0.5
"""Share of its matches that must agree for a pair to connect two cameras."""
ENOUGH = 15
"""Pairs with fewer matches are not used."""


@dataclass(frozen=True)
class MatchedPair:
    """Verified matches of two placed photos, as image points at depth one."""

    first: str
    second: str
    relative: np.ndarray  # [3, 4] from the first camera to the second
    points: tuple[np.ndarray, np.ndarray]  # [M, 2] each


def inconsistent_cameras(names: Iterable[str], matched_pairs: Iterable[MatchedPair],
                         together: Iterable[tuple[str, str]] = ()) -> set[str]:
    """Names of the cameras that no agreeing pair connects to the largest group; those of one rig that stand `together` are connected."""
    ties = [*together, *((pair.first, pair.second) for pair in matched_pairs if len(pair.points[0]) >= ENOUGH and agreement(pair) >= AGREE)]
    groups = components(names, ties)
    return {name for group in groups[1:] for name in group}


def agreement(pair: MatchedPair) -> float:
    """Share of the matches, 0 to 1, that satisfy the epipolar geometry of the cameras' poses."""
    return float((sampson(pair.relative, *pair.points) < LARGEST_ERROR).mean())


def sampson(relative: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Sampson distance [M] of matches [M, 2] to the essential matrix of a relative pose (Hartley and Zisserman, 11.4.3)."""
    rotation, (x, y, z) = relative[:, :3], relative[:, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation
    one, two = (np.column_stack([points, np.ones(len(points))]) for points in (first, second))
    lines_two, lines_one = one @ essential.T, two @ essential
    residual = (two * lines_two).sum(axis=1)
    slope = (lines_two[:, :2] ** 2).sum(axis=1) + (lines_one[:, :2] ** 2).sum(axis=1)
    return np.abs(residual) / np.sqrt(np.maximum(slope, 1e-30))


def components(names: Iterable[str], ties: Iterable[tuple[str, str]]) -> list[set[str]]:
    """Connected components of a graph: `names` are its nodes, `ties` its edges. Largest first."""
    group = {name: {name} for name in names}
    for first, second in ties:
        small, large = sorted((group[first], group[second]), key=len)
        if small is not large:
            large |= small
            group |= dict.fromkeys(small, large)
    return sorted({id(members): members for members in group.values()}.values(), key=len, reverse=True)

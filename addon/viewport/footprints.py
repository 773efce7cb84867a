"""What splats cover of a part of a viewport, by arithmetic: where EEVEE or Cycles draw them there is no canvas to ask.

Places are looked at in a grid: at every pixel of a small area, at fewer of a large one. There the splats are mixed from front to back as
in training. In a large area splats that could fall between the places count where their middles are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...engine.core.splats.transform import rotation_matrices
from .canvas import Eye
from .cloud import SourceRows
from .picking import Area, Picked
from .shaders import ALPHA_MAX, ALPHA_MIN, LOW_PASS
from .stage import Placement

PLACES = 24
"""Along each side of an area, at most."""

MOST_PAIRS = 2_000_000
"""Of splats and places; the nearest splats come first."""

MOST_SPLATS = 20_000
"""Of a placement that are mixed: the nearest, behind which nothing is seen."""

SLICE = 32_768

SOLID = 0.1
"""Opacity from which on the middle of a splat counts."""

REACH = 3.4
"""Standard deviations beyond which no splat is seen: sqrt(2 ln 255) = 3.33."""


@dataclass(frozen=True)
class PlacedSplats:
    """The splats of one placement."""

    placement: Placement
    rows: SourceRows


@dataclass(frozen=True)
class Projected:
    """Splats on the image: all that may be seen in an area."""

    numbers: np.ndarray  # [n] of the placement, from 1 on
    depths: np.ndarray  # [n] along the view
    centers: np.ndarray  # [n, 2] pixels
    covariances: np.ndarray  # [n, 3] xx, xy, yy in pixels²
    opacities: np.ndarray  # [n]

    def chosen(self, rows: np.ndarray) -> Projected:
        """Those of these rows, in their order."""
        return Projected(self.numbers[rows], self.depths[rows], self.centers[rows], self.covariances[rows], self.opacities[rows])


@dataclass(frozen=True)
class Footprints:
    """What is seen in an area, and how deep."""

    picked: Picked
    numbers: np.ndarray  # [pairs]
    depths: np.ndarray  # [pairs]
    weights: np.ndarray  # [pairs] α T

    def depth(self, owner: int) -> float:
        """Depth along the view of an owner's splats: the median of what is seen of them. inf without any."""
        mine = np.isin(self.numbers, [number for number, found in enumerate(self.picked.owners, start=1) if found == owner])
        order = np.argsort(self.depths[mine])
        shares = np.cumsum(self.weights[mine][order])
        return float(self.depths[mine][order][np.searchsorted(shares, 0.5 * shares[-1])]) if len(shares) else float("inf")


def footprints(placed: Sequence[PlacedSplats], eye: Eye, area: Area) -> Footprints:
    """What of the placements is seen in an area of the region, with nothing before them."""
    step = max(1, -(-max(area.width, area.height) // PLACES))
    columns, rows = (np.minimum(np.arange(0, size, step) + step // 2, size - 1) for size in (area.width, area.height))
    with np.errstate(all="ignore"):  # modifiers may write anything; what is no number is not seen
        candidates = [Candidates(part, eye, area, step) for part in placed]
        found = _joined([each.projected(number) for number, each in enumerate(candidates, start=1)])
    splats, places, alphas = _pairs(found, columns + area.x + 0.5, rows + area.y + 0.5)
    weights, numbers, kinds = alphas * _transmittances(places, alphas), found.numbers[splats], len(placed) + 1
    shares = np.bincount(kinds * places + numbers, weights, kinds * len(rows) * len(columns)).reshape(-1, kinds)
    shares[:, 0] = 1.0 - shares.sum(axis=1)
    seen = shares.argmax(axis=1).reshape(len(rows), len(columns))
    seen = seen.repeat(step, axis=0).repeat(step, axis=1)[: area.height, : area.width]
    if step > 1:
        for number, each in sorted(enumerate(candidates, start=1), key=lambda entry: -entry[1].middle_depth):
            seen[each.middles] = number
    owners = tuple(part.placement.owner.session_uid for part in placed)
    return Footprints(Picked(owners, area, seen), numbers, found.depths[splats], weights)


class Candidates:
    """The splats of a placement that may be seen in an area: by a bound on their size, in slices that stay in the processor's cache."""

    def __init__(self, part: PlacedSplats, eye: Eye, area: Area, step: int):
        self._part, self._eye, self._area, self._step = part, eye, area, step
        self._matrix = eye.view @ part.placement.matrix
        slope = max(map(abs, eye.limits)) if eye.perspective else 0.0
        self._stretch = REACH * max(map(abs, eye.focal)) * np.hypot(1.0, slope) * np.linalg.norm(self._matrix[:3, :3], 2)
        found = [self._look(start) for start in range(0, len(part.rows), SLICE)]
        near, depths, columns, rows = (np.concatenate(each) for each in zip(*found, strict=True)) if found else 4 * (np.zeros(0, int),)
        self.middle_depth = float(np.median(depths)) if len(depths) else np.inf
        self.middles = rows, columns
        """Pixels of a large area in which solid splats have their middles."""
        if len(near) > MOST_SPLATS:
            near = near[np.argpartition(depths, MOST_SPLATS)[:MOST_SPLATS]]
        self._near = near

    def _look(self, start: int) -> tuple[np.ndarray, ...]:
        """Rows that may be seen in the area, in a large one only of splats that are wider than a step, their depths; columns and rows of
        the middles."""
        eye, area, rows = self._eye, self._area, self._part.rows
        part, matrix, projection = slice(start, start + SLICE), self._matrix.astype(np.float32), eye.projection.astype(np.float32)
        local, opacities = rows.means[part] @ matrix[:3, :3].T + matrix[:3, 3], rows.base[part, 3]
        depths = -local[:, 2]
        weights = depths if eye.perspective else np.ones(len(local), np.float32)
        seen = opacities >= ALPHA_MIN
        if eye.perspective:
            seen &= weights > projection[2, 3] / (projection[2, 2] - 1.0)  # where the view begins
        radii = np.float32(self._stretch) * np.maximum.reduce(list(rows.scales[part].T))  # pixels times weight, as all distances here
        near, inside, middles = seen.copy(), seen & (opacities >= SOLID), []
        for axis, (first, count, size) in enumerate(((area.x, area.width, eye.width), (area.y, area.height, eye.height))):
            clip = local @ projection[axis, :3] + projection[axis, 3]
            away = np.float32(0.5 * size) * clip + np.float32(0.5 * size - first - 0.5 * count) * weights  # from the middle of the area
            near &= np.abs(away) <= np.float32(0.5 * count + REACH) * weights + radii
            if self._step > 1:
                inside &= np.abs(away) < np.float32(0.5 * count) * weights
                middles.append((away, count))
        if self._step > 1:
            near &= 2.0 * radii >= self._step * weights
        chosen = np.flatnonzero(inside) if middles else np.zeros(0, int)
        pixels = [np.floor(away[chosen] / weights[chosen] + 0.5 * count).astype(int).clip(0, count - 1) for away, count in middles]
        chosen = np.flatnonzero(near)
        return chosen + start, depths[chosen], *(pixels or 2 * [np.zeros(0, int)])

    def projected(self, number: int) -> Projected:
        """EWA splatting (Zwicker et al. 2002) of these splats."""
        rows, eye, near = self._part.rows, self._eye, self._near
        local, opacities = rows.means[near] @ self._matrix[:3, :3].T + self._matrix[:3, 3], rows.base[near, 3].astype(np.float64)
        depths = -local[:, 2]
        weights = depths if eye.perspective else np.ones(len(near))
        clip = local @ eye.projection[:2, :3].T + eye.projection[:2, 3]
        centers = (clip / weights[:, None] * 0.5 + 0.5) * (eye.width, eye.height)
        jacobian = np.zeros((len(near), 2, 3))
        jacobian[:, 0, 0], jacobian[:, 1, 1] = (focal / weights for focal in eye.focal)
        if eye.perspective:
            slopes = np.clip(local[:, :2] / depths[:, None], eye.limits[:2], eye.limits[2:])
            jacobian[:, :, 2] = slopes * eye.focal / depths[:, None]
        axes = jacobian @ self._matrix[:3, :3] @ (rotation_matrices(rows.quats[near]) * rows.scales[near, None, :])
        plain = axes @ axes.transpose(0, 2, 1)
        covariances = np.stack([plain[:, 0, 0] + LOW_PASS, plain[:, 0, 1], plain[:, 1, 1] + LOW_PASS], axis=1)
        if self._part.placement.antialiased:  # what the low-pass widens pales (Yu et al. 2024)
            areas = np.cross(axes[:, 0], axes[:, 1])  # the covariance's determinant by Cauchy-Binet
            opacities *= np.sqrt((areas**2).sum(axis=1) / _determinants(covariances))
        found = Projected(np.full(len(near), number), depths, centers, covariances, opacities)
        sound = (opacities >= ALPHA_MIN) & np.isfinite(covariances).all(axis=1) & np.isfinite(centers).all(axis=1)
        return found.chosen(np.flatnonzero(sound))


def _determinants(covariances: np.ndarray) -> np.ndarray:
    return covariances[:, 0] * covariances[:, 2] - covariances[:, 1] ** 2


def _joined(parts: Sequence[Projected]) -> Projected:
    """All of them, the nearest first."""
    names = ("numbers", "depths", "centers", "covariances", "opacities")
    joined = Projected(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    return joined.chosen(np.argsort(joined.depths))


def _pairs(found: Projected, columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which splat covers which place of a grid, with which alpha [pairs]; by place, and there the nearest first."""
    widths = np.sqrt(2.0 * np.log(found.opacities / ALPHA_MIN))[:, None] * np.sqrt(found.covariances[:, [0, 2]])
    low, high = found.centers - widths, found.centers + widths
    starts = np.stack([np.searchsorted(axis, low[:, index]) for index, axis in enumerate((columns, rows))], axis=1)
    ends = np.stack([np.searchsorted(axis, high[:, index], "right") for index, axis in enumerate((columns, rows))], axis=1)
    sizes = np.maximum(ends - starts, 0)
    counts = sizes.prod(axis=1)
    counts[np.cumsum(counts) > MOST_PAIRS] = 0
    splats = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(splats)) - np.repeat(np.cumsum(counts) - counts, counts)
    down, across = np.divmod(within, sizes[splats, 0])
    column, row = starts[splats, 0] + across, starts[splats, 1] + down
    x, y = columns[column] - found.centers[splats, 0], rows[row] - found.centers[splats, 1]
    xx, xy, yy = found.covariances[splats].T
    power = (yy * x * x - 2 * xy * x * y + xx * y * y) / _determinants(found.covariances)[splats]
    alphas = np.minimum(ALPHA_MAX, found.opacities[splats] * np.exp(-0.5 * power))
    places = row * len(columns) + column
    order = np.argsort(places, kind="stable")
    order = order[alphas[order] >= ALPHA_MIN]
    return splats[order], places[order], alphas[order]


def _transmittances(places: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """What is left of the light before each pair [pairs], which are ordered by place, and there from front to back."""
    passed = np.concatenate([[0.0], np.cumsum(np.log1p(-alphas))[:-1]]) if len(alphas) else alphas
    first = np.searchsorted(places, places)
    return np.exp(passed - passed[first])

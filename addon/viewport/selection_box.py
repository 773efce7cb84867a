"""Boxes around selected splats: around the dense ones of an object, wherever a few stray ones are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cached_property
from itertools import product

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from ..splats.attributes import read_layer
from ..splats.splat_object import POSITION
from ..typed import Context, untyped
from .stage import Placement, Source

DENSE = 0.999
"""Share of the splats that a box holds."""

SAMPLE = 100_000
"""Splats that a box is found by."""

FLAT = 0.01
"""Axes along which splats spread less than this share of the most count as so wide."""

EDGES = [(one, other) for one, other in product(range(8), repeat=2) if one < other and (one ^ other).bit_count() == 1]


def dense_box(means: np.ndarray) -> np.ndarray:
    """Least and greatest corner [2, 3] around those of `means` [N, 3] that lie nearest to the middle, all but a thousandth of them.

    How near is counted in the spread of half of them along each axis. Zeros without any that are finite.
    """
    sample = means[:: max(1, len(means) // SAMPLE)]
    sample = sample[np.isfinite(sample).all(axis=1)].astype(np.float64)
    if not len(sample):
        return np.zeros((2, 3))
    quarter, middle, third = np.quantile(sample, (0.25, 0.5, 0.75), axis=0)
    spread = third - quarter
    spread = np.maximum(spread, max(FLAT * float(spread.max()), np.finfo(np.float32).tiny))
    distance = (np.abs(sample - middle) / spread).max(axis=1)
    dense = sample[distance <= np.quantile(distance, DENSE, method="higher")]
    return np.stack([dense.min(axis=0), dense.max(axis=0)])


class SelectionBoxes:
    """Draws them; what was found is kept until the splats change."""

    def __init__(self) -> None:
        self._boxes: dict[Hashable, np.ndarray] = {}

    def draw(self, context: Context, placements: Sequence[Placement], sources: Sequence[Source]) -> None:
        """Boxes of the placements whose owners are selected, in the theme's colours, behind whatever stands before them."""
        selected = [placement for placement in placements if placement.owner.select_get()]
        if not selected or not context.space_data.overlay.show_overlays:
            return
        theme = untyped(context.preferences.themes[0]).view_3d
        view, projection = context.region_data.view_matrix, context.region_data.window_matrix
        matrices = untyped(gpu.matrix)
        gpu.state.line_width_set(max(1.0, context.preferences.system.pixel_size))
        gpu.state.depth_test_set("LESS_EQUAL")
        with matrices.push_pop(), matrices.push_pop_projection():
            matrices.load_projection_matrix(projection)
            for placement in selected:
                active = placement.owner == context.view_layer.objects.active
                matrices.load_matrix(view @ Matrix(placement.matrix.tolist()))
                self._draw(self._box(sources[placement.source]), theme.object_active if active else theme.object_selected)
        gpu.state.depth_test_set("NONE")
        gpu.state.line_width_set(1.0)

    def keep_only(self, sources: Sequence[Source]) -> None:
        """Forget boxes of splats that are gone."""
        keys = {source.key for source in sources}
        self._boxes = {key: box for key, box in self._boxes.items() if key in keys}

    def _box(self, source: Source) -> np.ndarray:
        if source.key not in self._boxes:
            self._boxes[source.key] = dense_box(_means(source.target))
        return self._boxes[source.key]

    def _draw(self, box: np.ndarray, color: Sequence[float]) -> None:
        corners = [tuple(box[end, axis] for axis, end in enumerate(ends)) for ends in product((0, 1), repeat=3)]
        batch = batch_for_shader(self._shader, "LINES", {"pos": corners}, indices=EDGES)
        self._shader.bind()
        self._shader.uniform_float("color", (*tuple(color)[:3], 1.0))
        batch.draw(self._shader)

    @cached_property
    def _shader(self) -> gpu.types.GPUShader:
        return gpu.shader.from_builtin("UNIFORM_COLOR")


def _means(target: bpy.types.Object) -> np.ndarray:
    """Where the splats of an evaluated object are [N, 3]."""
    geometry = untyped(target).evaluated_geometry()  # owns the points: must live while they are read
    found = None if geometry.pointcloud is None else read_layer(geometry.pointcloud, POSITION)
    return np.zeros((0, 3), np.float32) if found is None else found

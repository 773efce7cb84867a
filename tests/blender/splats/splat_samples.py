"""Gaussians for tests in Blender, and what it means that they are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.blender.conftest import module
from tests.untyped import bpy


def some_gaussians(count: int = 50, degree: int = 3, seed: int = 0) -> Any:
    """Gaussians of every size, opacity and colour."""
    rng = np.random.default_rng(seed)
    return module("engine.core.splats.gaussians").Gaussians(
        means=rng.normal(size=(count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=rng.normal(-3, 0.5, (count, 3)).astype(np.float32),
        opacities=rng.normal(0, 2, count).astype(np.float32),
        sh0=rng.normal(size=(count, 1, 3)).astype(np.float32),
        shN=rng.normal(0, 0.2, (count, (degree + 1) ** 2 - 1, 3)).astype(np.float32),
    )


def changed(gaussians: Any, **arrays: np.ndarray) -> Any:
    """The same Gaussians but for some arrays."""
    return type(gaussians)(**{**gaussians.arrays(), **arrays})


def assert_same(one: Any, other: Any, tolerance: float = 1e-6) -> None:
    """Equal values in the same order; quaternions as rotations, SH against the largest coefficient of the row."""
    rotations = module("engine.core.splats.transform").rotation_matrices
    for name in ("means", "opacities", "sh0"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=tolerance, err_msg=name)
    np.testing.assert_allclose(np.exp(one.scales), np.exp(other.scales), rtol=tolerance, err_msg="scales")
    np.testing.assert_allclose(rotations(one.quats), rotations(other.quats), atol=2 * tolerance)
    largest = np.abs(other.shN).max(axis=(1, 2), initial=1e-9)
    assert one.shN.shape == other.shN.shape and (np.abs(one.shN - other.shN) <= tolerance * largest[:, None, None]).all()


def keep_first(target: bpy.types.Object, count: int) -> None:
    """A Geometry Nodes modifier that deletes all points but the first `count`."""
    group = bpy.data.node_groups.new("Delete", "GeometryNodeTree")
    group.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    delete, index, compare = (group.nodes.new(kind) for kind in (
        "GeometryNodeDeleteGeometry", "GeometryNodeInputIndex", "FunctionNodeCompare"))
    compare.data_type, compare.operation = "INT", "GREATER_EQUAL"
    number = [socket for socket in compare.inputs if socket.type == "INT"]
    group.links.new(index.outputs[0], number[0])
    number[1].default_value = count
    group.links.new(compare.outputs[0], delete.inputs["Selection"])
    group.links.new(group.nodes.new("NodeGroupInput").outputs[0], delete.inputs["Geometry"])
    group.links.new(delete.outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])
    target.modifiers.new("Delete", "NODES").node_group = group
    bpy.context.view_layer.update()

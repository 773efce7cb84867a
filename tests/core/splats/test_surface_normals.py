"""Normals and other surface properties travel with splats through files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.core.formats.ply import read_ply, write_ply
from engine.core.formats.ply_container import read_part, read_ply_header
from engine.core.formats.registry import COMPRESSED_PLY, PLY, SPLAT, SPZ, lost_in
from engine.core.splats.surface_normals import NORMAL, turned_normals
from tests.scenes import colored_ball

SURFACE = ("label", "confidence", "albedo_0", "albedo_1", "albedo_2", *NORMAL)


def surface(means: np.ndarray, names: tuple[str, ...] = SURFACE) -> np.ndarray:
    """Properties [N] of a ball about the origin: its true normals, and other values that differ by row."""
    extra = np.zeros(len(means), [(name, "f4") for name in names])
    for index, name in enumerate(names):
        extra[name] = np.arange(len(means)) % (7 + index)
    for name, column in zip(NORMAL, (means / np.linalg.norm(means, axis=1, keepdims=True)).T, strict=True):
        extra[name] = column
    return extra


def normals_of(extra: np.ndarray) -> np.ndarray:
    return np.stack([extra[name] for name in NORMAL], axis=1)


@pytest.mark.parametrize("axes", ["SUPERSPLAT", "OPENGL", "BLENDER"])
def test_files_keep_surface_properties_in_any_axes(tmp_path: Path, axes: str) -> None:
    ball = colored_ball(200)
    extra = surface(ball.means)
    write_ply(tmp_path / "ball.ply", ball, axes, extra=extra)  # pyright: ignore[reportArgumentType]
    found = read_ply(tmp_path / "ball.ply")
    assert found.extra is not None and {*found.extra_names} == {*SURFACE}
    for name in SURFACE:
        np.testing.assert_allclose(found.extra[name], extra[name], atol=1e-6, err_msg=name)
    header = read_ply_header(tmp_path / "ball.ply")
    stored = read_part(tmp_path / "ball.ply", header, header.parts[0])
    places = np.stack([stored[name] for name in "xyz"], axis=1)
    np.testing.assert_allclose(normals_of(stored), places / np.linalg.norm(places, axis=1, keepdims=True), atol=1e-5)


def test_the_header_stays_as_other_readers_need_it(tmp_path: Path) -> None:
    ball = colored_ball(20)
    write_ply(tmp_path / "ball.ply", ball, extra=surface(ball.means))
    header = (tmp_path / "ball.ply").read_bytes().split(b"end_header\n")[0].decode()
    named = [line.split() for line in header.splitlines() if line.startswith("property")]
    assert all(kind == "float" for _, kind, _ in named)
    assert len({name for *_, name in named}) == len(named)


def test_zero_normals_of_trainers_are_no_properties(tmp_path: Path) -> None:
    write_ply(tmp_path / "ball.ply", colored_ball(20))
    assert read_ply(tmp_path / "ball.ply").extra is None


def test_normals_turn_by_the_inverse_transpose() -> None:
    plane = np.array([(1.0, 0, -1), (0, 1, 0)])  # tangents of a surface whose normal is (1, 0, 1)
    extra = np.zeros(3, [(name, "f4") for name in NORMAL])
    extra["nx"][:2], extra["nz"][:2] = 0.5**0.5, 0.5**0.5
    matrix = np.eye(4)
    matrix[:3, :3] = [[3, 0, 0.5], [0, 1, 0], [0, 0, -1]]
    turned = turned_normals(extra, matrix, np.array([0, 2]))
    assert turned is not None
    np.testing.assert_allclose(normals_of(turned)[0] @ matrix[:3, :3] @ plane.T, 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(normals_of(turned), axis=1), [1, 1, 0], atol=1e-6)
    np.testing.assert_array_equal(normals_of(turned)[1], normals_of(extra)[1])


def test_formats_that_cannot_hold_them_say_so() -> None:
    ball = colored_ball(20)
    assert not lost_in(PLY, ball, SURFACE)
    for chosen in (COMPRESSED_PLY, SPZ, SPLAT):
        assert any("albedo_0" in sentence and "nx" in sentence for sentence in lost_in(chosen, ball, SURFACE))

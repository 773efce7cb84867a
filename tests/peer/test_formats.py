"""Every format against other programs: what they read of ours, what we read of theirs, within what the format can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree

from engine.core.formats.quantization import opacity
from engine.core.formats.registry import COMPRESSED_PLY, FORMATS, PLY, SPLAT, SPZ, SPZ_3, Format, read_splats, write_splats
from engine.core.splats.gaussians import Gaussians
from tests.core.splats.numpy_splats import covariances
from tests.data import DATA, needs
from tests.peer.peers import read_spz, splat_transform

REAL = DATA / "splats"
DECODING = 2e-5
"""Two decoders of the same bytes differ by the rounding of float32."""


def scene(degree: int, count: int = 700) -> Gaussians:
    """More than two chunks of splats of every size, opacity and colour."""
    rng = np.random.default_rng(degree)
    return Gaussians(
        means=rng.normal(0, 2, (count, 3)).astype(np.float32), quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=rng.normal(-4, 1, (count, 3)).astype(np.float32), opacities=rng.normal(0, 2, count).astype(np.float32),
        sh0=rng.normal(0, 1, (count, 1, 3)).astype(np.float32),
        shN=rng.normal(0, 0.2, (count, (degree + 1) ** 2 - 1, 3)).astype(np.float32),
    )


def assert_close(one: Gaussians, other: Gaussians, tolerance: float, quats: float = 2e-3) -> None:
    """Equal rows in the same order; rotations as the shapes they give, opacities after the sigmoid: an opaque byte has no one logit."""
    np.testing.assert_allclose(opacity(one.opacities), opacity(other.opacities), atol=tolerance)
    for name in ("means", "scales", "sh0", "shN"):
        np.testing.assert_allclose(one.arrays()[name], other.arrays()[name], atol=tolerance, rtol=tolerance, err_msg=name)
    sizes = np.exp(2 * other.scales.max(axis=1))[:, None, None]
    assert (np.abs(covariances(one) - covariances(other)) <= quats * sizes).all()


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("chosen", FORMATS, ids=lambda chosen: chosen.name)
def test_they_read_what_we_write(tmp_path: Path, chosen: Format, degree: int) -> None:
    ours = tmp_path / f"öurs{chosen.suffix}"
    write_splats(ours, scene(degree), chosen=chosen)
    splat_transform(ours, tmp_path / "theirs.ply")
    theirs = read_splats(tmp_path / "theirs.ply", "SUPERSPLAT").gaussians
    # splat-transform takes 127.5 for the zero of a .splat's rotation, the viewer that the format comes from 128.
    assert_close(theirs, read_splats(ours, "SUPERSPLAT").gaussians, DECODING, quats=2e-2 if chosen is SPLAT else 1e-4)


def test_they_read_what_knows_its_object(tmp_path: Path) -> None:
    """Properties of theirs are in their place, and ours come back from their file where they keep them."""
    names = ("label", "confidence", "albedo_0", "albedo_1", "albedo_2", "nx", "ny", "nz")
    extra = np.zeros(700, [(name, "f4") for name in names])
    extra["label"], extra["nz"] = np.arange(700) % 5, 1
    write_splats(tmp_path / "ours.ply", scene(2), extra=extra)
    splat_transform(tmp_path / "ours.ply", tmp_path / "theirs.ply")
    theirs = read_splats(tmp_path / "theirs.ply")
    assert_close(theirs.gaussians, read_splats(tmp_path / "ours.ply").gaussians, DECODING, quats=1e-4)
    assert theirs.extra is not None and np.array_equal(theirs.extra["label"], extra["label"])


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize(("chosen", "options"), [(PLY, ()), (COMPRESSED_PLY, ()), (SPZ, ()), (SPZ_3, ("--spz-version", 3))],
                         ids=["PLY", "COMPRESSED_PLY", "SPZ", "SPZ_3"])
def test_we_read_what_they_write(tmp_path: Path, chosen: Format, options: tuple[object, ...], degree: int) -> None:
    """In one frame throughout: turning the harmonics would mix the steps that they are rounded to."""
    original, theirs = scene(degree), tmp_path / f"theirs{chosen.suffix}"
    write_splats(tmp_path / "a.ply", original, "BLENDER")
    splat_transform(*options, tmp_path / "a.ply", theirs)
    read = read_splats(theirs, "BLENDER").gaussians
    splat_transform(theirs, tmp_path / "again.ply")
    assert_close(read, read_splats(tmp_path / "again.ply", "BLENDER").gaussians, DECODING, quats=1e-4)
    distance, rows = KDTree(original.means).query(read.means)
    assert sorted(rows) == list(range(len(original))) and distance.max() < 0.02
    step = {PLY: 1e-6, COMPRESSED_PLY: 4 / 255}.get(chosen, 8.6 / 128)
    assert np.abs(read.shN - original.shN[rows]).max(initial=0) <= step
    assert np.abs(read.scales - original.scales[rows]).max() <= (1e-6 if chosen is PLY else 1 / 32 + 1e-4)


@pytest.mark.parametrize("chosen", [PLY, COMPRESSED_PLY, SPZ, SPZ_3], ids=lambda chosen: chosen.name)
def test_antialiasing_survives_them(tmp_path: Path, chosen: Format) -> None:
    ours = tmp_path / f"a{chosen.suffix}"
    for flag in (True, False):
        write_splats(ours, scene(0, 10), antialiased=flag, chosen=chosen)
        splat_transform(ours, tmp_path / "b.ply")
        assert read_splats(tmp_path / "b.ply").antialiased == read_splats(ours).antialiased == flag


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize(("axes", "chosen"), [("SUPERSPLAT", SPZ), ("OPENGL", SPZ), ("BLENDER", SPZ), ("OPENGL", SPZ_3)],
                         ids=["SUPERSPLAT", "OPENGL", "BLENDER", "version 3"])
def test_the_reference_reads_our_axes(tmp_path: Path, axes: str, chosen: Format, degree: int) -> None:
    """SPZ's own implementation turns the file into Blender's axes by what the file says about itself; version 3 can say nothing to it."""
    original = scene(degree, 300)
    write_splats(tmp_path / "a.spz", original, axes, antialiased=True, chosen=chosen)  # type: ignore[arg-type]
    cloud = read_spz(tmp_path / "a.spz", "RFU")
    assert (cloud["count"], cloud["degree"], cloud["antialiased"]) == (300, degree, True)
    rotations = np.array(cloud["rotations"], np.float32).reshape(-1, 4)[:, [3, 0, 1, 2]]
    theirs = Gaussians(
        means=np.array(cloud["positions"], np.float32).reshape(-1, 3), quats=rotations,
        scales=np.array(cloud["scales"], np.float32).reshape(-1, 3), opacities=np.array(cloud["alphas"], np.float32),
        sh0=np.array(cloud["colors"], np.float32).reshape(-1, 1, 3), shN=np.array(cloud["sh"], np.float32).reshape(300, -1, 3),
    )
    assert_close(theirs, read_splats(tmp_path / "a.spz").gaussians, DECODING, quats=1e-4)


@needs("splats")
@pytest.mark.parametrize("name", ["biker_spzv4_sh0.spz", "guitar.compressed.ply", "playbot_lod3_sh2_CONVERTED.ply",
                                  "train-1000_graphdeco_sh3.ply", "fixtures_minimal/minimal-v2.spz", "fixtures_minimal/minimal-v3.spz",
                                  "fixtures_minimal/minimal-v4.spz", "fixtures_minimal/minimal-raw.spz", "fixtures_minimal/minimal.splat"])
def test_real_files_read_alike(tmp_path: Path, name: str) -> None:
    splat_transform(REAL / name, tmp_path / "theirs.ply")
    theirs, ours = (read_splats(path, "SUPERSPLAT").gaussians for path in (tmp_path / "theirs.ply", REAL / name))
    assert_close(theirs, ours, DECODING, quats=2e-2 if name.endswith(".splat") else 1e-4)

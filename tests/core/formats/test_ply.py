"""Splat and point PLY files: real ones, round trips, and every way in which a file can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plyfile import PlyData, PlyElement

from engine.core.datasets.dataset import PointCloud
from engine.core.datasets.points_ply import read_points, write_points
from engine.core.errors import UserError
from engine.core.formats.ply import read_ply, write_ply
from engine.core.splats.gaussians import Gaussians
from engine.core.splats.transform import PLY_TO_BLENDER, transform_gaussians
from tests.core.splats.numpy_splats import covariances
from tests.data import real
from tests.scenes import colored_ball
from tests.speed import cost

REAL_FILES = {"train-1000_graphdeco_sh3.ply": (1000, 3), "playbot_lod3_sh2_CONVERTED.ply": (31000, 2)}
NAMES = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")


def splat_table(count: int = 5, names: tuple[str, ...] = NAMES, kind: str = "f4") -> np.ndarray:
    table = np.zeros(count, [(name, kind) for name in names])
    for index, name in enumerate(names):
        table[name] = np.arange(count) + 0.1 * index
    return table


def write(path: Path, table: np.ndarray, text: bool = False, order: str = "<", comments: tuple[str, ...] = ()) -> Path:
    """A PLY by plyfile, an implementation of its own."""
    PlyData([PlyElement.describe(table, "vertex")], text=text, byte_order=order, comments=list(comments)).write(str(path))
    return path


def same(left: Gaussians, right: Gaussians) -> bool:
    return all(np.array_equal(left.arrays()[name], right.arrays()[name]) for name in left.arrays())


def refused(path: Path, *words: str, reader: Callable[[Path], object] = read_ply) -> None:
    """The file is refused in one sentence with a hint, both of which hold the words."""
    with pytest.raises(UserError) as caught:
        reader(path)
    assert caught.value.hint and "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


# Round trips


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_blender_axes_come_back_bit_by_bit(tmp_path: Path, degree: int) -> None:
    ball = colored_ball(50, sh_degree=degree)
    write_ply(tmp_path / "a.ply", ball, axes="BLENDER")
    read = read_ply(tmp_path / "a.ply")
    assert read.axes == "BLENDER" and read.dropped == 0 and read.extra is None
    assert same(read.gaussians, ball)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_supersplat_axes_come_back(tmp_path: Path, degree: int) -> None:
    ball = colored_ball(50, sh_degree=degree)
    write_ply(tmp_path / "a.ply", ball)
    read = read_ply(tmp_path / "a.ply")
    assert read.axes == "SUPERSPLAT"
    assert_close(read.gaussians, ball)


def assert_close(read: Gaussians, expected: Gaussians) -> None:
    """Places, sizes, opacities and base colours exactly; what the change of axes mixes within 1e-6 of the row's largest."""
    for name in ("means", "scales", "opacities", "sh0"):
        assert np.array_equal(read.arrays()[name], expected.arrays()[name])
    for name in ("quats", "shN"):
        for got, wanted in zip(read.arrays()[name], expected.arrays()[name], strict=True):
            assert np.abs(got - wanted).max(initial=0) <= 1e-6 * np.abs(wanted).max(initial=1e-30)


numbers = st.floats(-100, 100, width=32, allow_subnormal=False)


@st.composite
def any_gaussians(draw: st.DrawFn) -> Gaussians:
    count, rest = draw(st.integers(0, 6)), draw(st.sampled_from([0, 3, 8, 15]))
    quats = draw(hnp.arrays(np.float32, (count, 4), elements=numbers))
    quats[~(np.abs(quats) > 1e-3).any(axis=1), 0] = 1.0
    return Gaussians(
        means=draw(hnp.arrays(np.float32, (count, 3), elements=numbers)), quats=quats,
        scales=draw(hnp.arrays(np.float32, (count, 3), elements=st.floats(-25, 10, width=32))),
        opacities=draw(hnp.arrays(np.float32, (count,), elements=numbers)),
        sh0=draw(hnp.arrays(np.float32, (count, 1, 3), elements=numbers)),
        shN=draw(hnp.arrays(np.float32, (count, rest, 3), elements=numbers)),
    )


@settings(max_examples=60, deadline=None)
@given(any_gaussians())
def test_any_gaussians_come_back(tmp_path_factory: pytest.TempPathFactory, gaussians: Gaussians) -> None:
    path = tmp_path_factory.getbasetemp() / "any.ply"
    write_ply(path, gaussians)
    assert_close(read_ply(path).gaussians, gaussians)
    write_ply(path, gaussians, axes="BLENDER")
    assert same(read_ply(path).gaussians, gaussians)


# The contract of other readers


def test_layout_is_the_one_that_viewers_read(tmp_path: Path) -> None:
    ball = colored_ball(7, sh_degree=1)
    write_ply(tmp_path / "a.ply", ball, comments=("SplatRenderMode: mip", "two\nlines \N{SNOWMAN}"))
    data = (tmp_path / "a.ply").read_bytes()
    header, body = data.split(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert lines[2:5] == ["comment SplatRenderMode: mip", "comment two lines ?", "element vertex 7"]
    expected = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *(f"f_rest_{index}" for index in range(9)), "opacity",
                "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert lines[5:] == [f"property float {name}" for name in expected]
    assert len(body) == 7 * 4 * len(expected)
    assert read_ply(tmp_path / "a.ply").comments == ("SplatRenderMode: mip", "two lines ?")


def test_values_as_another_reader_sees_them(tmp_path: Path) -> None:
    ball = colored_ball(7, sh_degree=1)
    write_ply(tmp_path / "a.ply", ball, axes="BLENDER")
    vertex = PlyData.read(str(tmp_path / "a.ply"))["vertex"].data
    assert np.array_equal(vertex["x"], ball.means[:, 0]) and np.array_equal(vertex["rot_0"], ball.quats[:, 0])
    assert not vertex["nx"].any() and np.array_equal(vertex["scale_2"], ball.scales[:, 2])
    # f_rest is channel-major: all of red, then green, then blue
    assert np.array_equal(vertex["f_rest_1"], ball.shN[:, 1, 0]) and np.array_equal(vertex["f_rest_3"], ball.shN[:, 0, 1])


def test_supersplat_axes_are_y_down(tmp_path: Path) -> None:
    ball = colored_ball(7)
    write_ply(tmp_path / "a.ply", ball)
    vertex = PlyData.read(str(tmp_path / "a.ply"))["vertex"].data
    for name, column, sign in (("x", 0, 1), ("y", 2, -1), ("z", 1, 1)):
        assert np.array_equal(vertex[name], sign * ball.means[:, column])


def test_axes_can_be_forced(tmp_path: Path) -> None:
    ball = colored_ball(7, sh_degree=2)
    write_ply(tmp_path / "a.ply", ball, axes="BLENDER")
    forced = read_ply(tmp_path / "a.ply", axes="SUPERSPLAT")
    assert forced.axes == "SUPERSPLAT" and same(forced.gaussians, transform_gaussians(ball, PLY_TO_BLENDER))


# Real files


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_file(name: str, tmp_path: Path) -> None:
    count, degree = REAL_FILES[name]
    read = read_ply(real(f"splats/{name}"))
    assert (len(read.gaussians), read.gaussians.sh_degree, read.dropped, read.axes) == (count, degree, 0, "SUPERSPLAT")
    write_ply(tmp_path / "again.ply", read.gaussians)
    theirs, ours = (PlyData.read(str(path))["vertex"].data for path in (real(f"splats/{name}"), tmp_path / "again.ply"))
    for column in (name for name in theirs.dtype.names if name not in ("nx", "ny", "nz")):
        size = 1.0 if column.startswith(("rot", "f_rest")) else np.abs(theirs[column])
        assert (np.abs(ours[column] - theirs[column]) <= 1e-6 * size).all(), column


def test_plyfile_sees_the_same_numbers() -> None:
    path = real("splats/train-1000_graphdeco_sh3.ply")
    vertex, ours = PlyData.read(str(path))["vertex"].data, read_ply(path, axes="BLENDER").gaussians
    rest = np.stack([vertex[f"f_rest_{index}"] for index in range(45)], axis=1).reshape(-1, 3, 15).transpose(0, 2, 1)
    assert np.array_equal(ours.shN, rest) and np.array_equal(ours.opacities, vertex["opacity"])
    assert np.array_equal(ours.quats, np.stack([vertex[f"rot_{index}"] for index in range(4)], axis=1))


# Unusual but sound


def test_any_order_doubles_extra_properties_and_no_normals(tmp_path: Path) -> None:
    names = ("label", *reversed(NAMES), "f_rest_8", *(f"f_rest_{index}" for index in range(8)))
    table = splat_table(5, names, "f8")
    read = read_ply(write(tmp_path / "a.ply", table), axes="BLENDER")
    assert read.extra is not None and read.extra_names == ("label",) and np.array_equal(read.extra["label"], table["label"])
    assert np.allclose(read.gaussians.means[:, 1], table["y"]) and np.allclose(read.gaussians.shN[:, 2, 2], table["f_rest_8"])
    assert read.gaussians.means.dtype == np.float32


@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_other_line_ends(tmp_path: Path, newline: bytes) -> None:
    data = write(tmp_path / "a.ply", splat_table()).read_bytes()
    header, body = data.split(b"end_header\n")
    (tmp_path / "b.ply").write_bytes(header.replace(b"\n", newline) + b"end_header" + newline + body)
    assert same(read_ply(tmp_path / "b.ply").gaussians, read_ply(tmp_path / "a.ply").gaussians)


def test_foreign_letters_in_comments(tmp_path: Path) -> None:
    data = write(tmp_path / "a.ply", splat_table(), comments=("by X",)).read_bytes()
    (tmp_path / "b.ply").write_bytes(data.replace(b"by X", "by J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen".encode()))
    assert len(read_ply(tmp_path / "b.ply").gaussians) == 5


def test_appended_elements_are_passed_over(tmp_path: Path) -> None:
    """Some trainers write their cameras after the splats."""
    elements = [PlyElement.describe(splat_table(), "vertex"), PlyElement.describe(np.zeros(3, [("fx", "f4"), ("fy", "f8")]), "intrinsic")]
    PlyData(elements, byte_order="<").write(str(tmp_path / "a.ply"))
    assert len(read_ply(tmp_path / "a.ply").gaussians) == 5


def test_rows_that_cannot_be_drawn_are_dropped_and_counted(tmp_path: Path) -> None:
    table = splat_table(6)
    table["x"][1], table["rot_2"][3], table["f_dc_1"][4] = np.nan, np.inf, -np.inf
    read = read_ply(write(tmp_path / "a.ply", table), axes="BLENDER")
    assert read.dropped == 3 and np.array_equal(read.gaussians.opacities, table["opacity"][[0, 2, 5]])


def test_full_opacity_and_zero_scale_are_mended(tmp_path: Path) -> None:
    """Converters write an opacity of 1 as an infinite logit, a flat splat as a scale of minus infinity."""
    table = splat_table(4)
    table["opacity"][0], table["opacity"][1], table["scale_1"][2] = np.inf, -np.inf, -np.inf
    for name in ("rot_0", "rot_1", "rot_2", "rot_3"):
        table[name][3] = 0
    read = read_ply(write(tmp_path / "a.ply", table), axes="BLENDER")
    assert read.dropped == 0 and read.gaussians.finite_rows().all()
    assert read.gaussians.opacities[0] > 20 and read.gaussians.opacities[1] < -20
    assert read.gaussians.scales[2, 1] < -20 and np.array_equal(read.gaussians.quats[3], [1, 0, 0, 0])


def test_writing_leaves_out_what_cannot_be_drawn(tmp_path: Path) -> None:
    ball = colored_ball(10)
    ball.means[3, 1] = np.nan
    ball.scales[5, 0] = -np.inf
    write_ply(tmp_path / "a.ply", ball)
    read = read_ply(tmp_path / "a.ply")
    assert len(PlyData.read(str(tmp_path / "a.ply"))["vertex"].data) == 9 and read.dropped == 0
    assert np.isfinite(covariances(read.gaussians)).all()


def test_nothing_at_all(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", colored_ball(10, sh_degree=3).take(slice(0, 0)))
    assert len(read_ply(tmp_path / "a.ply").gaussians) == 0


# Bad input


@pytest.mark.parametrize("cut", [1, 100, 270])
def test_truncated(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path / "a.ply", splat_table())
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path, "a.ply", "cut off")


def test_longer_than_promised(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ply", splat_table())
    path.write_bytes(path.read_bytes() + b"\0")
    refused(path, "longer")


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_ascii_and_big_endian_hold_the_same(tmp_path: Path, kind: str) -> None:
    table = splat_table(names=(*NAMES, "label"), kind=kind)
    binary = read_ply(write(tmp_path / "a.ply", table))
    for path in (write(tmp_path / "b.ply", table, text=True), write(tmp_path / "c.ply", table, order=">")):
        read = read_ply(path)
        assert same(read.gaussians, binary.gaussians)
        assert read.extra is not None and binary.extra is not None and np.array_equal(read.extra, binary.extra)


@pytest.mark.parametrize(("body", "word"), [
    (b"", "cut off"), (b"0\n0\n", "cut off"), (b"0 1\n2 3\n4 5.000000\n", "cannot be read"), (b"a b c\n" * 3, "cannot be read"),
    (b"\n" * 20, "cut off")])
def test_ascii_that_is_no_table(tmp_path: Path, body: bytes, word: str) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nend_header\n" + body)
    refused(path, word, reader=read_points)


def test_an_ascii_header_that_boasts(tmp_path: Path) -> None:
    """Four thousand million rows, and hardly any bytes: refused before a row is read."""
    path = tmp_path / "a.ply"
    for prop in (b"property list uchar int i\n", b"property float x\n", b""):
        path.write_bytes(b"ply\nformat ascii 1.0\nelement vertex 4000000000\n" + prop + b"end_header\n0 0 0\n")
        refused(path, reader=read_points)


def test_rows_of_extra_properties_follow_the_splats(tmp_path: Path) -> None:
    table = splat_table(6, (*NAMES, "label"))
    table["x"][2] = np.nan
    read = read_ply(write(tmp_path / "a.ply", table))
    assert read.extra is not None and np.array_equal(read.extra["label"], np.delete(table["label"], 2))


def test_missing_properties_are_named(tmp_path: Path) -> None:
    names = tuple(name for name in NAMES if name not in ("opacity", "rot_2"))
    refused(write(tmp_path / "a.ply", splat_table(names=names)), "opacity, rot_2")


@pytest.mark.parametrize("numbers", [range(8), range(3), range(46), [*range(8), 9], range(1, 10)])
def test_harmonics_that_form_no_degree(tmp_path: Path, numbers: range | list[int]) -> None:
    refused(write(tmp_path / "a.ply", splat_table(names=(*NAMES, *(f"f_rest_{number}" for number in numbers)))), "f_rest", "degree")


def test_lists(tmp_path: Path) -> None:
    faces = np.array([([0, 1, 2],)], dtype=[("vertex_indices", "i4", (3,))])
    elements = [PlyElement.describe(splat_table(), "vertex"), PlyElement.describe(faces, "face")]
    PlyData(elements[::-1], byte_order="<").write(str(tmp_path / "a.ply"))
    refused(tmp_path / "a.ply", "vertex_indices")


@pytest.mark.parametrize("data", [b"", b"p", b"ply", b"plywood\n", b"\x89PNG\r\n", b"solid\n"])
def test_not_a_ply(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.ply").write_bytes(data)
    refused(tmp_path / "a.ply", "not a PLY")


@pytest.mark.parametrize("header", [
    "format binary_little_endian 1.0\n",
    "end_header\n",
    "format binary_little_endian 1.0\nend_header\n",
    "format binary_little_endian 2.0\nelement vertex 1\nend_header\n",
    "format binary_little_endian 1.0\nelement vertex -4\nproperty float x\nend_header\n",
    "format binary_little_endian 1.0\nelement vertex many\nproperty float x\nend_header\n",
    "format binary_little_endian 1.0\nelement vertex 1\nproperty float x\nproperty float x\nend_header\n",
    "format binary_little_endian 1.0\nelement vertex 1\nproperty half x\nend_header\n",
    "format binary_little_endian 1.0\nelement vertex 999999999999999999999\nend_header\n",
    "format binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\nend_header\n",
    "format binary_little_endian 1.0\nelement chunk 2\nproperty float min_x\nend_header\n",
    "format binary_little_endian 1.0\nelement vertex 0\nproperty list uchar int x\nend_header\n",
])
def test_headers_that_make_no_sense(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.ply").write_text("ply\n" + header)
    refused(tmp_path / "a.ply", "a.ply")
    refused(tmp_path / "a.ply", "a.ply", reader=read_points)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "none.ply", "none.ply")
    with pytest.raises(UserError):
        read_ply(tmp_path)
    with pytest.raises(UserError):
        write_ply(tmp_path / "missing" / "a.ply", colored_ball(3))
    assert list(tmp_path.iterdir()) == []


GOOD = splat_table(3)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Bytes changed, cut out or put in anywhere: Gaussians or UserError, and never memory for what is not there."""
    path = tmp_path_factory.getbasetemp() / "damaged.ply"
    good = write(path, GOOD).read_bytes()
    start = data.draw(st.integers(0, len(good)))
    replaced = data.draw(st.integers(0, 8))
    path.write_bytes(good[:start] + data.draw(st.binary(max_size=12)) + good[start + replaced :])
    for reader in (read_ply, read_points):
        try:
            reader(path)
        except UserError as error:
            assert error.hint


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["element vertex 3", "element vertex 0", "element face 2", "property float x", "property float y",
                                 "property float z", "property list uchar int i", "property uchar red", "property double green",
                                 "comment c", "obj_info o", "", "format ascii 1.0", "end_header"]), max_size=12), st.binary(max_size=64))
def test_shuffled_headers_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, lines: list[str], body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "shuffled.ply"
    path.write_bytes("\n".join(["ply", "format binary_little_endian 1.0", *lines, "end_header\n"]).encode() + body)
    for reader in (read_ply, read_points):
        try:
            reader(path)
        except UserError as error:
            assert error.hint


# Points


def points(count: int = 4) -> PointCloud:
    random = np.random.default_rng(0)
    return PointCloud(random.standard_normal((count, 3)).astype(np.float32), random.integers(0, 256, (count, 3)).astype(np.uint8))


def test_points_come_back_where_they_were(tmp_path: Path) -> None:
    write_points(tmp_path / "a.ply", points())
    read = read_points(tmp_path / "a.ply")
    assert np.array_equal(read.positions, points().positions) and np.array_equal(read.colors, points().colors)
    assert read.positions.dtype == np.float32 and read.colors.dtype == np.uint8
    vertex = PlyData.read(str(tmp_path / "a.ply"))["vertex"].data
    assert vertex.dtype.names == ("x", "y", "z", "red", "green", "blue")


@pytest.mark.parametrize(("kind", "value", "expected"), [
    ("f4", 0.5, 128), ("f8", 1.0, 255), ("u2", 65535, 255), ("u1", 77, 77), ("f4", 200.0, 200)])
def test_point_colours_of_every_kind(tmp_path: Path, kind: str, value: float, expected: int) -> None:
    table = np.zeros(2, [("x", "f4"), ("y", "f4"), ("z", "f8"), ("red", kind), ("green", kind), ("blue", kind)])
    for name in ("red", "green", "blue"):
        table[name] = value
    read = read_points(write(tmp_path / "a.ply", table))
    assert (read.colors == expected).all()


def test_points_without_colour_are_grey_and_nan_points_are_left_out(tmp_path: Path) -> None:
    table = np.zeros(3, [("x", "f4"), ("y", "f4"), ("z", "f4")])
    table["y"][1] = np.nan
    read = read_points(write(tmp_path / "a.ply", table))
    assert len(read) == 2 and (read.colors == 128).all()


def test_points_without_a_place(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.ply", np.zeros(3, [("x", "f4"), ("y", "f4")])), "lacks x, y or z", reader=read_points)


def test_a_million_rows_are_quick(tmp_path: Path) -> None:
    """A fifth of it; no row is looked at by Python."""
    random = np.random.default_rng(0)
    many = colored_ball(1, sh_degree=3).take(np.zeros(200_000, int))
    many.means[:] = random.standard_normal(many.means.shape)
    write_ply(tmp_path / "a.ply", many)
    assert cost(lambda: read_ply(tmp_path / "a.ply")) < 12


def test_ascii_points_are_read(tmp_path: Path) -> None:
    """nerfstudio's own tools write them."""
    path = tmp_path / "sparse_pc.ply"
    header = ["ply", "format ascii 1.0", "element vertex 2", *(f"property float {name}" for name in "xyz"),
              *(f"property uint8 {name}" for name in ("red", "green", "blue")), "end_header"]
    path.write_text("\n".join([*header, "0.5 1 -2 255 128 0", "nan 0 0 1 2 3"]) + "\n")
    points = read_points(path)
    assert np.allclose(points.positions, [[0.5, 1, -2]]) and points.colors.tolist() == [[255, 128, 0]]
    path.write_text("\n".join([*header, "0.5 1 -2 255 128 0"]) + "\n")
    with pytest.raises(UserError, match="cut off"):
        read_points(path)

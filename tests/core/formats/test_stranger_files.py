"""Splat files as other programs and trainings leave them: each test makes its own."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from engine.core.errors import UserError
from engine.core.formats.quantization import opacity
from engine.core.formats.registry import COMPRESSED_PLY, PLY, SPLAT, SPZ, SPZ_3, Format, axes_lost, lost_in, read_splats, write_splats
from engine.core.formats.spz_container import unpack_spz
from engine.core.splats.axes import into_blender, out_of_blender, turn_upright
from engine.core.splats.gaussians import Gaussians, sh0_to_rgb
from engine.core.splats.transform import transform_gaussians
from tests.core.splats.numpy_splats import covariances

NAMES = ("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")


def columns(count: int = 20, rest: int = 0, **others: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of a sound file, some of them replaced or added."""
    rng = np.random.default_rng(1)
    made = {name: rng.normal(0, 1, count).astype(np.float32) for name in (*NAMES, *(f"f_rest_{index}" for index in range(rest)))}
    for name in ("scale_0", "scale_1", "scale_2"):
        made[name] -= np.float32(4)
    return made | others


def without(made: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {name: column for name, column in made.items() if name not in names}


def element(made: dict[str, np.ndarray], name: str = "vertex") -> PlyElement:
    table = np.empty(len(next(iter(made.values()))), [(key, column.dtype) for key, column in made.items()])
    for key, column in made.items():
        table[key] = column
    return PlyElement.describe(table, name)


def ply(path: Path, made: dict[str, np.ndarray], *others: PlyElement, comments: tuple[str, ...] = (), text: bool = False) -> Path:
    PlyData([element(made), *others], byte_order="<", text=text, comments=list(comments)).write(str(path))
    return path


def vertices(path: Path) -> np.ndarray:
    return PlyData.read(str(path))["vertex"].data


def scene(count: int = 2000) -> Gaussians:
    """A hundred metres of splats of ten centimetres."""
    rng = np.random.default_rng(0)
    return Gaussians(
        means=(rng.uniform(-0.5, 0.5, (count, 3)) * (100, 100, 10)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=rng.normal(-2.3, 0.5, (count, 3)).astype(np.float32), opacities=rng.normal(0, 2, count).astype(np.float32),
        sh0=rng.normal(size=(count, 1, 3)).astype(np.float32), shN=np.zeros((count, 0, 3), np.float32))


def changed(gaussians: Gaussians, **arrays: np.ndarray) -> Gaussians:
    return Gaussians(**{**gaussians.arrays(), **arrays})


def with_far(gaussians: Gaussians, *places: tuple[float, float, float]) -> Gaussians:
    means = gaussians.means.copy()
    means[: len(places)] = places
    return changed(gaussians, means=means)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        read_splats(path)
    assert caught.value.hint and all(word in str(caught.value) for word in words), str(caught.value)


# Extremes


FAR = ((4e6, 0, 0), (-3e6, -2e6, -3e6), (0, 1.6e7, 2e6))


def nearest(read: np.ndarray, wanted: np.ndarray) -> float:
    """The largest distance of a place that was read from the one it was written from."""
    return max(float(np.linalg.norm(wanted - place, axis=1).min()) for place in read)


@pytest.mark.parametrize(("chosen", "step"), [(SPZ, 2.0**-13), (SPZ_3, 2.0**-13), (COMPRESSED_PLY, 0.05), (SPLAT, 0), (PLY, 0)],
                         ids=["SPZ", "SPZ_3", "COMPRESSED_PLY", "SPLAT", "PLY"])
def test_a_few_far_splats_cost_the_others_nothing(tmp_path: Path, chosen: Format, step: float) -> None:
    """What cannot hold both leaves the few out, and says how many."""
    original, path = with_far(scene(), *FAR), tmp_path / f"a{chosen.suffix}"
    write_splats(path, original, chosen=chosen)
    read = read_splats(path, chosen.own_axes or "SUPERSPLAT")
    holds_all = chosen in (PLY, SPLAT)
    assert len(read.gaussians) == len(original) - (0 if holds_all else len(FAR))
    assert nearest(read.gaussians.means[::7], original.means) <= step * 3**0.5 + 1e-9
    assert bool(read.notes) == holds_all  # whoever still has them hears of them
    lost = lost_in(chosen, original)
    assert not lost if holds_all else "3 splats were left out" in lost[0]


def test_skies_and_backgrounds_stay(tmp_path: Path) -> None:
    """Splats at a hundred times the scene's size are no accident."""
    original = with_far(scene(), (4000, 0, 0), (-3000, 2000, 900), (0, 0, 5000))
    for chosen in (SPZ, SPZ_3, COMPRESSED_PLY):
        path = tmp_path / f"a{chosen.suffix}"
        write_splats(path, original, chosen=chosen)
        assert len(read_splats(path).gaussians) == len(original) and not lost_in(chosen, original)
    assert not read_splats(path).notes


def test_splats_around_the_mass_share_the_last_chunk(tmp_path: Path) -> None:
    """The others keep places as exact as without them."""
    calm, wild = scene(), with_far(scene(), (4000, 0, 0), (-3000, 2000, 900))
    errors = []
    for gaussians in (calm, wild):
        write_splats(tmp_path / "a.compressed.ply", gaussians)
        read = read_splats(tmp_path / "a.compressed.ply").gaussians.means
        errors.append(np.sort([np.linalg.norm(gaussians.means - place, axis=1).min() for place in read])[:-256].max())
    assert errors[1] < 1.5 * errors[0]


def test_small_sets_and_all_at_one_place_are_left_alone(tmp_path: Path) -> None:
    """Of ten splats nobody can say which are the few."""
    few = with_far(scene(10), FAR[0])
    assert not lost_in(COMPRESSED_PLY, few) and not lost_in(SPLAT, few)
    write_splats(tmp_path / "a.spz", few)
    assert len(read_splats(tmp_path / "a.spz").gaussians) == 10
    one = changed(scene(200), means=np.ones((200, 3), np.float32))
    write_splats(tmp_path / "b.spz", one)
    assert len(read_splats(tmp_path / "b.spz").gaussians) == 200


def test_nothing_within_the_reach_of_spz(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="further than SPZ"):
        write_splats(tmp_path / "a.spz", changed(scene(), means=scene().means + np.float32(9e6)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("shift", "wrong"), [(-12, {SPZ, SPZ_3}), (12, {SPZ, SPZ_3}), (30, {SPZ, SPZ_3, COMPRESSED_PLY}),
                                              (200, {SPZ, SPZ_3, COMPRESSED_PLY, SPLAT})])
def test_sizes_beyond_a_format_are_clamped_and_told(tmp_path: Path, shift: float, wrong: set[Format]) -> None:
    original = changed(scene(), scales=scene().scales + np.float32(shift))
    for chosen in (SPZ, SPZ_3, COMPRESSED_PLY, SPLAT):
        path = tmp_path / f"a{chosen.suffix}"
        write_splats(path, original, chosen=chosen)
        read = read_splats(path)
        assert len(read.gaussians) == len(original) and read.dropped == 0, chosen.name
        assert ("2,000 of 2,000" in "".join(lost_in(chosen, original))) == (chosen in wrong), chosen.name


def test_sizes_beyond_floats_are_limited_and_told(tmp_path: Path) -> None:
    """Nothing overflows later, when splats are stretched or drawn."""
    made = columns(50)
    made["scale_1"][:3] = (90, 1000, 3e38)
    read = read_splats(ply(tmp_path / "a.ply", made), "BLENDER")
    assert "3 splats were larger" in read.notes[0] and read.dropped == 0 and read.gaussians.scales.max() == 80
    stretched = transform_gaussians(read.gaussians, np.diag([1.0, 2.0, 3.0, 1.0]))
    assert np.isfinite(stretched.scales).all() and np.isfinite(stretched.quats).all()
    made["scale_1"][3] = np.inf  # no size at all
    assert read_splats(ply(tmp_path / "b.ply", made)).dropped == 1


def test_a_thin_side_that_a_format_makes_thicker_is_no_loss() -> None:
    flat = scene()
    flat.scales[:, 2] = -25
    assert not lost_in(SPZ, flat)
    flat.scales[:] = -10  # the smallest that it holds
    assert not lost_in(SPZ, flat)


@pytest.mark.parametrize(("shift", "word"), [(-12, "hardly any is seen"), (10, "larger than the whole scene"), (0, "")])
def test_strange_sizes_are_told_in_every_unit(tmp_path: Path, shift: float, word: str) -> None:
    for unit in (1e-3, 1.0, 1e3 if shift < 10 else 0.5):  # in more, they could as well be lengths
        original = scene()
        arrays = {"means": original.means * np.float32(unit), "scales": original.scales + np.float32(np.log(unit) + shift)}
        write_splats(tmp_path / "a.ply", changed(original, **arrays))
        notes = read_splats(tmp_path / "a.ply").notes
        assert word in notes[0] if word else not notes


def test_double_precision_that_was_lost_is_told_in_millimetres(tmp_path: Path) -> None:
    made = columns(400)
    survey = made | {"x": made["x"].astype(np.float64) + 500000.123, "z": made["z"].astype(np.float64) + 4649776.22}
    first, second = read_splats(ply(tmp_path / "a.ply", survey)).notes
    moved = 1000 * np.abs(survey["z"] - survey["z"].astype(np.float32)).max()
    assert f"{moved:.3g} mm" in first and "from the origin" in second and "500 mm" in second
    near = made | {name: made[name].astype(np.float64) / 3 for name in "xyz"}
    assert not read_splats(ply(tmp_path / "b.ply", near)).notes


def test_far_from_the_origin_is_told_by_every_format(tmp_path: Path) -> None:
    away = changed(scene(), means=scene().means + np.float32(4e6))
    for chosen in (PLY, COMPRESSED_PLY, SPZ, SPLAT):
        path = tmp_path / f"a{chosen.suffix}"
        write_splats(path, away, chosen=chosen)
        assert "from the origin" in "".join(read_splats(path).notes), chosen.name
    assert "rounded by up to 500 mm" in "".join(lost_in(SPZ, away)) and len(read_splats(tmp_path / "a.spz").gaussians) == 2000


# What a PLY may lack, or have instead


def test_flat_splats(tmp_path: Path) -> None:
    made = columns()
    read = read_splats(ply(tmp_path / "a.ply", without(made, "scale_2")), "BLENDER")
    expected = np.minimum(made["scale_0"], made["scale_1"]) + np.log(1e-3)
    np.testing.assert_allclose(read.gaussians.scales[:, 2], expected, rtol=1e-6)
    assert "flat" in read.notes[0] and not lost_in(SPZ, read.gaussians)


@pytest.mark.parametrize("names", [("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b")])
@pytest.mark.parametrize(("kind", "full"), [("u1", 255), ("u2", 65535), ("f4", 1.0), ("f8", 255.0)])
def test_colours_as_red_green_and_blue(tmp_path: Path, names: tuple[str, ...], kind: str, full: float) -> None:
    shares = {name: np.linspace(0, 1, 20) * (index + 1) / 3 for index, name in enumerate(names)}
    made = without(columns(), "f_dc_0", "f_dc_1", "f_dc_2") | {name: (share * full).astype(kind) for name, share in shares.items()}
    read = read_splats(ply(tmp_path / "a.ply", made))
    np.testing.assert_allclose(sh0_to_rgb(read.gaussians.sh0[:, 0]), np.stack(list(shares.values()), axis=1), atol=1 / 254)
    assert read.extra is None and "red, green and blue" in read.notes[0]


def test_both_kinds_of_colour(tmp_path: Path) -> None:
    """f_dc counts; red, green and blue are kept as they are."""
    colors = {name: np.arange(20, dtype=np.uint8) for name in ("red", "green", "blue")}
    read = read_splats(ply(tmp_path / "a.ply", columns() | colors))
    assert np.array_equal(read.gaussians.sh0[:, 0, 1], columns()["f_dc_1"]) and read.extra is not None
    assert read.extra["green"].dtype == np.uint8 and np.array_equal(read.extra["green"], colors["green"])


def test_harmonics_of_degree_4(tmp_path: Path) -> None:
    made = columns(rest=72)
    read = read_splats(ply(tmp_path / "a.ply", made), "BLENDER")
    assert read.gaussians.sh_degree == 3 and "degree 4" in read.notes[0]
    assert np.array_equal(read.gaussians.shN[:, 14, 1], made["f_rest_38"])  # the fifteenth of green, which begins at 24


def test_a_filter_of_mip_splatting_is_taken_in_once(tmp_path: Path) -> None:
    made = columns() | {"filter_3D": np.linspace(0.001, 0.1, 20, dtype=np.float32)}
    read = read_splats(ply(tmp_path / "a.ply", made), "BLENDER")
    scales = np.exp(np.stack([made[f"scale_{axis}"] for axis in range(3)], axis=1).astype(float))
    wide = np.sqrt(scales**2 + made["filter_3D"][:, None].astype(float) ** 2)
    np.testing.assert_allclose(np.exp(read.gaussians.scales), wide, rtol=1e-5)
    shares = opacity(made["opacity"]) * scales.prod(axis=1) / wide.prod(axis=1)
    np.testing.assert_allclose(opacity(read.gaussians.opacities), shares, rtol=1e-4)
    assert "3D filter" in read.notes[0] and read.extra is None
    write_splats(tmp_path / "b.ply", read.gaussians, "BLENDER", extra=read.extra)
    assert np.array_equal(read_splats(tmp_path / "b.ply").gaussians.scales, read.gaussians.scales)


def test_a_filter_of_nothing_changes_nothing(tmp_path: Path) -> None:
    read = read_splats(ply(tmp_path / "a.ply", columns() | {"filter_3d": np.zeros(20, np.float32)}), "BLENDER").gaussians
    np.testing.assert_allclose(read.scales[:, 0], columns()["scale_0"], rtol=1e-6)
    np.testing.assert_allclose(read.opacities, columns()["opacity"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("number", "linear"), [(0, False), (1, True)])
def test_ml_sharps_colour_space(tmp_path: Path, number: int, linear: bool) -> None:
    shares = np.linspace(0, 1, 20, dtype=np.float32)
    made = columns() | {f"f_dc_{index}": ((shares - 0.5) / 0.28209479).astype(np.float32) for index in range(3)}
    space = element({"color_space": np.array([number], np.uint8)}, "color_space")
    read = read_splats(ply(tmp_path / "a.ply", made, element({"extrinsic": np.eye(4, dtype=np.float32).ravel()}, "extrinsic"), space))
    srgb = np.where(shares <= 0.0031308, shares * 12.92, 1.055 * shares ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(sh0_to_rgb(read.gaussians.sh0[:, 0, 2]), srgb if linear else shares, atol=1e-5)
    assert bool(read.notes) == linear


@pytest.mark.parametrize(("comment", "up"), [
    ("0.1 -0.2 0.97", (0.1, -0.2, 0.97)), ("0 1 0", (0, 1, 0)), ("x", (1, 0, 0)), ("z", (0, 0, -1))])
@pytest.mark.parametrize("suffix", [".ply", ".compressed.ply"])
def test_the_up_that_brush_names(tmp_path: Path, comment: str, up: tuple[float, float, float], suffix: str) -> None:
    """Places along it end on Blender's vertical; shapes and colours turn with them; axes chosen by hand leave all as it lies."""
    original = changed(scene(300), means=np.outer(np.linspace(1, 2, 300), np.array(up) / np.linalg.norm(up)).astype(np.float32))
    path = tmp_path / f"a{suffix}"
    write_splats(path, into_blender(original, "SUPERSPLAT"))
    path.write_bytes(path.read_bytes().replace(b"\nelement", f"\ncomment Vertical axis: {comment}\nelement".encode(), 1))
    read, lying = read_splats(path), read_splats(path, "SUPERSPLAT")
    assert np.abs(read.gaussians.means[:, :2]).max() < 2e-3 and read.gaussians.means[:, 2].min() > 0.99 and "is up" in read.notes[0]
    unturned = read_splats(path, upright=False)
    assert np.array_equal(unturned.gaussians.means, lying.gaussians.means) and not unturned.notes
    assert not lying.notes and np.allclose(lying.gaussians.means, into_blender(lying_in_file(lying.gaussians), "SUPERSPLAT").means)
    turned = turn_upright(lying.gaussians, up, "SUPERSPLAT")
    np.testing.assert_allclose(covariances(turned), covariances(read.gaussians), atol=1e-6)


def lying_in_file(gaussians: Gaussians) -> Gaussians:
    return out_of_blender(gaussians, "SUPERSPLAT")


@pytest.mark.parametrize("words", ["y", "0 -1 0", "0 0 0", "up", "", "nan 0 0", "1 2"])
def test_the_usual_up_turns_nothing(tmp_path: Path, words: str) -> None:
    read = read_splats(ply(tmp_path / "a.ply", columns(), comments=("Exported from Brush", f"Vertical axis: {words}")))
    assert not read.notes and np.array_equal(read.gaussians.means[:, 2], -columns()["y"])


def test_the_last_mark_of_antialiasing_counts(tmp_path: Path) -> None:
    for comments, expected in ((("SplatRenderMode: mip", "antialiased 0"), False), (("SplatRenderMode: default", "antialiased 1"), True)):
        assert read_splats(ply(tmp_path / "a.ply", columns(), comments=comments)).antialiased == expected


EXTRA = {
    "label": np.arange(20, dtype=np.int32) + 16777217, "id": np.arange(20, dtype=np.uint32) + 2**31, "kind": np.arange(20, dtype=np.uint8),
    "level": (np.arange(20) - 9).astype(np.int8), "short": (np.arange(20) - 300).astype(np.int16), "time": np.arange(20) + 1e9 + 1e-3}


def test_extra_properties_are_written_back_in_their_types(tmp_path: Path) -> None:
    made = columns() | EXTRA
    made["x"][3] = np.nan
    read = read_splats(ply(tmp_path / "a.ply", made))
    gaussians = read.gaussians
    gaussians.means[5] = np.inf  # what cannot be drawn is not written, nor are its extras
    assert write_splats(tmp_path / "b.ply", gaussians, extra=read.extra) is PLY
    again = vertices(tmp_path / "b.ply")
    for name, column in EXTRA.items():
        kept = np.delete(np.delete(column, 3), 5)
        assert again[name].dtype == column.dtype and np.array_equal(again[name], kept), name
    assert "label, id" in "".join(lost_in(SPZ, scene(), read.extra_names)) and not lost_in(PLY, scene(), read.extra_names)


# Scales


@pytest.mark.parametrize("shares", [True, False])
def test_linear_scales_are_suspected_and_read_when_asked_for(tmp_path: Path, shares: bool) -> None:
    made = columns(300)
    linear = made | {name: np.exp(made[name]) for name in ("scale_0", "scale_1", "scale_2")}
    linear |= {"opacity": opacity(made["opacity"])} if shares else {}
    path = ply(tmp_path / "a.ply", linear)
    assert "Scales Are Linear" in read_splats(path).notes[0] and ("shares" in read_splats(path).notes[0]) == shares
    read = read_splats(path, "BLENDER", linear_scales=True)
    np.testing.assert_allclose(read.gaussians.scales[:, 1], made["scale_1"], rtol=1e-5)
    np.testing.assert_allclose(read.gaussians.opacities, made["opacity"], rtol=1e-4, atol=1e-5)
    assert not read.notes and read.dropped == 0


def test_lengths_that_are_none_are_dropped_with_their_extras(tmp_path: Path) -> None:
    made = columns() | {name: np.full(20, 0.01, np.float32) for name in ("scale_0", "scale_1", "scale_2")} | {"label": np.arange(20)}
    made["label"] = made["label"].astype(np.int32)
    made["scale_1"][2], made["scale_0"][4] = -1, 0
    read = read_splats(ply(tmp_path / "a.ply", made), linear_scales=True)
    assert read.dropped == 1 and len(read.gaussians) == 19 and read.extra is not None and 2 not in read.extra["label"]


@pytest.mark.parametrize("unit", [0.001, 1, 1000])
def test_no_sound_scene_is_suspected(tmp_path: Path, unit: float) -> None:
    made = columns(300)
    made |= {name: made[name] * np.float32(unit) for name in "xyz"}
    made |= {name: made[name] + np.float32(np.log(unit)) for name in ("scale_0", "scale_1", "scale_2")}
    assert not read_splats(ply(tmp_path / "a.ply", made)).notes


# Meshes, points and other names


FACES = PlyElement.describe(np.array([([0, 1, 2],), ([1, 2, 3],)], dtype=[("vertex_indices", "i4", (3,))]), "face")


@pytest.mark.parametrize("text", [False, True])
def test_splats_with_faces_are_read_and_the_faces_told(tmp_path: Path, text: bool) -> None:
    read = read_splats(ply(tmp_path / "a.ply", columns(), FACES, text=text))
    assert len(read.gaussians) == 20 and "mesh" in read.notes[0] and "2 faces" in read.notes[0]


def test_a_mesh_and_points_are_called_so(tmp_path: Path) -> None:
    places = {name: columns()[name] for name in "xyz"}
    refused(ply(tmp_path / "a.ply", places, FACES), "a mesh", "Stanford PLY")
    colors = {name: np.zeros(20, np.uint8) for name in ("red", "green", "blue")}
    refused(ply(tmp_path / "b.ply", places | colors), "holds points", "points3d")


@pytest.mark.parametrize(("name", "head", "word"), [
    ("a.splat", b"ply\n" + bytes(60), "a PLY"), ("a.splat", b"NGSP" + bytes(60), "an SPZ"),
    ("a.ply", gzip.compress(bytes(9)), "a gzip (SPZ)"),
    ("a.spz", b"ply\n", "a PLY"), ("a.spz", b"PK\3\4", "a ZIP"), ("a.ksplat", b"", "SuperSplat")])
def test_files_of_another_kind_than_their_name(tmp_path: Path, name: str, head: bytes, word: str) -> None:
    (tmp_path / name).write_bytes(head)
    refused(tmp_path / name, word)


# Headers and text


def header_edits() -> dict[str, tuple[bytes, bytes]]:
    return {
        "byte order mark": (b"ply\n", b"\xef\xbb\xbfply\n"), "blank line": (b"element", b"\nelement"),
        "two spaces": (b"property float x\n", b"property  float   x \n"),
        "tab": (b"property float x\n", b"property\tfloat\tx\n"), "version 1.1": (b"1.0", b"1.1"), "capital": (b"float x\n", b"float X\n"),
        "end with a space": (b"end_header\n", b"end_header \n"), "comment": (b"element", b"comment\ncomment end_header here\nelement")}


@pytest.mark.parametrize("case", header_edits())
@pytest.mark.parametrize("text", [False, True])
def test_headers_that_others_write(tmp_path: Path, case: str, text: bool) -> None:
    path = ply(tmp_path / "a.ply", columns(), text=text)
    before, after = header_edits()[case]
    path.write_bytes(path.read_bytes().replace(before, after, 1))
    assert np.allclose(read_splats(path, "BLENDER").gaussians.means[:, 0], columns()["x"])


def test_white_space_after_the_data(tmp_path: Path) -> None:
    path = ply(tmp_path / "a.ply", columns())
    path.write_bytes(path.read_bytes() + b"\r\n")
    assert len(read_splats(path).gaussians) == 20
    path.write_bytes(path.read_bytes() + b" " * 2000)
    refused(path, "longer")


@pytest.mark.parametrize(("sign", "other"), [(b".", b","), (b" ", b", "), (b" ", b"\n")])
def test_text_with_commas_and_other_line_breaks(tmp_path: Path, sign: bytes, other: bytes) -> None:
    path = ply(tmp_path / "a.ply", columns(), text=True)
    head, body = path.read_bytes().split(b"end_header\n")
    path.write_bytes(head + b"end_header\n" + body.replace(sign, other))
    assert np.allclose(read_splats(path, "BLENDER").gaussians.scales[:, 2], columns()["scale_2"], rtol=1e-5)


# SPZ


def spz(version: int, places: np.ndarray) -> bytes:
    """An SPZ of version 1, 2 or 3 without a mark of axes: grey splats that are not turned."""
    count = len(places)
    fixed = np.rint(places * 4096).astype("<i4").view(np.uint8).reshape(count, 3, 4)[:, :, :3].tobytes()
    turns = bytes([128] * 3) * count if version < 3 else struct.pack("<I", 3 << 30) * count
    positions = places.astype("<f2").tobytes() if version == 1 else fixed
    return struct.pack("<4sIIBBBB", b"NGSP", version, count, 0, 12, 0, 0) + positions + bytes([128]) * count * 7 + turns


PLACES = np.array([[1, 2, 3], [-1, 0.5, 0], [4, -5, 6]], np.float32)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_old_version_and_its_missing_axes(tmp_path: Path, version: int) -> None:
    (tmp_path / "a.spz").write_bytes(gzip.compress(spz(version, PLACES)))
    read = read_splats(tmp_path / "a.spz")
    assert np.allclose(read.gaussians.means, PLACES[:, [0, 2, 1]] * [1, -1, 1]) and read.axes_guessed and "Turn Over" in read.notes[0]
    assert np.allclose(np.abs(read_splats(tmp_path / "a.spz", "BLENDER").gaussians.quats[:, 0]), 1, atol=1e-4)


def test_gzip_of_several_members(tmp_path: Path) -> None:
    """Packed in parallel, or with something behind it that is no part of the file."""
    data = spz(3, PLACES)
    for cut in (10, 30, len(data)):
        (tmp_path / "a.spz").write_bytes(gzip.compress(data[:cut]) + gzip.compress(data[cut:]) + b"tail")
        assert np.allclose(read_splats(tmp_path / "a.spz", "BLENDER").gaussians.means, PLACES)
    (tmp_path / "a.spz").write_bytes(gzip.compress(data[:40]) + gzip.compress(data[40:])[:-12])
    with pytest.raises(UserError):
        read_splats(tmp_path / "a.spz")


def test_spz_3_has_its_own_axes_and_comes_back_exactly(tmp_path: Path) -> None:
    """Older readers take Y for up whatever was asked for; ours finds a mark."""
    original = scene(50)
    for axes in ("SUPERSPLAT", "OPENGL", "BLENDER"):
        write_splats(tmp_path / "a.spz", original, axes, chosen=SPZ_3)
        streams = unpack_spz(tmp_path / "a.spz")
        low = streams.positions.astype(int) @ [1, 256, 65536]
        stored = ((low + 2**23) % 2**24 - 2**23) / 4096
        assert streams.axes == "RUB" and np.allclose(stored, out_of_blender(original, "OPENGL").means, atol=2e-4)
        read = read_splats(tmp_path / "a.spz")
        assert np.abs(read.gaussians.means - original.means).max() <= 2.0**-13 and not read.axes_guessed
        assert bool(axes_lost(SPZ_3, axes)) == (axes == "BLENDER") and not axes_lost(SPZ, axes)  # the usual axes are no wish

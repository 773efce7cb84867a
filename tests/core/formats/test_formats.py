"""Every splat format: what comes back of what was written, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import struct
import sys
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.core.errors import UserError
from engine.core.formats.compressed_ply import chunk_order
from engine.core.formats.quantization import opacity
from engine.core.formats.registry import (
    COMPRESSED_PLY,
    FORMATS,
    PLY,
    SPLAT,
    SPZ,
    SPZ_3,
    Format,
    format_of,
    lost_in,
    read_splats,
    write_splats,
)
from engine.core.formats.spz_container import COORDINATE_SYSTEMS
from engine.core.splats.axes import LETTERS, AxesOrAuto, axes_matrix, into_blender, out_of_blender
from engine.core.splats.gaussians import Gaussians
from engine.core.splats.transform import PLY_TO_BLENDER, rotation_matrices
from tests.core.splats.numpy_splats import covariances, seen_colors
from tests.data import DATA, needs
from tests.scenes import colored_ball
from tests.speed import cost

REAL = DATA / "splats"
ROUNDED = [found for found in FORMATS if found is not PLY]
by_name = pytest.mark.parametrize("chosen", FORMATS, ids=lambda chosen: chosen.name)


def written(path: Path, gaussians: Gaussians, chosen: Format, axes: str = "BLENDER", antialiased: bool = False) -> Path:
    path = path.with_name(path.name + chosen.suffix)
    write_splats(path, gaussians, axes, antialiased, chosen)  # type: ignore[arg-type]
    return path


def as_written(chosen: Format) -> AxesOrAuto:
    """How to read a file that `written` wrote."""
    return "AUTO" if chosen.own_axes else "BLENDER"


def refused(path: Path, *words: str) -> UserError:
    """The file is refused in one sentence with a hint, in both of which the words stand; no warning is printed."""
    with warnings.catch_warnings(), pytest.raises(UserError) as caught:
        warnings.simplefilter("error")
        read_splats(path)
    assert caught.value.hint and "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    return caught.value


# What comes back

numbers = st.floats(-50, 50, width=32, allow_subnormal=False)


@st.composite
def any_gaussians(draw: st.DrawFn) -> Gaussians:
    """In the range that all formats hold."""
    count, rest = draw(st.integers(1, 6)), draw(st.sampled_from([0, 3, 8, 15]))
    quats = draw(hnp.arrays(np.float32, (count, 4), elements=numbers))
    quats[~(np.abs(quats) > 1e-2).any(axis=1), 0] = 1.0
    return Gaussians(
        means=draw(hnp.arrays(np.float32, (count, 3), elements=numbers)), quats=quats,
        scales=draw(hnp.arrays(np.float32, (count, 3), elements=st.floats(-9.9375, 5.875, width=32))),
        opacities=draw(hnp.arrays(np.float32, (count,), elements=numbers)),
        sh0=draw(hnp.arrays(np.float32, (count, 1, 3), elements=st.floats(-1.75, 1.75, width=32))),
        shN=draw(hnp.arrays(np.float32, (count, rest, 3), elements=st.floats(-0.875, 0.875, width=32))),
    )


def spread(rows: np.ndarray) -> float:
    return float(np.ptp(rows, axis=0).max(initial=0))


def assert_within_steps(read: Gaussians, original: Gaussians, chosen: Format) -> None:
    """Every value within the half step that the format rounds it to."""
    places = {PLY: 0.0, SPLAT: 0.0, COMPRESSED_PLY: spread(original.means) / 2046}.get(chosen, 2.0**-13)
    sizes = {PLY: 0.0, SPLAT: 1e-6, COMPRESSED_PLY: spread(original.scales) / 2046}.get(chosen, 1 / 32)
    colors = {PLY: 0.0, SPLAT: 3.6 / 510, COMPRESSED_PLY: spread(original.sh0[:, 0]) / 510}.get(chosen, 1 / 0.15 / 510)
    harmonics = {PLY: 0.0, COMPRESSED_PLY: 1 / 64}.get(chosen, 8.5 / 128)
    expected_colors = original.sh0.clip(-1.772454, 1.772454) if chosen is SPLAT else original.sh0
    for got, wanted, step in ((read.means, original.means, places), (read.scales, original.scales, sizes),
                              (read.sh0, expected_colors, colors), (opacity(read.opacities), opacity(original.opacities), 1 / 510)):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=step * 1.001 + 1e-6)
    if chosen is not SPLAT:
        np.testing.assert_allclose(read.shN, original.shN, atol=harmonics + 1e-6)
    turns = np.abs(rotation_matrices(read.quats) - rotation_matrices(original.quats)).max(initial=0)
    assert turns <= {PLY: 1e-6, SPLAT: 0.04, COMPRESSED_PLY: 0.004}.get(chosen, 0.006)


@by_name
@settings(max_examples=40, deadline=None)
@given(gaussians=any_gaussians())
def test_any_gaussians_come_back_within_the_steps(tmp_path_factory: pytest.TempPathFactory, chosen: Format, gaussians: Gaussians) -> None:
    frame = chosen.own_axes or "BLENDER"  # in which values are rounded
    read = read_splats(written(tmp_path_factory.getbasetemp() / "any", into_blender(gaussians, frame), chosen), as_written(chosen))
    expected = gaussians.take(chunk_order(gaussians.means)) if chosen is COMPRESSED_PLY else gaussians
    assert read.dropped == 0 and read.gaussians.sh_degree == min(gaussians.sh_degree, chosen.sh_degree)
    assert_within_steps(out_of_blender(read.gaussians, frame), expected, chosen)


@pytest.mark.parametrize("chosen", [SPZ, SPZ_3, SPLAT], ids=lambda chosen: chosen.name)
def test_a_second_copy_loses_nothing(tmp_path: Path, chosen: Format) -> None:
    first = written(tmp_path / "a", colored_ball(300, sh_degree=chosen.sh_degree), chosen)
    second = written(tmp_path / "b", read_splats(first, as_written(chosen)).gaussians, chosen)
    one, other = (read_splats(path, as_written(chosen)).gaussians for path in (first, second))
    for name in ("means", "opacities", "sh0", "shN"):
        assert np.array_equal(one.arrays()[name], other.arrays()[name])
    assert np.allclose(covariances(one), covariances(other), rtol=1e-2, atol=1e-4)


@by_name
@pytest.mark.parametrize("axes", LETTERS)
def test_all_axes_show_the_same_scene(tmp_path: Path, chosen: Format, axes: str) -> None:
    """Places, shapes and colours from every side come back from a file in any axes, by what the file says where it can."""
    original = colored_ball(40, sh_degree=chosen.sh_degree)
    path = written(tmp_path / "a", original, chosen, axes)
    found = read_splats(path, axes if chosen is SPLAT else "AUTO")  # type: ignore[arg-type]
    expected = read_splats(written(tmp_path / "b", original, chosen), as_written(chosen)).gaussians
    assert LETTERS.get(found.axes, found.axes) == LETTERS[chosen.own_axes or axes] and not found.axes_guessed
    if chosen is COMPRESSED_PLY:
        assert_same_rows(found.gaussians, expected)
        return
    np.testing.assert_allclose(found.gaussians.means, expected.means, atol=2e-4)
    np.testing.assert_allclose(covariances(found.gaussians), covariances(expected), atol=1e-3)
    for eye in ((3, 1, 2), (-2, 5, 0.5)):
        seen = [seen_colors(splats, np.array(eye)) for splats in (found.gaussians, expected)]
        np.testing.assert_allclose(*seen, atol=0.25 if chosen in (SPZ, SPZ_3) else 1e-3)


def assert_same_rows(one: Gaussians, other: Gaussians) -> None:
    """The same places, whatever the order of the rows."""
    distances = np.linalg.norm(one.means[:, None] - other.means[None], axis=2)
    assert distances.min(axis=1).max() < 3e-3 and len(set(distances.argmin(axis=1))) == len(one)


@pytest.mark.parametrize("letters", COORDINATE_SYSTEMS[1:])
def test_all_sixteen_axes_of_spz_are_orthogonal_and_undone(letters: str) -> None:
    ball = colored_ball(20, sh_degree=3)
    again = out_of_blender(into_blender(ball, letters), letters)
    np.testing.assert_allclose(again.means, ball.means, atol=1e-6)
    np.testing.assert_allclose(again.shN, ball.shN, atol=1e-6)
    np.testing.assert_allclose(covariances(again), covariances(ball), atol=1e-6)


def test_axes_by_their_letters() -> None:
    assert np.array_equal(axes_matrix("SUPERSPLAT"), PLY_TO_BLENDER) and np.array_equal(axes_matrix("BLENDER"), np.eye(4))
    assert (axes_matrix("OPENGL") @ (1, 2, 3, 1)).tolist() == [1, -3, 2, 1]
    assert len({axes_matrix("".join(letters)).tobytes() for letters in COORDINATE_SYSTEMS[1:]}) == 16


@by_name
def test_antialiasing_is_kept_where_it_can_be(tmp_path: Path, chosen: Format) -> None:
    for flag in (True, False):
        path = written(tmp_path / str(flag), colored_ball(5), chosen, antialiased=flag)
        assert read_splats(path).antialiased == (flag and chosen is not SPLAT)


def test_postshots_mark_of_antialiasing(tmp_path: Path) -> None:
    path = written(tmp_path / "a", colored_ball(5), PLY, antialiased=True)
    path.write_bytes(path.read_bytes().replace(b"SplatRenderMode: mip", b"antialiased 1"))
    assert read_splats(path).antialiased


@pytest.mark.parametrize("chosen", [SPZ, SPZ_3], ids=lambda chosen: chosen.name)
def test_spz_holds_small_and_large_scenes(tmp_path: Path, chosen: Format) -> None:
    """A walnut in hundredths of a millimetre, a landscape of 1000 km in metres, and beyond that a sentence."""
    ball = colored_ball(50)
    for size, step in ((0.05, 8e-6), (1.0, 1.3e-4), (1e6, 1.0)):
        scaled = Gaussians(**{**ball.arrays(), "means": ball.means * np.float32(size)})
        read = read_splats(written(tmp_path / "a", scaled, chosen)).gaussians
        assert np.abs(read.means - scaled.means).max() <= step
    with pytest.raises(UserError, match="further than SPZ"):
        written(tmp_path / "b", Gaussians(**{**ball.arrays(), "means": ball.means * np.float32(1e8)}), chosen)
    assert not list(tmp_path.glob("b*"))


def test_spz_that_names_no_axes_has_opengls(tmp_path: Path) -> None:
    path = written(tmp_path / "a", colored_ball(5), SPZ, "OPENGL")
    data = path.read_bytes()
    table = data[32 + 12 :]
    path.write_bytes(data[:14] + bytes([0, data[15]]) + struct.pack("<I", 32) + data[20:32] + table)
    read = read_splats(path)
    assert read.axes == "OPENGL" and np.allclose(read.gaussians.means, colored_ball(5).means, atol=1e-3)
    assert read.axes_guessed and "Turn Over" in read.notes[0] and not read_splats(path, "OPENGL").notes


def test_unknown_extensions_of_spz_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "a", colored_ball(5), SPZ, "BLENDER")
    data = path.read_bytes()
    record = struct.pack("<II", 0xDEAD0001, 5) + b"hello"
    path.write_bytes(data[:16] + struct.pack("<I", 32 + 12 + len(record)) + data[20:32] + record + data[32:])
    assert read_splats(path).axes == "RFU"


def test_compressed_ply_keeps_chunks_tight(tmp_path: Path) -> None:
    """Splats in file order would span the whole scene in each chunk; along the curve a place is off by a thousandth of it."""
    rng = np.random.default_rng(0)
    many = colored_ball(5000)
    many.means[:] = rng.uniform(-10, 10, many.means.shape)
    read = read_splats(written(tmp_path / "a", many, COMPRESSED_PLY)).gaussians
    expected = many.take(chunk_order(many.means))
    assert np.abs(read.means - expected.means).mean() < 0.0025


def test_names_choose_the_format() -> None:
    wanted = {"a.ply": PLY, "A.PLY": PLY, "b.compressed.ply": COMPRESSED_PLY, "ü b.SPZ": SPZ, "c.splat": SPLAT, "splat.spz": SPZ}
    assert {name: format_of(Path(name)) for name in wanted} == wanted
    for name in ("a.obj", "spz", "a.ply.txt"):
        with pytest.raises(UserError, match=r"\.ply, \.compressed\.ply, \.spz or \.splat"):
            format_of(Path(name))


def test_ply_is_known_by_its_content(tmp_path: Path) -> None:
    for chosen, name in ((COMPRESSED_PLY, "a.ply"), (PLY, "b.compressed.ply")):
        written(tmp_path / "x", colored_ball(5), chosen).rename(tmp_path / name)
        assert len(read_splats(tmp_path / name).gaussians) == 5


def test_what_a_format_cannot_hold_is_said() -> None:
    assert "view" in lost_in(SPLAT, colored_ball(5, sh_degree=1))[0]
    assert not lost_in(SPLAT, colored_ball(5)) and not lost_in(SPZ, colored_ball(5, sh_degree=3))


@needs("splats")
@pytest.mark.parametrize(("name", "count", "degree"), [
    ("guitar.compressed.ply", 90_854, 0), ("biker_spzv4_sh0.spz", 152_746, 0), ("fixtures_minimal/minimal-v2.spz", 4, 0),
    ("fixtures_minimal/minimal-v3.spz", 4, 0), ("fixtures_minimal/minimal-v4.spz", 4, 0), ("fixtures_minimal/minimal-raw.spz", 4, 0),
    ("fixtures_minimal/minimal.splat", 4, 0)])
def test_real_files(tmp_path: Path, name: str, count: int, degree: int) -> None:
    read = read_splats(REAL / name)
    assert (len(read.gaussians), read.gaussians.sh_degree, read.dropped, read.antialiased) == (count, degree, 0, False)
    if count > 4:  # both stand upright: a guitar and a rider, higher than wide
        height, ground = np.percentile(read.gaussians.means, 99, axis=0), np.percentile(read.gaussians.means, 1, axis=0)
        assert (height - ground).argmax() == 2 and height[2] > 2 and abs(ground[2]) < 0.3
    again = read_splats(written(tmp_path / "again", read.gaussians, SPZ)).gaussians
    assert np.abs(again.means - read.gaussians.means).max() <= 2.0**-13


# Bad input


def packed_spz(version: int = 3, count: int = 2, degree: int = 0, body: bytes = b"", bits: int = 12, level: int = 6) -> bytes:
    return gzip.compress(struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, bits, 0, 0) + body, level)


def spz_4(count: int, sizes: list[tuple[int, int]], body: bytes = b"", table: int = 32, streams: int | None = None) -> bytes:
    head = struct.pack("<4sIIBBBBI12x", b"NGSP", 4, count, 0, 12, 0, len(sizes) if streams is None else streams, table)
    return head + b"".join(struct.pack("<QQ", *pair) for pair in sizes) + body


ROWS = (9, 1, 3, 3, 4)
BOMB = zstandard.ZstdCompressor().compress(bytes(64 * 2**20))
BAD_SPZ: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not an SPZ"), "text": (b"hello, world, this is text", "not an SPZ"), "magic alone": (b"NGSP", "not an SPZ"),
    "other gzip": (gzip.compress(b"hello" * 10), "not an SPZ"), "cut gzip": (packed_spz(body=bytes(40))[:-20], ""),
    "wrong sum": (packed_spz(body=bytes(40))[:-6] + bytes(6), "damaged"), "no splats": (packed_spz(count=0), "no splats"),
    "short": (packed_spz(count=3, body=bytes(40)), "cut off"), "future": (packed_spz(version=7), "version 7"),
    "nought": (packed_spz(version=0), "version 0"), "degree 9": (packed_spz(degree=9), "degree 9"),
    "99 bits": (packed_spz(bits=99), "99 fractional bits"), "4 in gzip": (packed_spz(version=4, body=bytes(400)), "version 4 in gzip"),
    "boasts": (packed_spz(count=4_000_000_000), "claims 4000000000"), "boasts in 4": (spz_4(4_000_000_000, []), "claims 4000000000"),
    "boasts with a bomb": (packed_spz(count=500_000_000, body=bytes(2**20)), "claims"),
    "no table": (spz_4(1, [])[:20], "cut off"), "table beyond": (spz_4(1, [], table=4_000_000_000, streams=5), "cut off"),
    "table in the header": (spz_4(1, [(1, size) for size in ROWS], table=0), "cut off"),
    "wrong sizes": (spz_4(1, [(1, 4_000_000_000)] * 5), "damaged"), "too few streams": (spz_4(1, [(1, 9)]), "damaged"),
    "stream beyond": (spz_4(1, [(2**60, size) for size in ROWS]), "cut off"),
    "no zstd": (spz_4(1, [(4, size) for size in ROWS], b"nope" * 5), "damaged"),
    "zstd bomb": (spz_4(1, [(len(BOMB), size) for size in ROWS], BOMB * 5), "damaged"),
}


@pytest.mark.parametrize("case", BAD_SPZ)
def test_bad_spz(tmp_path: Path, case: str) -> None:
    data, word = BAD_SPZ[case]
    path = tmp_path / "bad.spz"
    path.write_bytes(data)
    tracemalloc.start()
    refused(path, "bad.spz", word)
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def test_a_gzip_bomb_is_read_no_further_than_its_header_says(tmp_path: Path) -> None:
    """One true splat, then 300 million zeros."""
    packer = zlib.compressobj(9, wbits=31)
    body = packer.compress(struct.pack("<4sIIBBBB", b"NGSP", 3, 1, 0, 12, 0, 0) + bytes(20)) + packer.compress(bytes(300_000_000))
    (tmp_path / "a.spz").write_bytes(body + packer.flush())
    tracemalloc.start()
    assert len(read_splats(tmp_path / "a.spz").gaussians) == 1
    assert tracemalloc.get_traced_memory()[1] < 3e6
    tracemalloc.stop()


def test_harmonics_beyond_ours_are_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "a.spz").write_bytes(packed_spz(count=2, degree=4, body=bytes(2 * (20 + 72))))
    read = read_splats(tmp_path / "a.spz")
    assert read.gaussians.sh_degree == 3 and "degree 4" in read.notes[0]


def test_axes_of_an_unknown_number(tmp_path: Path) -> None:
    record = struct.pack("<III", 0xADBE0003, 4, 99)
    (tmp_path / "a.spz").write_bytes(packed_spz(count=1, body=bytes(20) + record))
    refused(tmp_path / "a.spz", "number 99")


def test_spz_4_without_zstandard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a", colored_ball(5), SPZ)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    refused(path, "Zstandard", "SPZ version 3")
    with pytest.raises(UserError, match="Zstandard"):
        written(tmp_path / "b", colored_ball(5), SPZ)
    assert not list(tmp_path.glob("*b*")) and len(read_splats(written(tmp_path / "c", colored_ball(5), SPZ_3)).gaussians) == 5


@pytest.mark.parametrize(("data", "word"), [
    (b"", "whole splats"), (bytes(31), "whole splats"), (bytes(33), "whole splats"),
    (np.full(8, -1, "<f4").tobytes(), "below zero"),
    (np.full(8, np.nan, "<f4").tobytes(), "no usable splats")])
def test_bad_splat(tmp_path: Path, data: bytes, word: str) -> None:
    path = tmp_path / "bad.splat"
    path.write_bytes(data)
    refused(path, "bad.splat", word)


@pytest.mark.parametrize("bits", [0x7F800001, 0xFF800001, 0x7FC00000, 0x7F800000])
def test_sizes_that_are_no_numbers_are_dropped(tmp_path: Path, bits: int) -> None:
    """NaN of every kind, and an infinity."""
    path = written(tmp_path / "a", colored_ball(4), SPLAT)
    data = bytearray(path.read_bytes())
    data[32 + 16 : 32 + 20] = struct.pack("<I", bits)
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = read_splats(path)
    assert read.dropped == 1 and len(read.gaussians) == 3


def compressed(edit: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = written(folder / "bad", colored_ball(300, sh_degree=1), COMPRESSED_PLY)
        path.write_bytes(edit(path.read_bytes()))
        return path
    return write


BAD_COMPRESSED = {
    "cut off": (compressed(lambda data: data[:-1]), "cut off"),
    "longer": (compressed(lambda data: data + b"0"), "longer"),
    "no chunks": (compressed(lambda data: data.replace(b"element chunk", b"element chonk")), "missing"),
    "no colour": (compressed(lambda data: data.replace(b"uint packed_color", b"uint packed_taste")), "missing"),
    "floats": (compressed(lambda data: data.replace(b"uint packed_color", b"float packed_color")), "missing"),
    "boasts": (compressed(lambda data: data.replace(b"vertex 300", b"vertex 4000000000")), "cut off"),
    "odd harmonics": (compressed(lambda data: data.replace(b"uchar f_rest_3", b"uchar f_rest_33")), "f_rest"),
    "chunks too few": (compressed(lambda data: data.replace(b"element chunk 2", b"element chunk 1")[:-72]), "too few"),
    "harmonics too few": (compressed(lambda data: data.replace(b"element sh 300", b"element sh 299")[:-9]), "299 of its 300"),
    "nan bounds": (compressed(lambda data: _with_chunks(data, np.nan)), "no usable splats"),
    "infinite bounds": (compressed(lambda data: _with_chunks(data, np.inf)), "no usable splats"),
}


def _with_chunks(data: bytes, value: float) -> bytes:
    start = data.index(b"end_header\n") + len(b"end_header\n")
    return data[:start] + np.full(36, value, "<f4").tobytes() + data[start + 144 :]


@pytest.mark.parametrize("case", BAD_COMPRESSED)
def test_bad_compressed_ply(tmp_path: Path, case: str) -> None:
    write, word = BAD_COMPRESSED[case]
    refused(write(tmp_path), "bad.compressed.ply", word)


@by_name
def test_missing_files_and_folders(tmp_path: Path, chosen: Format) -> None:
    refused(tmp_path / f"none{chosen.suffix}", "none")
    (tmp_path / f"folder{chosen.suffix}").mkdir()
    refused(tmp_path / f"folder{chosen.suffix}", "folder")
    with pytest.raises(UserError, match="cannot be reached"):
        written(tmp_path / "missing" / "a", colored_ball(3), chosen)
    assert [path.name for path in tmp_path.iterdir()] == [f"folder{chosen.suffix}"]


@by_name
def test_rows_that_cannot_be_drawn_are_not_written(tmp_path: Path, chosen: Format) -> None:
    ball = colored_ball(10, sh_degree=1)
    ball.means[3, 1], ball.scales[5, 0], ball.opacities[6] = np.nan, -np.inf, np.inf
    read = read_splats(written(tmp_path / "a", ball, chosen))
    assert len(read.gaussians) == 9 and read.dropped == 0



@by_name
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, chosen: Format, data: st.DataObject) -> None:
    """Bytes changed, cut out or put in anywhere: splats or a sentence, without a warning and without much memory."""
    folder = tmp_path_factory.getbasetemp()
    good = written(folder / "good", colored_ball(3, sh_degree=1), chosen).read_bytes()
    if chosen is SPZ_3:
        good = gzip.decompress(good)
    start = data.draw(st.integers(0, min(len(good), data.draw(st.sampled_from([48, len(good)])))))
    damaged = good[:start] + data.draw(st.binary(max_size=12)) + good[start + data.draw(st.integers(0, 8)) :]
    path = folder / f"damaged{chosen.suffix}"
    path.write_bytes(gzip.compress(damaged) if chosen is SPZ_3 else damaged)
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isfinite(read_splats(path).gaussians.means).all()
    except UserError as error:
        assert error.hint and "\n" not in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8e6


@by_name
def test_many_splats_are_quick(tmp_path: Path, chosen: Format) -> None:
    """100,000 with all harmonics."""
    rng = np.random.default_rng(0)
    many = colored_ball(1, sh_degree=3).take(np.zeros(100_000, int))
    for array in many.arrays().values():
        array += rng.normal(0, 0.1, array.shape).astype(np.float32)
    path = written(tmp_path / "a", many, chosen)
    assert cost(lambda: written(tmp_path / "a", many, chosen), 1) < 50 and cost(lambda: read_splats(path), 1) < 25


def test_letters_are_all_there() -> None:
    assert {"".join(sorted(letters)) for letters in COORDINATE_SYSTEMS[1:]} == {
        "".join(sorted(letters)) for letters in product("LR", "UD", "FB")}

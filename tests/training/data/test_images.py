"""Targets: the right size, colour and camera, from every kind of image; everything else is refused with the file's name."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from engine.core.cameras.camera import Camera
from engine.core.cameras.distortion import distort, undistort
from engine.core.datasets.dataset import View
from engine.core.errors import UserError
from engine.core.images.png import encode_png
from engine.training.data.images import area_average, fitted_camera, image_reader, read_image
from engine.training.data.targets import load_pyramid, load_targets

GRADIENT = np.stack([*np.mgrid[:60, :80].astype(np.uint8) * 3, np.full((60, 80), 77, np.uint8)], axis=2)  # [60, 80, 3]


def view_of(path: Path, width: int = 80, height: int = 60, distortion: tuple[float, ...] = ()) -> View:
    return View(path.name, path, Camera(width, height, 70.0, 71.0, width / 2 + 1, height / 2 - 1, np.eye(4), distortion))


def saved(path: Path, image: np.ndarray, mode: str = "", **options: object) -> Path:
    picture = Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


@pytest.fixture
def without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "PIL"]:
        monkeypatch.setitem(sys.modules, name, None)


def brute_force(image: np.ndarray, count: int) -> np.ndarray:
    """Area average along the first axis by the overlap of every pair of pixels."""
    length = len(image)
    borders = np.arange(count + 1) * length / count
    pixels = np.arange(length)
    overlap = np.minimum(borders[1:, None], pixels + 1) - np.maximum(borders[:-1, None], pixels)  # [count, length]
    return np.tensordot(overlap.clip(0) * count / length, image.astype(float), 1)


@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))), st.data())
def test_area_average_is_exact(image: np.ndarray, data: st.DataObject) -> None:
    height, width = (data.draw(st.integers(1, side)) for side in image.shape[:2])
    expected = brute_force(brute_force(image, height).swapaxes(0, 1), width).swapaxes(0, 1)
    result = area_average(image, width, height)
    assert result.dtype == np.float32 and result.shape == expected.shape
    assert np.abs(result - expected).max() < 1e-3


@pytest.mark.parametrize("resolution, sizes", [
    (1000, [(80, 60), (40, 30), (20, 15)]), (80, [(80, 60), (40, 30), (20, 15)]), (50, [(50, 38), (25, 19), (12, 9)]),
    (16, [(16, 12), (8, 8), (8, 8)]),
])
def test_sizes_and_cameras(tmp_path: Path, resolution: int, sizes: list[tuple[int, int]]) -> None:
    view = view_of(saved(tmp_path / "a.png", GRADIENT))
    pyramid = load_pyramid(view, resolution)
    for reduction, (width, height) in zip((1, 2, 4), sizes, strict=True):
        target = pyramid.at(reduction)
        assert target.image.shape == (height, width, 3) and target.image.dtype == np.uint8 and target.image.flags.c_contiguous
        assert (target.camera.width, target.camera.height, target.camera.distortion) == (width, height, ())
        where = target.camera.project(np.array([[0.1, 0.2, -1.0]]))[0] / (width, height)
        assert np.allclose(where, view.camera.project(np.array([[0.1, 0.2, -1.0]]))[0] / (80, 60))


def test_full_size_is_untouched(tmp_path: Path) -> None:
    assert np.array_equal(load_pyramid(view_of(saved(tmp_path / "a.png", GRADIENT)), 400).full.image, GRADIENT)


def test_half_size_is_the_mean_of_four(tmp_path: Path) -> None:
    half = load_pyramid(view_of(saved(tmp_path / "a.png", GRADIENT)), 400).half.image
    assert np.array_equal(half, (GRADIENT.reshape(30, 2, 40, 2, 3).mean(axis=(1, 3)) + 0.5).astype(np.uint8))


def test_transparent_pixels_lend_no_colour(tmp_path: Path) -> None:
    """Red beside fully transparent green stays red, at half the alpha."""
    image = np.zeros((16, 16, 4), np.uint8)
    image[:, ::2] = (200, 30, 10, 255)
    image[:, 1::2] = (0, 255, 0, 0)
    half = load_pyramid(view_of(saved(tmp_path / "a.png", image), 16, 16), 16).half.image
    assert area_average(image, 8, 8)[0, 0, 1] > 100, "what a plain average gives"
    assert half.shape == (8, 8, 4) and np.abs(half.astype(int) - [200, 30, 10, 128]).max() <= 1


@given(arrays(np.uint8, (16, 16, 4)))
def test_alpha_at_full_size_is_kept_bit_by_bit(image: np.ndarray) -> None:
    image[0, 0, 3] = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.png")
        path.write_bytes(encode_png(image))
        full = load_pyramid(view_of(path, 16, 16), 16).full.image
    assert np.array_equal(full[..., 3], image[..., 3])
    seen = image[..., 3] > 0
    assert np.array_equal(full[..., :3][seen], image[..., :3][seen])


def test_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    opaque = np.concatenate([GRADIENT, np.full((60, 80, 1), 255, np.uint8)], axis=2)
    assert load_pyramid(view_of(saved(tmp_path / "a.png", opaque)), 40).full.image.shape == (30, 40, 3)


@pytest.mark.parametrize("resolution", [80, 33])
def test_distorted_photos_become_what_a_pinhole_sees(tmp_path: Path, resolution: int) -> None:
    """A photo whose colour is its ideal direction: after loading, colours are those of the target's own directions."""
    coefficients = (-0.2, 0.05, 0.002, -0.001)
    view = view_of(tmp_path / "a.png", 320, 240, coefficients)
    view = replace(view, camera=replace(view.camera, fl_x=280.0, fl_y=284.0))
    lens = view.camera
    pixels = np.stack(np.meshgrid(np.arange(320) + 0.5, np.arange(240) + 0.5), axis=2).reshape(-1, 2)
    ideal = undistort((pixels - [lens.cx, lens.cy]) / [lens.fl_x, lens.fl_y], coefficients)
    assert np.abs(distort(ideal, coefficients) * [lens.fl_x, lens.fl_y] + [lens.cx, lens.cy] - pixels).max() < 1e-6
    colors = np.concatenate([ideal, np.zeros((len(ideal), 1))], axis=1) * 120 + 128
    saved(view.image, (colors + 0.5).clip(0, 255).astype(np.uint8).reshape(240, 320, 3))
    target = load_pyramid(view, resolution).full
    height, width = target.image.shape[:2]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    directions = np.stack([(x - target.camera.cx) / target.camera.fl_x, (y - target.camera.cy) / target.camera.fl_y], axis=2)
    assert max(width, height) == resolution
    assert np.abs(target.image[..., :2] - (directions * 120 + 128))[1:-1, 1:-1].max() < 1.5
    assert target.camera.fl_x / width < lens.fl_x / 320, "a barrel lens sees more than its focal length says"


@pytest.mark.parametrize("name, mode, options", [
    ("a.jpg", "", {"quality": 95}), ("a.jpg", "L", {"quality": 95}), ("a.jpg", "CMYK", {"quality": 95}), ("a.webp", "", {"lossless": True}),
    ("a.tif", "", {}), ("a.bmp", "", {}), ("a.png", "P", {}), ("a.png", "LA", {}), ("a.png", "1", {}), ("a.gif", "", {}),
    ("a.tif", "RGBA", {}),
])
def test_kinds_of_images(tmp_path: Path, name: str, mode: str, options: dict) -> None:
    image = read_image(saved(tmp_path / name, GRADIENT, mode, **options))
    assert image.shape[:2] == (60, 80) and image.shape[2] in (3, 4) and image.dtype == np.uint8
    if mode in ("", "CMYK", "RGBA") and name != "a.gif":
        assert np.abs(image[..., :3].astype(int) - GRADIENT).mean() < 3


def test_sixteen_bits(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 4800).astype(np.uint16).reshape(60, 80)
    for name in ("a.png", "a.tif"):
        image = read_image(saved(tmp_path / name, values))
        assert np.array_equal(image, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))


def test_floating_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.tif: Images with floating-point"):
        read_image(saved(tmp_path / "a.tif", np.ones((6, 8), np.float32)))


def test_stored_pixels_are_what_cameras_count(tmp_path: Path) -> None:
    """COLMAP and nerfstudio ignore the EXIF turn, so a phone's upright photo must stay on its side."""
    exif = Image.Exif()
    exif[0x112] = 6
    assert read_image(saved(tmp_path / "a.jpg", GRADIENT, exif=exif)).shape == (60, 80, 3)


@pytest.mark.parametrize("name, sentence", [("photo.jpg", r"^photo\.jpg is a JPEG, and nothing here reads more than PNG\."),
                                            ("photo.webp", r"^photo\.webp is no PNG, and nothing here reads more than PNG\.")])
def test_without_pillow_only_png(tmp_path: Path, without_pillow: None, name: str, sentence: str) -> None:
    Path(tmp_path / name).write_bytes(b"\xff\xd8\xff" if name.endswith("jpg") else b"RIFF")
    with pytest.raises(UserError, match=sentence) as caught:
        read_image(tmp_path / name)
    assert caught.value.hint == "Train from Blender, which reads it, or install the full engine (Install Full Engine)."


def test_heic_as_a_phone_writes_it(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(GRADIENT)).save(tmp_path / "IMG_0001.HEIC", quality=95)
    assert np.abs(read_image(tmp_path / "IMG_0001.HEIC").astype(int) - GRADIENT).mean() < 3
    (tmp_path / "cut.heic").write_bytes((tmp_path / "IMG_0001.HEIC").read_bytes()[:300])
    with pytest.raises(UserError, match=r"cut\.heic"):
        read_image(tmp_path / "cut.heic")


def test_heic_without_pillow_names_the_full_engine(tmp_path: Path, without_pillow: None) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(UserError, match=r"^a\.heic is a HEIC photo") as caught:
        read_image(tmp_path / "a.heic")
    assert "Install Full Engine" in caught.value.hint and caught.value.code == "images.heic"


def test_png_needs_no_pillow(tmp_path: Path, without_pillow: None) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(GRADIENT))
    assert np.array_equal(read_image(tmp_path / "a.png"), GRADIENT)


def test_rare_png_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.png", GRADIENT, "1")
    assert read_image(path).shape == (60, 80, 3)
    for name in [name for name in sys.modules if name.partition(".")[0] == "PIL"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"a\.png: PNG with 1 bits"):
        read_image(path)


def test_without_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.training.cpu import library

    library.load.cache_clear()
    monkeypatch.setenv(library.OVERRIDE, str(tmp_path))
    (tmp_path / "a.png").write_bytes(encode_png(GRADIENT))
    assert np.array_equal(read_image(tmp_path / "a.png"), GRADIENT)
    library.load.cache_clear()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def scrambled(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(40) + data[middle + 40 :]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("damage", [cut, lambda _: b"", lambda data: data[:9], lambda _: b"no image"],
                         ids=["half", "empty", "head", "text"])
def test_damaged_images_are_named(tmp_path: Path, ending: str, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"holiday.{ending}"
    noisy = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    path.write_bytes(damage(saved(path, noisy).read_bytes()))
    with pytest.raises(UserError, match=rf"holiday\.{ending}") as caught:
        load_targets([view_of(path)], 80)
    assert caught.value.hint


def test_scrambled_png(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(scrambled(encode_png(GRADIENT)))
    with pytest.raises(UserError, match=r"a\.png is damaged"):
        read_image(tmp_path / "a.png")


HEADS = [b"\xff\xd8\xff\xe0", b"II*\0", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP", b"\x89PNG\r\n\x1a\n", b""]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@given(st.binary(max_size=200), st.sampled_from(HEADS))
def test_no_garbage_is_unforeseen(garbage: bytes, head: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: head + garbage)
        with pytest.raises(UserError, match=r"a\.png"):
            read_image(Path("a.png"))


def test_missing_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png cannot be reached"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize("width, height, fits", [
    (160, 120, True), (40, 30, True), (53, 40, True), (60, 80, False), (80, 50, False), (100, 60, False),
])
def test_images_of_another_size(width: int, height: int, fits: bool) -> None:
    view = view_of(Path("a.png"))
    image = np.zeros((height, width, 3), np.uint8)
    if not fits:
        with pytest.raises(UserError, match=rf"a\.png is {width} x {height} pixels, its camera says 80 x 60"):
            fitted_camera(view, image)
        return
    camera = fitted_camera(view, image)
    assert (camera.width, camera.height) == (width, height)
    assert camera.fl_x == pytest.approx(70 * width / 80) and camera.cy == pytest.approx(29 * height / 60)


def test_many_images_in_order_with_a_tick_each(tmp_path: Path) -> None:
    ticks: list[int] = []
    views = [view_of(saved(tmp_path / f"{i:02d}.png", np.full((60, 80, 3), i, np.uint8))) for i in range(20)]
    targets = load_targets(views, 40, tick=lambda: ticks.append(1))
    assert [target.full.image[0, 0, 0] for target in targets] == list(range(20)) and len(ticks) == 20


def test_stops_at_the_first_bad_image_and_when_told(tmp_path: Path) -> None:
    views = [view_of(saved(tmp_path / f"{i:02d}.png", GRADIENT)) for i in range(9)]
    views[4].image.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"04\.png"):
        load_targets(views, 40)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_targets(views, 40, tick=stop)


def test_nothing_to_load() -> None:
    assert load_targets([], 40) == []


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_pillow_and_our_own_reader_agree_about_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    path = saved(tmp_path / "a.png", GRADIENT, mode)
    asked: list[Path] = []
    opener = Image.open
    monkeypatch.setattr(Image, "open", lambda *rest: asked.append(path) or opener(*rest))
    by_pillow = read_image(path)
    assert asked and image_reader() == "Pillow"
    for name in [name for name in sys.modules if name.partition(".")[0] == "PIL"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert image_reader() == "PNG" and np.array_equal(read_image(path), by_pillow)

"""Trouble in images is found and named; a sound dataset has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFilter, PngImagePlugin

from engine.core.datasets.dataset import Dataset
from engine.core.datasets.read import read_dataset
from engine.preflight import check_dataset
from tests.data import real

from .planting import only, repaint, sound_dataset, tinted, with_camera

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_SCENE = ROOT / "out" / "sample"


@pytest.fixture
def sound(tmp_path: Path) -> Dataset:
    return sound_dataset(tmp_path)


def test_a_sound_dataset_has_no_findings(sound: Dataset) -> None:
    ticks: list[int] = []
    assert check_dataset(sound, lambda: ticks.append(1)) == [] and len(ticks) == len(sound.views)


@pytest.mark.parametrize("name", ["banana", "snowmiku"])
def test_real_photos_have_no_findings(name: str) -> None:
    assert check_dataset(read_dataset(real(name))) == []


@pytest.mark.skipif(not SAMPLE_SCENE.is_dir(), reason="the sample scene is not captured: make demo")
def test_the_sample_scene_has_no_findings() -> None:
    assert check_dataset(read_dataset(SAMPLE_SCENE)) == []


def test_unreadable_images_are_named_and_then_counted(sound: Dataset) -> None:
    sound.views[2].image.write_bytes(b"no image")
    finding = only(sound)
    assert (finding.severity, finding.kind, finding.images) == ("warning", "unreadable", ("view_002.png",)) and "exclude" in finding.fixes
    for number in range(1, 8):
        sound.views[number].image.write_bytes(b"no image")
    findings = [found for found in check_dataset(sound) if found.kind == "unreadable"]
    assert "view_001.png" in findings[0].message and findings[3].message == "4 more images cannot be used."
    assert {name for found in findings for name in found.images} == {view.name for view in sound.views[1:8]}


def test_images_of_another_shape(sound: Dataset) -> None:
    Image.new("RGB", (96, 48), "red").save(sound.views[5].image)
    finding = only(sound)
    assert finding.severity == "warning" and finding.message == "view_005.png is 96 x 48 pixels, its camera says 96 x 96."


def test_images_of_another_size(sound: Dataset) -> None:
    with Image.open(sound.views[5].image) as opened:
        opened.resize((48, 48)).save(sound.views[5].image)
    finding = only(sound)
    assert (finding.severity, finding.kind, finding.images) == ("info", "size", ("view_005.png",)) and "96 x 96" in finding.message


def test_impossible_lens(sound: Dataset) -> None:
    finding = only(with_camera(sound, 3, distortion=(-90.0,)))
    assert finding.severity == "warning" and "no usable image" in finding.message


@pytest.mark.parametrize(("color", "kind"), [((0, 0, 0, 255), "dark"), ((1, 1, 1, 255), "dark"), ((120, 90, 60, 255), "blank"),
                                             ((255, 255, 255, 255), "blank"), ((255, 255, 255, 0), "background")], ids=str)
def test_images_that_show_nothing(sound: Dataset, color: tuple[int, ...], kind: str) -> None:
    for number in (1, 5):
        repaint(sound, number, lambda pixels: np.full_like(pixels, color))
    findings = [found for found in check_dataset(sound) if found.kind != "stranger"]
    assert [(found.severity, found.kind, found.images) for found in findings] == [("warning", kind, ("view_001.png", "view_005.png"))]
    for view in sound.views:
        Image.new("RGBA", (96, 96), color).save(view.image)
    finding = check_dataset(sound)[0]
    assert (finding.severity, finding.kind) == ("error", kind) and finding.message.endswith("view_002.png and 13 more.")


def test_a_small_object_before_nothing_is_no_black_image(tmp_path: Path) -> None:
    sound = replace(sound_dataset(tmp_path), points=None)
    for number, view in enumerate(sound.views):
        picture = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
        picture.paste((180, 120, 60, 255), (40, 40, 44, 48))
        picture.paste((80, 20, 160, 255), (44, 40, 45 + number % 3, 48))
        picture.save(view.image)
    assert {found.kind for found in check_dataset(sound)} <= {"no_points", "duplicate"}


def test_the_same_pixels_twice(sound: Dataset) -> None:
    sound.views[9].image.write_bytes(sound.views[3].image.read_bytes())
    finding = next(found for found in check_dataset(sound) if found.kind == "duplicate")
    assert (finding.severity, finding.images) == ("warning", ("view_009.png",))


def test_over_exposure(sound: Dataset) -> None:
    name = repaint(sound, 4, lambda pixels: np.dstack([(pixels[..., :3] * 1.2 + 150).clip(0, 255), pixels[..., 3:]]).astype(np.uint8))
    finding = next(found for found in check_dataset(sound) if found.kind == "over_exposed")
    assert finding.images == (name,) and finding.measure is not None and finding.measure > 0.2 and "recapture" in finding.fixes


@pytest.mark.parametrize("factor", [0.6, 0.4])
def test_an_exposure_jump(sound: Dataset, factor: float) -> None:
    name = repaint(sound, 7, tinted(factor))
    finding = only(sound)
    assert (finding.severity, finding.kind, finding.images) == ("warning", "exposure", (name,))


@pytest.mark.parametrize("factors", [(1.0, 0.9, 0.7), (0.7, 0.9, 1.0)])
def test_a_white_balance_jump(sound: Dataset, factors: tuple[float, float, float]) -> None:
    name = repaint(sound, 7, tinted(*factors))
    finding = only(sound)
    assert (finding.severity, finding.kind, finding.images) == ("warning", "white_balance", (name,))


def test_what_is_soft_or_lit_otherwise_in_a_rendered_scene_is_the_scene(sound: Dataset) -> None:
    """A wall fills one view, a lamp another: in photos that would be blur and exposure. What a file cannot hold is lost in both."""
    repaint(sound, 7, tinted(0.4))
    view = sound.views[11]
    with Image.open(view.image) as opened:
        alpha, blurred = opened.getchannel("A"), opened.convert("RGB").filter(ImageFilter.GaussianBlur(3))
    blurred.putalpha(alpha)
    blurred.save(view.image)
    assert {found.kind for found in check_dataset(sound)} >= {"exposure", "blur"}
    assert check_dataset(replace(sound, rendered=True)) == []
    name = repaint(sound, 4, lambda pixels: np.dstack([(pixels[..., :3] * 1.2 + 150).clip(0, 255), pixels[..., 3:]]).astype(np.uint8))
    finding, = check_dataset(replace(sound, rendered=True))
    assert (finding.kind, finding.images) == ("over_exposed", (name,))


@pytest.mark.parametrize("filters", [ImageFilter.GaussianBlur(3), ImageFilter.BoxBlur((12, 0))], ids=["defocus", "motion"])
def test_blur(sound: Dataset, filters: ImageFilter.Filter) -> None:
    view = sound.views[6]
    with Image.open(view.image) as opened:
        alpha = opened.getchannel("A")
        blurred = opened.convert("RGB").filter(filters)
    blurred.putalpha(alpha)
    blurred.save(view.image)
    finding = only(sound)
    assert (finding.severity, finding.kind, finding.images) == ("warning", "blur", (view.name,))


def test_grey_images_among_coloured_ones(sound: Dataset) -> None:
    name = repaint(sound, 2, lambda pixels: np.dstack([np.repeat(pixels[..., :3].mean(axis=2, keepdims=True), 3, axis=2),
                                                       pixels[..., 3:]]).astype(np.uint8))
    finding = next(found for found in check_dataset(sound) if found.kind == "grey")
    assert (finding.severity, finding.images) == ("warning", (name,))


def test_cut_out_and_whole_images_mixed(sound: Dataset) -> None:
    name = repaint(sound, 2, lambda pixels: pixels[..., :3])
    finding = next(found for found in check_dataset(sound) if found.kind == "alpha")
    assert (finding.severity, finding.images) == ("warning", (name,)) and "without transparency" in finding.message


@pytest.mark.parametrize("kind", ["png profile", "linear png", "jpeg profile"])
def test_colour_spaces_other_than_srgb(sound: Dataset, kind: str) -> None:
    view = sound.views[2]
    with Image.open(view.image) as opened:
        picture = opened.copy()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    if kind == "linear png":
        info = PngImagePlugin.PngInfo()
        info.add(b"gAMA", (100_000).to_bytes(4, "big"))
        picture.save(view.image, pnginfo=info)
    else:
        picture.convert("RGB").save(view.image, "JPEG" if kind.startswith("jpeg") else "PNG", icc_profile=profile, quality=98)
    finding = next(found for found in check_dataset(sound) if found.kind == "color_space")
    assert finding.images == (view.name,) and ("linear" if kind == "linear png" else "Lab").lower() in finding.message.lower()


def test_the_profile_of_srgb_is_no_finding(sound: Dataset) -> None:
    view = sound.views[2]
    with Image.open(view.image) as opened:
        opened.save(view.image, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert check_dataset(sound) == []


@pytest.fixture
def masked(sound: Dataset) -> Dataset:
    views = []
    for view in sound.views:
        mask = view.image.with_suffix(".mask.png")
        Image.new("L", (96, 96), 255).save(mask)
        views.append(replace(view, mask=mask))
    return replace(sound, views=tuple(views))


def test_sound_masks(masked: Dataset) -> None:
    assert check_dataset(masked) == []


@pytest.mark.parametrize(("plant", "said"), [
    (lambda mask: mask.write_bytes(b"no mask"), "cannot be read"), (lambda mask: mask.unlink(), "cannot be read"),
    (lambda mask: Image.new("L", (48, 96), 255).save(mask), "other proportions"),
    (lambda mask: Image.new("L", (96, 96), 0).save(mask), "hides everything")], ids=["damaged", "gone", "size", "black"])
def test_unfit_masks(masked: Dataset, plant: object, said: str) -> None:
    plant(masked.views[3].mask)  # type: ignore[operator]
    finding = only(masked)
    assert (finding.severity, finding.kind, finding.images) == ("warning", "mask", ("view_003.png",)) and said in finding.message


def test_images_without_a_mask(masked: Dataset) -> None:
    views = (*masked.views[:-1], replace(masked.views[-1], mask=None))
    finding = only(replace(masked, views=views))
    assert finding.images == ("view_015.png",) and "without a mask" in finding.message

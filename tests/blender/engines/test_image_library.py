"""The built-in engine reads photos with the OpenImageIO that Blender ships, with nothing else installed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.scenes import write_ball_dataset
from tests.untyped import bpy

from ..conftest import add_camera, empty_scene, module

GRADIENT = np.stack([*np.mgrid[:60, :80].astype(np.uint8) * 3, np.full((60, 80), 77, np.uint8)], axis=2)  # [60, 80, 3]
CLEAR = np.concatenate([GRADIENT, GRADIENT[..., :1] + np.uint8(40)], axis=2)  # [60, 80, 4]
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
WIDE = (GRADIENT[..., 0].astype(np.uint16) << 8) + 200  # [60, 80]


@dataclass(frozen=True)
class Reading:
    """What a worker without Pillow has read."""

    pixels: dict[str, np.ndarray]
    said: dict[str, str]
    sizes: dict[str, list[int] | None]
    reader: str
    numpy: str
    path: list[str]


def engine(**changes: Any) -> Any:
    return replace(module("addon.engines.choice").builtin_engine(), **changes)


def reading(place: Any, *paths: Path) -> Reading:
    """Read images in a process like that of a worker."""
    _, environment = place.worker_command()
    package = module("engine").__name__.rpartition(".")[2]
    output = paths[0].parent / "pixels.npz"
    done = subprocess.run([str(place.python), str(Path(__file__).with_name("read_images.py")), str(output), *map(str, paths)],
                          env={**environment, "ENGINE_PACKAGE": package}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    with np.load(output) as pixels:
        return Reading(pixels=dict(pixels), **answer)


def saved(path: Path, pixels: np.ndarray, mode: str = "", **options: Any) -> Path:
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


EXACT: dict[str, Callable[[Path], Path]] = {
    "rgb.png": lambda path: saved(path, GRADIENT), "rgba.png": lambda path: saved(path, CLEAR),
    "grey.png": lambda path: saved(path, GRADIENT, "L"), "grey_alpha.png": lambda path: saved(path, CLEAR, "LA"),
    "palette.png": lambda path: saved(path, GRADIENT, "P"), "bits.png": lambda path: saved(path, GRADIENT, "1"),
    "clear_palette.png": lambda path: saved(path, GRADIENT, "P", transparency=bytes(range(0, 250, 5))),
    "key.png": lambda path: saved(path, GRADIENT, transparency=(0, 0, 77)), "wide.png": lambda path: saved(path, WIDE),
    "rgb.tif": lambda path: saved(path, GRADIENT), "rgba.tif": lambda path: saved(path, CLEAR), "wide.tif": lambda path: saved(path, WIDE),
    "rgba.webp": lambda path: saved(path, CLEAR, lossless=True, exact=True), "rgb.bmp": lambda path: saved(path, GRADIENT),
}
NEAR: dict[str, Callable[[Path], Path]] = {
    "rgb.jpg": lambda path: saved(path, GRADIENT, quality=95), "progressive.jpg": lambda path: saved(path, GRADIENT, progressive=True),
    "grey.jpg": lambda path: saved(path, GRADIENT, "L"), "cmyk.jpg": lambda path: saved(path, GRADIENT, "CMYK", quality=95),
    "turned.jpg": lambda path: saved(path, GRADIENT, exif=turned()), "lossy.webp": lambda path: saved(path, GRADIENT, quality=90),
    "palette.tif": lambda path: saved(path, GRADIENT, "P"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("Fotos – 写真")


@pytest.fixture(scope="module")
def read(folder: Path) -> Reading:
    """All kinds at once."""
    return reading(engine(), *(make(folder / name) for name, make in {**EXACT, **NEAR}.items()))


@pytest.fixture(scope="module")
def read_by_blender(folder: Path) -> Reading:
    """All kinds at once, where Blender's Python has no OpenImageIO."""
    return reading(without_library(), *(make(folder / name) for name, make in {**EXACT, **NEAR}.items()))


def without_library(**changes: Any) -> Any:
    """The built-in engine of a Blender that has no OpenImageIO for Python: another Blender without a window reads for it."""
    return engine(image_library=None, image_reader=module("addon.engines.choice").image_reader(), **changes)


def test_blender_brings_it_along_and_nothing_beside_it_is_imported(read: Reading) -> None:
    library = module("addon.engines.choice").image_library()
    assert library is not None and library.is_relative_to(bpy.utils.resource_path("LOCAL"))
    assert read.reader == "OpenImageIO" and read.said == {}
    assert Path(read.numpy) == Path(np.__file__) and str(library.parent) not in read.path


@pytest.mark.parametrize("name", [*EXACT, *NEAR])
def test_the_same_pixels_as_pillows(read: Reading, folder: Path, name: str) -> None:
    """Pillow reads them in this process, which has it."""
    expected = module("engine.training.data.images").read_image(folder / name)
    assert read.pixels[name].shape == expected.shape and read.pixels[name].dtype == np.uint8
    assert np.abs(read.pixels[name].astype(int) - expected).max() <= (0 if name in EXACT else 2)
    assert read.sizes[name] == [80, 60]


@pytest.mark.parametrize("name", [*EXACT, *NEAR])
def test_blender_itself_reads_the_same_pixels(read_by_blender: Reading, folder: Path, name: str) -> None:
    """As stored: an EXIF turn is not applied, for cameras count stored pixels. Alpha that is opaque everywhere is left away."""
    assert read_by_blender.reader == "Blender" and name not in read_by_blender.said
    expected, pixels = module("engine.training.data.images").read_image(folder / name), read_by_blender.pixels[name]
    if pixels.shape[2] == 3 and expected.shape[2] == 4:
        assert (expected[..., 3] == 255).all()
        expected = expected[..., :3]
    assert pixels.shape == expected.shape and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= (0 if name in EXACT else 2)


@pytest.mark.parametrize("place", [engine, without_library])
def test_light_becomes_display_values(tmp_path: Path, place: Callable[[], Any]) -> None:
    """EXR and Radiance as Blender itself writes them."""
    levels = np.array([0.0, 0.0021, 0.2140, 1.0, 7.5], np.float32)
    paths = [tmp_path / "light.exr", tmp_path / "light.hdr"]
    for path, kind in zip(paths, ("OPEN_EXR", "HDR"), strict=True):
        image = bpy.data.images.new("light", len(levels), 2, float_buffer=True)
        image.colorspace_settings.name = "Non-Color"
        opaque = np.stack([levels, levels, levels, np.ones_like(levels)], axis=1)  # [5, 4]
        image.pixels.foreach_set(np.tile(opaque, (2, 1)).ravel())
        image.file_format, image.filepath_raw = kind, str(path)
        image.save()
        bpy.data.images.remove(image)
    read = reading(place(), *paths)
    for path in paths:
        pixels = read.pixels[path.name]
        assert np.abs(pixels[..., :3].astype(int) - np.array([0, 7, 127, 255, 255])[None, :, None]).max() <= 1
        assert place is without_library or read.sizes[path.name] == [5, 2]


@pytest.mark.parametrize("name", ["half.exr", "float.exr", "layers.exr"])
def test_exr_as_renderers_write_it(tmp_path: Path, name: str) -> None:
    """Of several layers the first one with colours counts."""
    path, scene = tmp_path / name, empty_scene()
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "MULTI_LAYER_IMAGE" if name == "layers.exr" else "IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER" if name == "layers.exr" else "OPEN_EXR"
    settings.color_depth, settings.color_mode = "16" if name == "half.exr" else "32", "RGBA"
    add_camera(scene)
    scene.world = bpy.data.worlds.new("grey")
    if not scene.world.node_tree:
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.214, 0.214, 0.214, 1)
    scene.view_layers[0].use_pass_z = True
    scene.render.filepath, scene.render.resolution_percentage = str(path), 10
    bpy.ops.render.render(write_still=True)
    pixels = reading(engine(), path).pixels[name]
    assert np.abs(pixels[..., :3].astype(int) - 127).max() <= 1


@pytest.mark.parametrize("name", ["cut.jpg", "cut.tif", "cut.webp", "cut.png", "text.jpg", "empty.tif", "float.tif"])
@pytest.mark.parametrize("place", [engine, without_library])
def test_bad_files_are_one_sentence(tmp_path: Path, name: str, place: Callable[[], Any]) -> None:
    """Blender itself takes what it can get: the upper half of a file that is cut, and floats as they are."""
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    if name.startswith("cut"):
        whole = saved(path, noise).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif name == "float.tif":
        saved(path, noise[..., 0].astype(np.float32))
    else:
        path.write_bytes(b"" if name.startswith("empty") else b"no image")
    read = reading(place(), path)
    if place is without_library and name in ("cut.jpg", "cut.tif", "cut.webp", "float.tif") and name in read.pixels:
        return
    said = read.said
    assert said[name].startswith("UserError: ") and name in said[name] and "than PNG" not in said[name]


def test_without_blender_beside_it_png_is_read_and_others_are_refused(tmp_path: Path) -> None:
    place = engine(image_library=None)
    read = reading(place, EXACT["rgb.png"](tmp_path / "rgb.png"), NEAR["rgb.jpg"](tmp_path / "rgb.jpg"))
    assert read.reader == "PNG" and np.array_equal(read.pixels["rgb.png"], GRADIENT)
    assert read.said["rgb.jpg"] == ("UserError: rgb.jpg is a JPEG, and nothing here reads more than PNG. "
                                    "Train from Blender, which reads it, or install the full engine (Install Full Engine).")


@pytest.mark.parametrize("place", [engine, without_library])
def test_heic_names_the_full_engine_and_its_button(tmp_path: Path, place: Callable[[], Any]) -> None:
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(HEIC)
    assert reading(place(), path).said[path.name] == (
        "UserError: IMG_0001.HEIC is a HEIC photo, which the built-in engine does not read. "
        "Install the full engine (Install Full Engine), or save the photos as JPEG.")
    assert module("addon.operators.install").SPLATWRIGHT_OT_install_engine.bl_label == "Install Full Engine"


@pytest.mark.parametrize("command", [("/nowhere/blender",), (sys.executable, "-c", "print('no images here')")])
def test_a_blender_that_cannot_read_is_one_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    read = reading(engine(image_library=None, image_reader=command), NEAR["rgb.jpg"](tmp_path / "rgb.jpg"))
    assert read.said["rgb.jpg"].startswith("UserError: rgb.jpg: Blender") and "could not be started" in read.said["rgb.jpg"].replace(
        "cannot be started", "could not be started")


def test_a_blender_that_is_lost_over_a_file_is_started_anew(tmp_path: Path) -> None:
    """As when a decoder crashes: that image is damaged, and the next one is read."""
    script = tmp_path / "crashing.py"
    server = Path(module("addon.photos.image_server").__file__)
    script.write_text(f"import os, sys\nfrom pathlib import Path\nsys.path.insert(0, {str(server.parent)!r})\nimport image_server\n"
                      "answer = image_server.answer\n"
                      "image_server.answer = lambda path, *rest: os._exit(3) if 'bad' in path else answer(path, *rest)\n"
                      "image_server.main(Path(sys.argv[-1]))\n")
    place = engine(image_library=None, image_reader=(sys.executable, str(script)))
    read = reading(place, NEAR["rgb.jpg"](tmp_path / "bad.jpg"), NEAR["rgb.jpg"](tmp_path / "good.jpg"))
    assert "bad.jpg is damaged" in read.said["bad.jpg"] and "good.jpg" not in read.said, read.said
    assert read.pixels["good.jpg"].shape == (60, 80, 3)


def test_the_self_check_names_the_reader(tmp_path: Path) -> None:
    """Of the four there are, by what is there."""
    blocked = without_pillow(tmp_path)
    for place, sentence in ((engine(), "OpenImageIO reads"), (engine(image_library=None), "Pillow reads"),
                            (without_library(import_paths=(blocked, *engine().import_paths)), "Blender itself reads"),
                            (engine(image_library=None, import_paths=(blocked, *engine().import_paths)), "PNG alone is read")):
        _, environment = place.command("doctor")
        package = module("engine").__name__.rpartition(".")[2]
        done = subprocess.run([str(place.python), "-c", f"from {package}.doctor import images; print(images().sentence)"],
                              env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(sentence)


@pytest.mark.parametrize("choose", [engine, without_library])
def test_photos_train_with_nothing_installed(tmp_path: Path, choose: Callable[..., Any]) -> None:
    """JPEG as a phone writes them, from the button's own engine."""
    made, views = write_ball_dataset(tmp_path / "photos", alpha=False), []
    for view in made.views:
        photo = view.image.with_suffix(".jpg")
        Image.open(view.image).save(photo, quality=95)
        view.image.unlink()
        views.append(replace(view, name=photo.name, image=photo))
    from engine.core.datasets.transforms_json import write_transforms

    write_transforms(replace(made, views=tuple(views)))
    place = choose(root=tmp_path / "jobs", import_paths=(without_pillow(tmp_path), *engine().import_paths))
    spec, config = module("engine.core.protocol.spec").JobSpec, module("engine.core.protocol.config").TrainConfig
    job = place.submit(spec(made.folder, config(max_steps=40, resolution=48, max_gaussians=300, threads=2)))
    state, end = module("engine.jobs.local_engine").JobState, time.monotonic() + 120
    while place.state(job).alive and time.monotonic() < end:
        time.sleep(0.1)
    assert place.state(job) is state.FINISHED, (place.events(job)[0], place.folder(job).log.read_text())
    assert place.folder(job).result.exists()


def without_pillow(folder: Path) -> Path:
    """A folder that hides Pillow from whoever has it first on its import path."""
    hiding = folder / "hiding"
    (hiding / "PIL").mkdir(parents=True, exist_ok=True)
    (hiding / "PIL" / "__init__.py").write_text("raise ImportError('hidden')\n")
    return hiding



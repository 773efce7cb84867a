"""What people really put into a folder: each a plain sentence that names the photos concerned, and the rest goes on."""

from __future__ import annotations

import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.datasets.poses_report import PosesReport
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.protocol.progress import Step
from engine.core.protocol.sfm_options import PosesOptions
from engine.sfm.poses import find_poses
from tests.sfm.photo_scene import HEIGHT, WIDTH, photograph, save, shots, take_photos, walk

QUICK = PosesOptions(features="quick", max_features=1200)


def refused(photos: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        find_poses(photos, photos.with_name("dataset"), QUICK)
    said = str(caught.value)
    assert all(word in said for word in words) and caught.value.hint, said
    assert not (photos.with_name("dataset") / "transforms.json").exists()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PosesReport]:
    """Photos in many guises, and things that only look like photos."""
    folder = tmp_path_factory.mktemp("Ferien – 休暇") / "my photos"
    save(folder / "день 1" / "a b.jpg", shots()[0], quality=95)
    save(folder / "день 1" / "写真 'neu' (2).jpg", shots()[1], quality=95)
    save(folder / "upper.JPG", shots()[2], format="JPEG", quality=95)
    save(folder / "deep.png", np.asarray(Image.fromarray(shots()[3]).convert("L")).astype(np.uint16) * 257)
    write_tiff_16(folder / "deep.tif", shots()[4])
    save_heic(folder / "phone.heic", shots()[5])
    save(folder / "turned.jpg", np.rot90(shots()[6]), quality=95, exif=turned(6))
    save(folder / "half.jpg", np.asarray(Image.fromarray(shots()[7]).resize((WIDTH * 3 // 4, HEIGHT * 3 // 4))), quality=95)
    save(folder / "elsewhere.jpg", shots(seed=7)[3], quality=95)
    save(folder / "день 1" / "again.jpg", shots()[0], quality=80)
    whole = (folder / "upper.JPG").read_bytes()
    (folder / "cut off.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "zeroed.jpg").write_bytes(bytes(20_000))
    (folder / "notes.jpg").write_text("Dear diary, today I took photos.\n" * 50)
    (folder / "nothing.png").touch()
    (folder / "film.dng").write_bytes(b"II*\0" + bytes(500))
    (folder / "read me.txt").write_text("not a photo, and does not claim to be one")
    return folder, find_poses(folder, folder.with_name("dataset"), QUICK)


def write_tiff_16(path: Path, pixels: np.ndarray) -> None:
    """RGB of 16 bits, uncompressed, as developers of RAW files write it (TIFF 6.0)."""
    height, width = pixels.shape[:2]
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 200),
            (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, pixels.size * 2), (284, 3, 1, 1)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    head = struct.pack("<2sHI", b"II", 42, 14) + struct.pack("<3H", 16, 16, 16) + directory
    path.write_bytes(head.ljust(200, b"\0") + (pixels.astype("<u2") * 257).tobytes())


def save_heic(path: Path, pixels: np.ndarray) -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    Image.fromarray(pixels).save(path, format="HEIF", quality=90)


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_every_kind_of_photo_finds_its_camera(mixed: tuple[Path, PosesReport]) -> None:
    assert set(mixed[1].placed) == {"день 1/a b.jpg", "день 1/写真 'neu' (2).jpg", "upper.JPG", "deep.png", "deep.tif", "phone.heic",
                                    "turned.jpg", "half.jpg"}, mixed[1].text()
    views = read_dataset(mixed[0].with_name("dataset")).views
    assert {view.name for view in views} >= {"день 1/a b.jpg", "phone.jpg", "turned.jpg"} and all(view.image.is_file() for view in views)
    assert next(view for view in views if view.name == "turned.jpg").camera.width == WIDTH


@pytest.mark.parametrize(("name", "words"), [
    ("elsewhere.jpg", "points"), ("день 1/again.jpg", "the same image as день 1/a b.jpg"), ("cut off.jpg", "cut off"),
    ("zeroed.jpg", "no image"), ("notes.jpg", "no image"), ("nothing.png", "no image"), ("film.dng", "RAW"),
])
def test_every_other_file_is_named_with_a_reason(mixed: tuple[Path, PosesReport], name: str, words: str) -> None:
    reasons = {photo.name: photo.reason for photo in mixed[1].unplaced}
    assert words in reasons[name] or (name == "elsewhere.jpg" and "matches no other photo" in reasons[name])
    assert f"not registered: {name}: " in mixed[1].text() and "read me.txt" not in mixed[1].text()


def test_photos_stay_as_they_are(mixed: tuple[Path, PosesReport]) -> None:
    assert len([path for path in mixed[0].rglob("*") if path.is_file()]) == 16


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    refused(tmp_path / "photos", "holds no photos", ".jpg")
    refused(tmp_path / "nowhere", "does not exist")


def test_videos_are_no_photos(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "clip.mp4").write_bytes(b"\0" * 100)
    refused(tmp_path / "photos", "videos", "splatwright frames")


def test_one_photo(tmp_path: Path) -> None:
    save(tmp_path / "photos" / "only one.jpg", shots()[0])
    refused(tmp_path / "photos", "only one.jpg", "At least 3")


def test_the_same_photo_thirty_times(tmp_path: Path) -> None:
    first = save(tmp_path / "photos" / "copy_01.jpg", shots()[0])
    for number in range(2, 31):
        shutil.copy(first, first.with_name(f"copy_{number:02d}.jpg"))
    refused(tmp_path / "photos", "Only 1 of the 30", "copy_02.jpg", "copy_04.jpg and 26 more", "the same image as copy_01.jpg")


def test_nothing_but_damaged_files(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"IMG_{number}.jpg").write_text("hello")
    refused(tmp_path / "photos", "IMG_0.jpg", "no image")


def test_surfaces_without_texture(tmp_path: Path) -> None:
    for number in range(5):
        save(tmp_path / "photos" / f"wall_{number}.png", np.full((HEIGHT, WIDTH, 3), 120 + 20 * number, np.uint8))
    refused(tmp_path / "photos", "wall_0.png", "too little texture", "5 photos")


def test_photos_of_different_places(tmp_path: Path) -> None:
    for number, camera in enumerate(walk(4)):
        save(tmp_path / "photos" / f"trip_{number}.jpg", photograph(camera, seed=20 + number))
    refused(tmp_path / "photos", "No cameras were found", "trip_0.jpg")


def test_of_two_places_the_one_with_more_photos_is_kept(tmp_path: Path) -> None:
    for number, shot in enumerate(shots(seed=7)[:4], 1):
        save(tmp_path / "photos" / f"a_garden_{number}.jpg", shot, quality=95)
    for number, shot in enumerate(shots()[:6], 1):
        save(tmp_path / "photos" / f"house_{number}.jpg", shot, quality=95)
    report = find_poses(tmp_path / "photos", tmp_path / "dataset", QUICK)
    assert list(report.placed) == [f"house_{number}.jpg" for number in range(1, 7)]
    assert all("another part of the scene" in photo.reason and "a_garden" in photo.partner for photo in report.unplaced)
    assert len(report.unplaced) == 4


def test_a_dataset_is_not_written_over_other_things(tmp_path: Path) -> None:
    for number, shot in enumerate(shots()[:3]):
        save(tmp_path / "photos" / f"{number}.jpg", shot)
    with pytest.raises(UserError, match="holds other things"):
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken" / "thesis.doc").write_text("important")
        find_poses(tmp_path / "photos", tmp_path / "taken", QUICK)
    with pytest.raises(UserError, match="around the photos"):
        find_poses(tmp_path / "photos", tmp_path, QUICK)


@pytest.fixture
def small_disk(tmp_path: Path) -> object:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_too_small(small_disk: Path, tmp_path: Path) -> None:
    take_photos(tmp_path / "photos", 3)
    (small_disk / "filler").write_bytes(bytes(40 << 20))
    with pytest.raises(UserError, match=r"disk is full: 3 photos need about 12 MB"):
        find_poses(tmp_path / "photos", small_disk / "dataset", QUICK)


def test_a_disk_that_fills_up_on_the_way(small_disk: Path, tmp_path: Path) -> None:
    take_photos(tmp_path / "photos", 8)

    def fill(step: Step) -> None:
        if step.name == "starting COLMAP" or (step.name == "extracting features" and not (small_disk / "filler").exists()):
            with suppress(OSError):  # COLMAP writes at the same time
                (small_disk / "filler").write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - (100 << 10))))

    with pytest.raises(UserError, match="disk is full"):
        find_poses(tmp_path / "photos", small_disk / "dataset", QUICK, fill)
    assert not (small_disk / "dataset" / "transforms.json").exists()
    (small_disk / "filler").unlink()
    assert len(find_poses(tmp_path / "photos", small_disk / "dataset", QUICK).placed) == 8

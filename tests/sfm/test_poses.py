"""Cameras of real files by real COLMAP, against the cameras that took them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import Dataset
from engine.core.datasets.poses_report import PosesReport, read_report
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.protocol.progress import Step
from engine.core.protocol.sfm_options import PosesOptions
from engine.sfm.poses import find_poses
from tests.bench.bench_sfm import aligned
from tests.sfm.photo_scene import FOCAL, HEIGHT, LENS, WIDTH, photograph, portrait, save, shots, take_photos, walk

QUICK = PosesOptions(features="quick", max_features=1200)


@dataclass(frozen=True)
class Found:
    """A run: what it was given, and what it made."""

    truth: list[Camera]
    dataset: Dataset
    report: PosesReport
    steps: list[Step]

    @property
    def work(self) -> Path:
        return self.dataset.folder.with_name(self.dataset.folder.name + ".work")


def described(work: Path) -> int:
    """Photos whose features are kept; 0 before there are any."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{work / 'quick.db'}?mode=ro", uri=True)) as database:
        return database.execute("SELECT count(*) FROM descriptors").fetchone()[0]
    return 0


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("walk")
    truth, steps = take_photos(folder / "photos"), []
    mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
    mask[:, : WIDTH // 2] = 0
    save(folder / "photos" / "masks" / "photo_002.png", mask)
    report = find_poses(folder / "photos", folder / "dataset", QUICK, steps.append)
    return Found(truth, read_dataset(folder / "dataset"), report, steps)


def test_cameras_are_where_the_photos_were_taken(found: Found) -> None:
    assert len(found.report.placed) == len(found.truth) and not found.report.unplaced
    true = np.array([camera.position for camera in found.truth])
    centres = np.array([view.camera.position for view in found.dataset.views])
    error = np.linalg.norm(aligned(centres, true) - true, axis=1).max() / np.linalg.norm(true[-1] - true[0])
    assert error < 0.005


def small(image: Image.Image) -> np.ndarray:
    """A quarter of the size, without detail that hangs on a fraction of a pixel."""
    return np.asarray(image.convert("L").reduce(4), float)


def test_the_lens_is_found_and_taken_out(found: Found) -> None:
    [lens] = found.report.lenses
    assert lens.focal == pytest.approx(FOCAL, rel=0.02) and lens.exif is None
    camera = found.dataset.views[3].camera
    assert not camera.distortion
    pinhole = replace(found.truth[3], distortion=(), fl_x=camera.fl_x, fl_y=camera.fl_y)
    seen = small(Image.open(found.dataset.views[3].image))
    wanted = [small(Image.fromarray(photograph(each))) for each in (pinhole, replace(pinhole, distortion=LENS))]
    straight, bent = (np.abs(seen - each).mean() for each in wanted)
    assert straight < 0.5 * bent


def test_the_scene_stands_upright_around_the_origin(found: Found) -> None:
    assert found.dataset.points is not None and len(found.dataset.points) > 300
    tops = np.array([view.camera.camera_to_world[:3, 1] for view in found.dataset.views])
    assert (tops[:, 2] > 0.8).all()
    middle = np.median(found.dataset.points.positions, axis=0)
    distances = [np.linalg.norm(view.camera.position - middle) for view in found.dataset.views]
    assert np.abs(middle).max() < 0.1 and np.median(distances) == pytest.approx(3, rel=0.1)


def test_nothing_is_recognised_under_a_mask(found: Found) -> None:
    with closing(sqlite3.connect(found.work / "quick.db")) as database:
        rows = database.execute("SELECT rows, cols, data FROM keypoints ORDER BY rows").fetchall()
    left = [(np.frombuffer(data, np.float32).reshape(count, columns)[:, 0] < WIDTH / 2 - 1).mean() for count, columns, data in rows]
    assert sum(share == 0 for share in left) == 1 and max(left) > 0.3
    masked = [view for view in found.dataset.views if view.mask]
    assert [view.name for view in masked] == ["photo_002.jpg"]
    assert 0.4 < np.asarray(Image.open(masked[0].mask)).mean() / 255 < 0.6


def test_the_report_reads_well_and_comes_with_a_picture(found: Found) -> None:
    folder = found.dataset.folder
    assert read_report(folder) == found.report
    text = (folder / "poses.txt").read_text(encoding="utf-8")
    assert text.startswith("8 of 8 photos are registered.") and "focal length" in text and "from one side" in text
    picture = np.asarray(Image.open(folder / "poses.png").convert("RGB"), int)
    red = (np.abs(picture - [0xD1, 0x49, 0x5B]).sum(axis=2) < 60).sum()
    assert red > 500  # the cameras


def test_progress_is_told_stage_by_stage(found: Found) -> None:
    names = list(dict.fromkeys(step.name for step in found.steps))
    wanted = ["reading photos", "extracting features", "matching photos", "registering cameras", "undistorting photos",
              "drawing the report"]
    assert [name for name in names if name in wanted] == wanted
    assert any("28 pairs" in step.note for step in found.steps)


def test_a_second_run_computes_no_features_again(found: Found) -> None:
    steps: list[Step] = []
    photos = found.dataset.folder.with_name("photos")
    find_poses(photos, found.dataset.folder, QUICK, steps.append)
    begin = next(step for step in steps if step.name == "extracting features")
    assert begin.done == begin.total == 8


def test_a_run_that_was_cut_off_while_writing_is_made_whole(found: Found) -> None:
    def cut(step: Step) -> None:
        if step.name == "undistorting photos" and step.done == 3:
            raise KeyboardInterrupt

    folder = found.dataset.folder
    photos = folder.with_name("photos")
    with pytest.raises(KeyboardInterrupt):
        find_poses(photos, folder, QUICK, cut)
    assert not (folder / "transforms.json").exists() and not (folder / "poses.json").exists()
    assert find_poses(photos, folder, QUICK).placed == found.report.placed
    assert len(read_dataset(folder).views) == 8


def test_two_shapes_of_photo_are_two_cameras(tmp_path: Path) -> None:
    for number, camera in enumerate(walk(8), 1):
        shot = photograph(portrait(camera)) if number in (3, 6) else shots()[number - 1]
        save(tmp_path / "in" / f"{number}.jpg", shot, quality=95)
    report = find_poses(tmp_path / "in", tmp_path / "out", QUICK)
    assert len(report.placed) == 8, report.text()
    assert sorted((lens.photos, lens.width, lens.height) for lens in report.lenses) == [(2, HEIGHT, WIDTH), (6, WIDTH, HEIGHT)]
    sizes = {view.name: (view.camera.width, view.camera.height) for view in read_dataset(tmp_path / "out").views}
    assert sizes["3.jpg"] == (HEIGHT, WIDTH) and sizes["4.jpg"] == (WIDTH, HEIGHT)


def test_global_mapping_takes_the_focal_length_from_exif(tmp_path: Path) -> None:
    take_photos(tmp_path / "blind", 3)
    with pytest.raises(UserError, match=r"photo_001.jpg has none"):
        find_poses(tmp_path / "blind", tmp_path / "no", replace(QUICK, mapping="global"))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0xA405] = round(FOCAL / np.hypot(WIDTH, HEIGHT) * 43.2666)
    for number, shot in enumerate(shots(), 1):
        save(tmp_path / "in" / f"{number}.jpg", shot, quality=95, exif=exif)
    report = find_poses(tmp_path / "in", tmp_path / "out", replace(QUICK, mapping="global"))
    assert len(report.placed) == 8 and report.mapping == "global"
    [lens] = report.lenses
    assert lens.name == "Maker" and lens.exif == pytest.approx(FOCAL, rel=0.02) and lens.focal == pytest.approx(FOCAL, rel=0.03)


def test_options_come_back_from_json_and_refuse_nonsense() -> None:
    from engine.core.protocol.sfm_options import options_from_json

    assert options_from_json(json.loads('{"image_size": 800, "pairing": "similar"}')) == PosesOptions(image_size=800, pairing="similar")
    for bad in ({"pairing": "none"}, {"feature_size": 0}, {"max_features": 1.5}, {"threads": True}, {"speed": 3}):
        with pytest.raises(UserError, match=next(iter(bad))):
            options_from_json(bad)

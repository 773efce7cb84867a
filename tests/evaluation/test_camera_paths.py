"""Camera paths from every source, and the pictures and films that are rendered along them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import UserError
from engine.core.images.png import decode_png
from engine.core.splats.gaussians import concatenate
from engine.evaluation.camera_paths import bounds, fitted, flight, orbit, read_path
from engine.evaluation.pictures import write_film, write_pictures
from tests.scenes import colored_ball, look_at, ring_cameras, write_ball_dataset


def path_file(folder: Path, **changes: object) -> Path:
    poses = [look_at(np.array([4.0, 0, 1])), look_at(np.array([0, 4.0, 1]))]
    values = {"camera_type": "perspective", "render_width": 192, "render_height": 108, "fps": 24, "seconds": 1,
              "camera_path": [{"camera_to_world": pose.ravel().tolist(), "fov": 50, "aspect": 16 / 9} for pose in poses]}
    (folder / "camera_path.json").write_text(json.dumps(values | changes))
    return folder / "camera_path.json"


def test_a_path_of_nerfstudios_viewer(tmp_path: Path) -> None:
    cameras = [camera for _, camera in read_path(path_file(tmp_path))]
    assert [(camera.width, camera.height) for camera in cameras] == [(192, 108)] * 2
    assert cameras[0].fl_y == pytest.approx(54 / math.tan(math.radians(25))) == cameras[0].fl_x
    pixels, depth = cameras[1].project(np.zeros((1, 3)))
    assert np.allclose(pixels, [[96, 54]]) and depth[0] == pytest.approx(math.sqrt(17))


@pytest.mark.parametrize(("changes", "said"), [
    ({"camera_type": "equirectangular"}, "equirectangular"), ({"camera_path": []}, "no frames"), ({"render_width": "wide"}, "image size"),
    ({"camera_path": [{"camera_to_world": [1, 2], "fov": 50}]}, "valid pose"),
    ({"camera_path": [{"camera_to_world": [0.0] * 16, "fov": 50}]}, "valid pose"),
    ({"camera_path": [{"camera_to_world": np.eye(4).ravel().tolist(), "fov": 200}]}, "valid pose"), ({"render_height": 0}, "image size")])
def test_paths_that_are_none(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said), np.errstate(all="ignore"):
        read_path(path_file(tmp_path, **changes))


def test_files_that_hold_no_cameras(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("[1]")
    (tmp_path / "c.json").write_text("{")
    for name, said in (("a", "neither frames"), ("b", "no cameras"), ("c", "not valid JSON"), ("d", "cannot be reached")):
        with pytest.raises(UserError, match=said):
            read_path(tmp_path / f"{name}.json")


def test_cameras_of_a_dataset_with_and_without_its_images(tmp_path: Path) -> None:
    dataset = write_ball_dataset(tmp_path / "ball", views=9, size=16)
    assert [name for name, _ in read_path(dataset.folder, all_views=False)] == ["view_000", "view_008"]
    assert len(read_path(dataset.folder)) == 9
    for image in (dataset.folder / "images").iterdir():
        image.unlink()
    alone = read_path(dataset.folder / "transforms.json")
    assert [name for name, _ in alone] == [Path(view.name).stem for view in dataset.views]
    assert np.allclose(alone[3][1].camera_to_world, dataset.views[3].camera.camera_to_world)


def test_an_orbit_sees_the_splats_and_not_a_floater() -> None:
    ball = replace(colored_ball(500), means=colored_ball(500).means + np.float32([10, -3, 2]))
    floater = replace(ball.take(slice(0, 1)), means=np.full((1, 3), 500, np.float32))
    centre, radius = bounds(concatenate([ball, floater]))
    assert np.allclose(centre, [10, -3, 2], atol=0.2) and 0.9 < radius < 1.4
    for _, camera in orbit(ball, 7, 160, 90):
        pixels, depth = camera.project(ball.means.astype(np.float64))
        assert (depth > 0).all() and (pixels > 0).all() and (pixels < [160, 90]).all()
        assert np.ptp(pixels[:, 1]) > 45, "the splats fill the picture"
        assert camera.camera_to_world[2, 1] > 0, "upright"


def test_a_flight_passes_through_every_camera_smoothly() -> None:
    cameras = [(str(index), camera) for index, camera in enumerate(ring_cameras(6))]
    frames = flight(cameras, 51)
    for index, (_, camera) in enumerate(cameras):
        assert np.allclose(frames[index * 10][1].camera_to_world, camera.camera_to_world, atol=1e-9)
    places = np.stack([camera.position for _, camera in frames])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps.max() < 3 * np.median(steps)
    for _, camera in frames:
        assert np.allclose(camera.camera_to_world[:3, :3] @ camera.camera_to_world[:3, :3].T, np.eye(3), atol=1e-9)
    assert len(flight(cameras[:1], 3)) == 3


def test_sizes() -> None:
    camera = replace(ring_cameras(1)[0], width=101, height=77)
    assert (fitted(camera, 1000).width, fitted(camera, 1000).height) == (101, 77)
    assert (fitted(camera, 1000, even=True).width, fitted(camera, 50, even=True).height) == (100, 38)


def frames_of(count: int) -> list[np.ndarray]:
    rows, columns = np.mgrid[0:48, 0:64]
    return [np.stack([rows * 5, columns * 3, np.full_like(rows, 20 * index)], axis=2).astype(np.uint8) for index in range(count)]


def test_a_film_holds_the_frames(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "new folder" / "flüg 飛.mp4"
    assert write_film(path, iter(frames_of(10)), 25) == 10
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        read = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
        assert float(stream.average_rate) == 25 and len(read) == 10
    assert np.abs(read[7].astype(int) - frames_of(10)[7]).mean() < 4
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_film_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("av")

    def broken():
        yield from frames_of(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "a.mp4", broken(), 25)
    assert not list(tmp_path.iterdir())


def test_pictures_are_png(tmp_path: Path) -> None:
    written = write_pictures(tmp_path / "out", [("one", frames_of(1)[0])])
    assert np.array_equal(decode_png(written[0].read_bytes()), frames_of(1)[0])

"""Camera files of other programs: RealEstate10K in and out, nerfstudio's camera path out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.core.cameras.camera import Camera
from engine.core.cameras.camera_path import read_model_frame, write_camera_path
from engine.core.datasets.read import read_dataset
from engine.core.datasets.realestate10k import Shots, read_cameras, write_real_estate
from engine.core.errors import UserError
from engine.evaluation.camera_paths import read_path
from tests.scenes import look_at

ROW = "46979267 0.474812461 0.844111024 0.5 0.5 0.0 0.0 1 0 0 0.5 0 1 0 -0.25 0 0 1 2"
"""A camera half a metre beside, a quarter above and two metres before the origin of an OpenCV world."""

finite = st.floats(-1e3, 1e3)


@st.composite
def shots(draw: st.DrawFn) -> Shots:
    width, height = draw(st.integers(1, 4000)), draw(st.integers(1, 4000))
    cameras = []
    for _ in range(draw(st.integers(1, 4))):
        pose = np.eye(4)
        pose[:3, :3] = np.linalg.qr(np.array(draw(st.lists(finite, min_size=9, max_size=9))).reshape(3, 3) + 2e3 * np.eye(3))[0]
        pose[:3, :3] *= np.linalg.det(pose[:3, :3])
        pose[:3, 3] = draw(st.lists(finite, min_size=3, max_size=3))
        lens = [draw(st.floats(0.1, 1e4)) for _ in range(2)] + [draw(finite) for _ in range(2)]
        cameras.append(Camera(width, height, *lens, pose))
    times = draw(st.lists(st.integers(0, 2**53), min_size=len(cameras), max_size=len(cameras), unique=True))
    return Shots(draw(st.sampled_from(["", "https://www.youtube.com/watch?v=abc"])), tuple(times), tuple(cameras))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=shots())
def test_what_is_written_comes_back(tmp_path: Path, made: Shots) -> None:
    write_real_estate(tmp_path / "clip.txt", made)
    assert all(len(line.split()) == 19 for line in (tmp_path / "clip.txt").read_text().splitlines()[1:])
    back = read_cameras(tmp_path / "clip.txt", (made.cameras[0].width, made.cameras[0].height))
    assert (back.url, back.times) == (made.url, made.times)
    for before, after in zip(made.cameras, back.cameras, strict=True):
        assert np.allclose(before.camera_to_world, after.camera_to_world, atol=1e-9)
        assert np.allclose(before.K, after.K, rtol=1e-12, atol=1e-9)


def test_the_conventions_of_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "clip.txt").write_text(f"https://example.org/watch?v=1\n{ROW}\n")
    found = read_cameras(tmp_path / "clip.txt", (1000, 500))
    camera = found.cameras[0]
    assert found.url.startswith("https://") and found.times == (46979267,)
    assert (camera.fl_x, camera.fl_y) == pytest.approx((474.812461, 422.055512)) and (camera.cx, camera.cy) == (500, 250)
    assert np.allclose(camera.position, [-0.5, -2, -0.25]), "Blender's (x, y, z) of OpenCV's (x, z, -y)"
    pixels, depth = camera.project(np.array([[0.0, 0.0, 0.0]]))
    assert np.allclose(pixels, [[500 + 474.812461 * 0.25, 250 - 422.055512 * 0.125]]) and depth == pytest.approx([2])


def clip(folder: Path, names: list[str]) -> Path:
    path = folder / "clip.txt"
    write_real_estate(path, Shots("https://example.org", (0, 33367, 66733, 100100, 133467),
                                  tuple(Camera(16, 12, 14, 14, 8, 6, look_at(np.array([3.0, i, 1]))) for i in range(5))))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12)).save(folder / name)
    return path


@pytest.mark.parametrize("names", [
    ["clip/0.png", "clip/33367.png", "clip/133467.png"], ["images/frame_0.jpg", "images/frame_000033367.jpg", "images/frame_133467.jpg"],
    ["0.png", "33367.png", "133467.png"],
], ids=str)
def test_frames_are_found_by_their_time(tmp_path: Path, names: list[str]) -> None:
    path = clip(tmp_path, names)
    for source in (path, tmp_path):
        dataset = read_dataset(source)
        assert len(dataset.views) == 3 and dataset.missing == ("66733", "100100")
        assert [round(view.camera.position[1]) for view in dataset.views] == [0, 1, 4]
        assert (dataset.views[0].camera.width, dataset.views[0].camera.height) == (16, 12)


def test_frames_in_order(tmp_path: Path) -> None:
    clip(tmp_path, [f"clip/shot-{letter}.png" for letter in "abcde"])
    assert [round(view.camera.position[1]) for view in read_dataset(tmp_path).views] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("text, words", [
    ("", "is no dataset"), ("https://example.org\n", "is no dataset"), (f"url\n{ROW} 7\n", "is no dataset"),
    (f"{ROW[:-1]}nan\n", "Line 1 of"),
    (f"url\n{ROW.replace('0.474812461', '0')}\n", "impossible intrinsics"),
    (f"url\n{ROW.replace('1 0 0 0.5', '3 0 0 0.5')}\n", "no rotation"),
    (f"url\n{ROW.replace('1 0 0 0.5', '-1 0 0 0.5')}\n", "no rotation"), (f"url\n{ROW}\n", "None of the 1 frames"),
], ids=str)
def test_bad_camera_files(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "clip.txt"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        read_dataset(path)
    assert caught.value.hint


@pytest.mark.parametrize("change, words", [
    (lambda line: f"{line} 7", "it does not hold 19 numbers"), (lambda line: line.replace(" 0.875 ", " nan ", 1), "it does not hold 19"),
    (lambda line: line.replace(" 0.875 ", " 0 ", 1), "impossible intrinsics"),
], ids=["columns", "nan", "lens"])
def test_a_bad_line_costs_that_line(tmp_path: Path, change: Callable[[str], str], words: str) -> None:
    path = clip(tmp_path, [f"clip/{time}.png" for time in (0, 33367, 66733, 100100, 133467)])
    before = read_dataset(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], change(lines[3]), *lines[4:]]))
    dataset = read_dataset(path)
    [left] = dataset.left_out
    assert left.reason.startswith("Line 4 of") and words in left.reason and len(dataset.views) == 4 and not dataset.missing
    assert {view.name for view in dataset.eval_views} == {view.name for view in before.eval_views} != {"66733.png"}


def test_what_the_format_cannot_hold(tmp_path: Path) -> None:
    camera = Camera(16, 12, 14, 14, 8, 6, np.eye(4), (0.1,))
    with pytest.raises(UserError, match="lens distortion"):
        write_real_estate(tmp_path / "a.txt", Shots("", (0,), (camera,)))
    assert not (tmp_path / "a.txt").exists()


def test_a_camera_path_as_nerfstudio_reads_it(tmp_path: Path) -> None:
    """Its reader takes a 4 x 4 pose by rows, the vertical angle in degrees, and sizes of the whole path."""
    cameras = [Camera(640, 480, 500, 500, 320, 240, look_at(np.array([3.0, i, 1]))) for i in range(4)]
    write_camera_path(tmp_path / "path.json", cameras, 24)
    values = json.loads((tmp_path / "path.json").read_text())
    assert (values["render_width"], values["render_height"], values["camera_type"], values["fps"]) == (640, 480, "perspective", 24)
    assert values["seconds"] == pytest.approx(4 / 24)
    for camera, entry in zip(cameras, values["camera_path"], strict=True):
        assert np.allclose(np.reshape(entry["camera_to_world"], (4, 4)), camera.camera_to_world)
        assert 240 / math.tan(math.radians(entry["fov"]) / 2) == pytest.approx(500) and entry["aspect"] == pytest.approx(4 / 3)


def test_a_camera_path_in_the_frame_of_a_model(tmp_path: Path) -> None:
    transform = np.array([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3]])
    (tmp_path / "dataparser_transforms.json").write_text(json.dumps({"transform": transform.tolist(), "scale": 0.5}))
    camera = Camera(640, 480, 500, 500, 320, 240, look_at(np.array([3.0, 4, 1])))
    write_camera_path(tmp_path / "path.json", [camera], 24, read_model_frame(tmp_path / "dataparser_transforms.json"))
    pose = np.reshape(json.loads((tmp_path / "path.json").read_text())["camera_path"][0]["camera_to_world"], (4, 4))
    assert np.allclose(pose[:3, 3], 0.5 * (transform[:, :3] @ camera.position + transform[:, 3]))
    assert np.allclose(pose[:3, :3], transform[:, :3] @ camera.camera_to_world[:3, :3])
    for text in ("{}", "[", '{"transform": [[1]], "scale": 1}'):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(UserError, match=r"no dataparser_transforms\.json"):
            read_model_frame(tmp_path / "other.json")


@pytest.mark.parametrize("change", [{"cx": 300}, {"fl_y": 400}, {"distortion": (0.1,)}, {"orthographic": True}], ids=str)
def test_what_a_camera_path_cannot_hold(tmp_path: Path, change: dict[str, object]) -> None:
    values: dict[str, object] = {"width": 640, "height": 480, "fl_x": 500, "fl_y": 500, "cx": 320, "cy": 240, "camera_to_world": np.eye(4)}
    with pytest.raises(UserError, match="perspective cameras without shift"):
        write_camera_path(tmp_path / "path.json", [Camera(**(values | change))], 24)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no frames"):
        write_camera_path(tmp_path / "path.json", [], 24)
    assert not list(tmp_path.iterdir())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 200), value=st.text(max_size=12))
def test_no_damage_is_unforeseen(tmp_path: Path, place: int, value: str) -> None:
    whole = f"https://example.org\n{ROW}\n{ROW}\n"
    (tmp_path / "clip.txt").write_text(whole[:place] + value + whole[place + len(value):], encoding="utf-8")
    try:
        read_cameras(tmp_path / "clip.txt")
    except UserError as error:
        assert error.hint


def test_a_camera_path_that_is_rendered_shows_the_same_views(tmp_path: Path) -> None:
    cameras = [Camera(640, 480, 500, 500, 320, 240, look_at(np.array([3.0, i, 1]))) for i in range(3)]
    write_camera_path(tmp_path / "path.json", cameras, 24)
    for before, (_, after) in zip(cameras, read_path(tmp_path / "path.json"), strict=True):
        assert np.allclose(before.camera_to_world, after.camera_to_world) and np.allclose(before.K, after.K)

"""The extension in a real Blender window: panels, buttons, live previews, closing and reopening."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.scenes import write_ball_dataset
from tools import extension as packaging

from .screen import decode_xwd
from .window import Desktop, desktop, why_not

REPOSITORY = Path(__file__).resolve().parents[2]
window = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packaging.fetch_wheels(REPOSITORY)
    return packaging.build(REPOSITORY, tmp_path_factory.mktemp("dist"))


@pytest.fixture
def desk(archive: Path, tmp_path: Path) -> Iterator[Desktop]:
    with desktop(tmp_path) as made:
        shutil.copy(archive, made.folder / "extension.zip")
        write_ball_dataset(made.folder / "dataset", size=96)
        yield made


def test_screen_files_are_read() -> None:
    header = np.zeros(25, ">u4")
    header[[0, 1, 4, 5, 11, 12]] = [100, 7, 2, 1, 32, 8]
    header[[14, 15, 16, 19]] = [0xFF0000, 0x00FF00, 0x0000FF, 1]
    data = header.tobytes() + b"\0" * 12 + bytes([1, 2, 3, 0, 4, 5, 6, 0])
    assert decode_xwd(data).tolist() == [[[3, 2, 1], [6, 5, 4]]]
    with pytest.raises(ValueError, match="version"):
        decode_xwd(b"\0" * 100)


@pytest.mark.gui
@window
def test_panels(desk: Desktop) -> None:
    found = desk.run("steps_panels")
    assert found["engine"] == "ready", found["message"]
    assert {"panels-narrow", "panels-wide"} <= set(desk.seen)


@pytest.mark.gui
@window
def test_every_state_of_a_training_can_be_drawn(desk: Desktop) -> None:
    desk.run("steps_states")
    assert len([name for name in desk.seen if name.startswith("state-")]) == 9


@pytest.mark.gui
@window
def test_a_training_outlives_blender_and_is_found_again(desk: Desktop) -> None:
    left = desk.run("steps_leave")
    found = desk.run("steps_return", keep_profile=True, step=left["step"])
    assert found["job"] == left["job"] and found["step"] > left["step"]
    assert found["splats"] > 100 and found["objects"] == 1


@pytest.mark.gui
@window
def test_training_from_the_button_to_the_result(desk: Desktop) -> None:
    found = desk.run("steps_train", steps_to_train=1500)
    assert found["splats"] > 100 and found["identity"] and found["psnr"] > 20
    assert found["first_preview_seconds"] < 30 and found["share_of_time"] < 0.2
    assert not found["after_undo"] and found["job_after_undo"] and found["after_redo"] == found["splats"]


@pytest.mark.gui
@window
def test_from_the_factory_scene_to_splats(desk: Desktop) -> None:
    found = desk.run("steps_whole_loop")
    assert found["views"] == 16 and found["rendering_restored"]
    assert found["splats"] > 50 and found["psnr"] > 20
    assert 0.8 < found["distance"] < 1.8, "the cube's splats lie where the cube is"


@pytest.mark.gui
@window
def test_layout_by_hand(desk: Desktop) -> None:
    found = desk.run("steps_layout")
    assert found["crop"] == ["Splat Crop"] and found["after_undo"] == []
    corners = np.array(found["corners"])
    assert np.allclose(corners[0], 0, atol=1e-4) and np.allclose(corners[:, 2], 0, atol=1e-4) and abs(corners[1, 1]) < 1e-4
    assert found["mode"] == "EDIT" and 3 in found["floaters"]
    assert found["applied"] == ["FINISHED"] and found["noticed"] and not found["stale"]

"""The extension in a real Blender window: panels, buttons, live previews, closing and reopening."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.datasets.dataset import PointCloud
from engine.core.datasets.read import read_dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.formats.ply import write_ply
from engine.core.images.png import decode_png
from engine.core.protocol.capture_messages import COMMAND, CaptureOrder, read_updates, write_order
from engine.training.evaluate import psnr
from tests.preflight.planting import repaint, sound_dataset, tinted
from tests.scenes import colored_ball, write_ball_dataset
from tools import extension as packaging
from tools import release

from .engine_wheels import lay_out
from .screen import decode_xwd
from .splat_picture import expected, shot
from .window import Desktop, desktop, why_not

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(900)  # on a busy computer each look for a button takes half a minute
window = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packaging.fetch_wheels(REPOSITORY)
    return packaging.build(REPOSITORY, tmp_path_factory.mktemp("dist"))


@pytest.fixture
def desk(archive: Path) -> Iterator[Desktop]:
    with desktop() as made:
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
def test_panels_speak_every_language_of_the_extension(desk: Desktop) -> None:
    found = desk.run("steps_languages")
    if found["without"]:
        pytest.skip(f"this Blender was installed without the languages {', '.join(found['without'])}")
    english = {"Capture Dataset", "Max Splats"}
    assert len(found["said"]) == 4
    for name, said in found["said"].items():
        assert not english & set(said.values()) and not said["tooltip"].startswith("Pause the training"), name
        assert not said["sentence"].startswith("The computer"), name
        assert f"language-{name}" in desk.seen


@pytest.mark.gui
@window
def test_every_state_of_a_training_can_be_drawn(desk: Desktop) -> None:
    desk.run("steps_states")
    assert len([name for name in desk.seen if name.startswith("state-")]) == 9


@pytest.mark.gui
@window
def test_remote_engines_can_be_drawn(desk: Desktop) -> None:
    desk.run("steps_remote")
    assert len([name for name in desk.seen if name.startswith("remote-")]) == 8


@pytest.mark.gui
@window
def test_a_training_outlives_blender_and_is_found_again(desk: Desktop) -> None:
    left = desk.run("steps_leave")
    assert "dataset goes on without Blender" in (desk.pictures / "steps_leave.log").read_text(errors="replace")
    found = desk.run("steps_return", keep_profile=True, step=left["step"])
    assert found["job"] == left["job"] and found["step"] > left["step"]
    assert found["splats"] > 100 and found["objects"] == 1


@pytest.mark.gui
@window
def test_training_from_the_button_to_the_result(desk: Desktop) -> None:
    found = desk.run("steps_train", steps_to_train=1500)
    assert found["splats"] > 100 and found["identity"] and found["psnr"] > 20
    assert found["share_of_time"] < 0.2
    assert not found["after_undo"] and found["job_after_undo"] and found["after_redo"] == found["splats"]


@pytest.mark.gui
@window
def test_the_region_of_a_training_is_drawn(desk: Desktop) -> None:
    desk.run("steps_region")
    none, box = (np.asarray(Image.open(desk.picture(f"region-{name}")).convert("RGB"), int) for name in ("none", "box"))
    assert (np.abs(none - box).sum(axis=2) > 60).sum() > 300


@pytest.mark.gui
@window
def test_splats_are_listed_and_split_by_object(desk: Desktop) -> None:
    found = desk.run("steps_objects")
    assert found["engine"] == "BLENDER_EEVEE" and set(found["labels"]) == {"Cube", "Other"}
    assert found["shown"] == [[0, 1, 2]] * 4
    assert found["parts"] == {"Sofa 沙发 Splats": [-1.5, 0, 0], "Lamp Splats": [0, 0, 0.8], "Table Splats": [1.5, 0, 0]}
    listed, moved = (np.asarray(Image.open(desk.picture(f"objects-{name}")).convert("RGB"), int) for name in ("list", "moved"))
    assert (np.abs(listed - moved).sum(axis=2) > 60).sum() > 3000


@pytest.mark.gui
@window
def test_photos_of_a_phone_train_by_pressing_train(desk: Desktop) -> None:
    """JPEG, WebP and TIFF, also in a Blender without OpenImageIO for Python."""
    made = read_dataset(desk.folder / "dataset")
    photos = []
    for number, view in enumerate(made.views):
        photo = desk.folder / "photos" / "images" / f"{view.image.stem}{('.jpg', '.webp', '.tif')[number % 3]}"
        photo.parent.mkdir(parents=True, exist_ok=True)
        ball = Image.open(view.image)
        Image.composite(ball, Image.new("RGBA", ball.size, "black"), ball).convert("RGB").save(photo, quality=95)
        photos.append(replace(view, name=photo.name, image=photo))
    write_transforms(replace(made, folder=desk.folder / "photos", views=tuple(photos)))
    found = desk.run("steps_train", dataset="photos", steps_to_train=1000)
    assert found["splats"] > 100 and found["psnr"] > 20


@pytest.mark.gui
@window
def test_earlier_trainings_go_on_and_belong_to_their_scene(desk: Desktop) -> None:
    found = desk.run("steps_earlier")
    assert found["kept"], "Enter in the dialog deletes nothing"
    assert found["end"] == 60_600 and found["copy"] == ["", True]


@pytest.mark.gui
@window
def test_the_first_run(desk: Desktop) -> None:
    """Three clicks: the tab, Capture, Train."""
    found = desk.run("steps_first_run")
    assert found["cameras"] == "DOME" and "unsaved" in found["unsaved"]
    assert found["captured"] == "//splatwright/dataset" and not found["left"] and found["trained_on"] == found["dataset"]
    assert not {"weak", "broken"} & {state for subject, state in found["rows"].items() if subject not in ("Memory", "Disk", "Port")}
    assert "PyTorch" not in found["rows"]


@contextmanager
def extension_repository(folder: Path) -> Iterator[str]:
    """The static repository of a release, served as any web server would; the address of its index."""
    folder.mkdir()
    release.build_repository(REPOSITORY, folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/index.json"
    finally:
        server.shutdown()
        server.server_close()


def say(title: str, lines: Mapping[str, object]) -> None:
    print(f"\n{title}")
    for name, value in lines.items():
        print(f"  {name:60} {value}")


@pytest.mark.gui
@window
def test_the_whole_way(desk: Desktop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ply(desk.folder / "million.ply", colored_ball(1_000_000, sh_degree=3))
    with extension_repository(tmp_path / "extensions") as address:
        found = desk.run("steps_walk", repository=address)
    cut = [f"{moment}: {label}" for moment, labels in found["cut"].items() for label in labels]
    with capsys.disabled():
        say("From the enabled extension to the first splats", {
            "clicks": found["clicks"], "seconds of the capture": found["capture_seconds"],
            "seconds from Train to the first splats": found["first_splats_seconds"]})
        for stage, longest in found["longest"].items():
            say(f"Longest steps of the main thread, {stage}", {step: f"{took} ms" for step, took in longest.items()})
        say(f"Cut labels: {len(cut)}", dict.fromkeys(cut, ""))
    assert found["clicks"] == 3 and found["splats"] > 50 and found["psnr"] > 20 and found["moved"] > 0.1
    assert "Untitled.ply" in found["exported"] and not cut


@pytest.mark.gui
@window
def test_a_capture_in_a_room(desk: Desktop) -> None:
    """The cameras in the viewport, navigation meanwhile, Stop, the outcome, Walk."""
    beside = desk.folder / "tests" / "blender" / "capture"
    beside.mkdir(parents=True)
    shutil.copy(REPOSITORY / "tests" / "untyped.py", beside.parents[1])
    shutil.copy(REPOSITORY / "tests" / "blender" / "capture" / "room.py", beside)
    found = desk.run("steps_capture")
    for name in ("view-on", "view-off"):
        shutil.copy(desk.folder / f"{name}.png", desk.pictures)
    assert found["failure"] == "" and found["dome"] == "24 cameras" and found["made_for_nothing"] == 0
    assert "moved before walls" in found["walls"] and found["moved_subject"] != found["walls"]
    again = blue(desk, "rig-again", WITHIN)
    assert again > 100 and not any(blue(desk, f"rig-{name}", WITHIN) > again / 10 for name in ("no-overlays", "other-tab", "off"))
    assert max(blue(desk, "view-on"), blue(desk, "view-off")) < 50, "pictures of the viewport show no cameras"
    assert found["turned"] > 0.2 and found["zoomed"] and found["still_capturing"] and found["kept"]
    assert found["stopped"] and 2 <= found["images_kept"] < 400
    assert found["slowest_tick"] < 0.05, "processor seconds beside the render"
    assert found["outcome"][0] > 12 and not found["outcome"][1]
    assert len(found["walk"]) == 24 and (np.abs(found["walk"]) < [2.7, 2.2, 2.8]).all(), "within the walls"
    assert "24 cameras" in found["curve"]


WITHIN = (slice(100, 690), slice(60, 660))
"""A part of the viewport without buttons, in a picture of the screen."""


def blue(desk: Desktop, name: str, part: tuple[slice, ...] = ()) -> int:
    """How many pixels of a picture are as blue as the cameras of a rig: nothing else in the room is."""
    path = desk.picture(name) if name in desk.seen else desk.pictures / f"{name}.png"
    pixels = decode_png(path.read_bytes())[part].astype(int)
    return int((pixels[..., 2] - pixels[..., 0] > 40).sum())


@pytest.mark.gui
@window
def test_from_the_factory_scene_to_splats(desk: Desktop) -> None:
    found = desk.run("steps_whole_loop")
    assert found["views"] == 16 and found["rendering_restored"]
    assert found["splats"] > 50 and found["psnr"] > 20
    assert 0.8 < found["distance"] < 1.8, "the cube's splats lie where the cube is"
    assert [found[name] for name in ("hidden", "shown", "after_undo", "after_delete")] == [[True] * 2, [False] * 2, [True] * 2, [False] * 2]


@pytest.mark.gui
@window
def test_the_viewport_draws_what_the_trainer_sees(desk: Desktop) -> None:
    ball = colored_ball(800, sh_degree=2)
    write_ply(desk.folder / "ball.ply", ball, "BLENDER")
    found = desk.run("steps_drawing")
    assert found["failure"] == "" and found["resorted"] and abs(found["radius"] - 2**0.5) < 1e-4
    for name, place in (("ball", found["first"]), ("turned", found["turned"])):
        assert psnr(shot(desk, f"drawing-{name}", place) / 255, expected(ball, place)) > 40
    seen = {name: shot(desk, f"drawing-{name}", found["first"])
            for name in ("ball", "plane-before", "plane-middle", "hidden", "selected", "local-view", "disabled")}
    assert not seen["local-view"].any()
    assert seen["disabled"].any() and np.ptp(seen["disabled"], axis=2).max() < 3, "without the extension Blender draws white points"
    center = (slice(270, 370), slice(450, 550))
    assert (seen["plane-before"][center] == 255).all(), "a mesh in front hides the splats"
    difference = np.abs(seen["plane-middle"][center].astype(int) - seen["ball"][center])
    assert 0 < difference.mean() < 10, "the near half hides the mesh behind it, all but a little"
    assert (seen["hidden"] != seen["selected"]).any(axis=2).sum() > 5000


@pytest.mark.gui
@window
def test_imports_show_progress_and_can_be_stopped(desk: Desktop) -> None:
    for name, count in (("big", 300_000), ("one", 500), ("two", 700)):
        write_ply(desk.folder / f"{name}.ply", colored_ball(count, sh_degree=3 if name == "big" else 1))
    found = desk.run("steps_import")
    assert found["splats"] == 300_000 and not found["after_undo"] and found["after_escape"] == [False, 0]
    assert found["ticks"] > 5, "the window stands still"
    assert found["linked"] == [500, 700]


@pytest.mark.gui
@window
def test_layout_by_hand(desk: Desktop) -> None:
    found = desk.run("steps_layout")
    assert found["crop"] == ["Splat Crop"] and found["after_undo"] == []
    corners = np.array(found["corners"])
    assert np.allclose(corners[0], 0, atol=1e-4) and np.allclose(corners[:, 2], 0, atol=1e-4) and abs(corners[1, 1]) < 1e-4
    assert found["mode"] == "EDIT" and 3 in found["floaters"]
    assert found["applied"] == ["FINISHED"] and found["noticed"] and not found["unapplied"]


def put_on_a_floor(folder: Path) -> None:
    """Give the dataset's ball a tilted floor to stand on."""
    dataset = read_dataset(folder)
    assert dataset.points
    x, y = np.random.default_rng(0).uniform(-2, 2, (2, 1500))
    floor = np.column_stack([x, y, 0.3 * x - 1.2]).astype(np.float32)
    colors = np.full((1500, 3), 120, np.uint8)
    points = PointCloud(np.concatenate([dataset.points.positions, floor]), np.concatenate([dataset.points.colors, colors]))
    write_transforms(replace(dataset, points=points))


@pytest.mark.gui
@window
def test_photos_by_hand(desk: Desktop) -> None:
    put_on_a_floor(desk.folder / "dataset")
    found = desk.run("steps_photos")
    assert not np.allclose(found["level"], np.eye(4)) and np.allclose(found["after_undo"], np.eye(4))
    assert found["camera"] == "view_000.png" and found["view"] == "CAMERA" and found["size"] == [96, 96]
    assert found["windows"] == 2


@pytest.mark.gui
@window
def test_check_and_a_sick_training(desk: Desktop) -> None:
    dataset = sound_dataset(desk.folder / "troubled")
    repaint(dataset, 4, tinted(0.4))
    repaint(dataset, 6, lambda pixels: np.full_like(pixels, (0, 0, 0, 255)))
    dataset.views[9].image.write_bytes(b"no image")
    found = desk.run("steps_check")
    assert {"unreadable", "exposure", "dark"} <= set(found["kinds"]) and min(found["sheet"]) > 400
    assert found["suggested"] > 8 and "have become transparent" in found["sick"]
    assert {"check-findings", "check-sheet", "check-coverage", "sick-paused", "sick-stopped"} <= set(desk.seen)


@pytest.mark.gui
@window
def test_an_estimate_by_hand(desk: Desktop) -> None:
    found = desk.run("steps_estimate")
    assert found["wanted"] == found["set"] and found["stopped"]
    assert {f"estimate-{name}" for name in ("running", "too-large", "applied", "priced", "stopped")} <= set(desk.seen)


@pytest.mark.gui
@window
def test_instant_splats_and_the_report(desk: Desktop) -> None:
    found = desk.run("steps_trust", dataset=desk.inside(desk.folder / "dataset"))
    assert found["name"] == "Instant Splats" and found["splats"] > 5_000 and found["selected"]
    assert not found["engine_back"] and not found["use_pass_z"], "the scene's settings are put back"
    assert found["opened"].startswith("file://") and found["opened"].endswith("/report.html")
    assert found["report"].count("data:image/png;base64,") == 6 and "PSNR" in found["report"]


@pytest.mark.gui
@window
def test_the_full_engine_by_hand(desk: Desktop) -> None:
    lay_out(desk.folder)
    found = desk.run("steps_engine")
    assert found["state"] == "ready" and "/environments/cpu-" in found["python"], found
    assert found["rows"]["Built-in engine"] == "well" and found["rows"]["Photos and videos"] == "well"
    assert "Built-in engine: A training step" in found["copied"]
    assert [found[f"engine-{state}"] for state in ("outdated", "incomplete", "broken")] == ["outdated", "incomplete", "broken"]


@pytest.mark.gui
@window
def test_a_batch_by_hand(desk: Desktop) -> None:
    beside = desk.folder / "tests"
    beside.mkdir()
    for name in ("blender_file.py", "untyped.py"):
        shutil.copy(REPOSITORY / "tests" / name, beside)
    found = desk.run("steps_batch")
    assert found["entries"] == ["Küche 1", "ホール", "ホール Ring A", "ホール Ring/B"]
    assert found["after_escape"] == ["captured", "waiting", "waiting", "waiting"] and found["kept"]
    assert (found["shown"], found["shown_after"]) == ("ホール", "Küche 1"), "the window shows the scene that is captured"
    assert found["at_once"] == 1 and found["states"] == ["done", "done", "done", "failed"] and found["ended"] == "3 of 4 done, 1 failed"
    assert "at least 3" in found["problem"] and found["splats"] == ["Küche 1"]


@pytest.mark.gui
@window
def test_the_installed_extension_captures_from_the_command_line(desk: Desktop) -> None:
    file, work = desk.folder / "rooms – 部屋.blend", desk.folder / "work"
    subprocess.run([sys.executable, "-m", "tests.blender_file", str(file)], cwd=REPOSITORY, check=True, capture_output=True)
    work.mkdir()
    write_order(CaptureOrder(desk.inside(file), desk.inside(desk.folder / "out"), cameras=("each",)), work)
    missing = desk.call("--command", COMMAND, desk.inside(work))
    assert missing.returncode and "Unrecognized command" in missing.stdout, "what splatwright capture tells a missing extension by"
    archive = desk.inside(desk.folder / "extension.zip")
    assert desk.call("--command", "extension", "install-file", "-r", "user_default", "-e", archive).returncode == 0
    done = desk.call("--command", COMMAND, desk.inside(work))
    assert done.returncode == 0, done.stdout[-3000:]
    assert [news.dataset.rpartition("/")[2] for news in read_updates(work, 0)[0] if news.whole] == ["ホール Ring A", "ホール Ring-B"]
    assert len(read_dataset(desk.folder / "out" / "ホール Ring-B").views) == 6


@pytest.mark.gui
@window
def test_splats_are_selected_by_what_is_seen_of_them(desk: Desktop) -> None:
    write_ply(desk.folder / "ball.ply", colored_ball(3000, sh_degree=1), "BLENDER")
    found = desk.run("steps_select")
    ball, other, plane, both = [["Ball"], "Ball"], [["Other"], "Other"], [["Plane"], "Plane"], ["Ball", "Other"]
    assert (found["click"], found["mesh"], found["other"], found["empty"]) == (ball, plane, other, [[], "Ball"])
    assert found["shift"] == [both, "Ball"] and found["shift_again"] == [["Other"], "Ball"]
    assert found["undone"] == other and found["undone_twice"] == [[], "Ball"], "each click is one step"
    assert found["double"] == found["one_of_two"] == other
    selected, moved, stayed = found["tweak"]
    assert selected == other and moved[2] > 0.3 and abs(stayed[2]) < 1e-6
    selected, moved, too = found["tweak_both"]
    assert selected[0] == both and moved[2] > 0.3 and too[2] > 0.3
    assert found["box_drag"] == ["Ball", "Plane"], "Other has no splats in the box"
    assert found["box"] == ["Other", "Plane"] and found["box_undone"] == ["Plane"] and found["box_minus"] == ["Plane"]
    assert found["circle"] == ["Other", "Plane"] and found["circle_undone"] == ["Plane"] and found["circle_minus"] == ["Plane"]
    assert found["circle_set"] == ["Other"] and found["lasso_plus"] == ["Other", "Plane"] and "Other" in found["lasso"]
    assert found["wire_before"] == ["Axes"]
    assert found["wire_behind"] == found["beside_wire_before"] == found["beside_wire_behind"] == ["Other"]
    assert found["right"] == ball and found["right_shift"] == [both, "Other"] and found["right_mesh"] == plane
    assert found["right_drag"][0] == other and found["right_drag"][1][2] > 0.3
    assert found["keyconfig"] == "Industry_Compatible" and found["industry"] == ball and found["industry_shift"] == [both, "Other"]
    assert found["industry_mesh"] == plane and found["industry_empty"] == [[], "Plane"]
    assert found["not_drawn"] == [] and found["unselectable"] == []
    assert found["rendered_ball"] == ball and found["rendered_mesh"] == plane and found["rendered_other"] == other
    assert found["rendered_wall"] == [["Wall"], "Wall"] and found["rendered_wire"] == [["Axes"], "Axes"]
    assert found["rendered_shift"] == [both, "Other"] and found["rendered_box"] == ["Other", "Plane"]
    assert found["rendered_undone"] == [["Wall"], "Wall"] and found["rendered_instance"] == [["Shows"], "Shows"]
    assert found["rendered_by_engine"] == ball and found["million_rendered"]
    print(f"finding it where EEVEE draws: {found['million_rendered_ms']} ms")
    assert found["million"] == [True, "Million"] and len(found["million_look_ms"]) >= 3
    print(f"a click at a million splats: {found['million_ms']} ms, of which finding the object {found['million_look_ms']} ms")
    assert max(found["million_look_ms"]) < 50
    assert found["failure"] == "" and found["left_behind"] == []

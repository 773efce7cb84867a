"""What panels say in every state: their draw() is run with a layout that writes down what it is asked to show."""

from __future__ import annotations

import time
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest

from tests.fakes.fake_engine import ball, fake_python
from tests.untyped import bpy

from ..conftest import EXTENSION, module
from ..jobs.training import Desk, write_dataset

SETTINGS = ("max_steps", "max_gaussians", "resolution", "sh_degree", "seed", "threads")


class Layout:
    """Stands in for UILayout: remembers texts, properties and operators, refuses what does not exist."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.properties: list[str] = []
        self.operators: list[str] = []
        self.progress_factor: float | None = None
        self.operator_context = ""

    def _child(self, **options: Any) -> Layout:
        child = object.__new__(Layout)
        child.__dict__ = self.__dict__  # children write into the same book
        return child

    row = column = box = split = grid_flow = _child

    def panel(self, name: str, default_closed: bool = False) -> tuple[Layout, Layout]:
        return self._child(), self._child()


    def label(self, text: str = "", icon: str = "NONE") -> None:
        assert icon in icons()
        self.texts.append(text)

    def prop(self, owner: Any, name: str, icon: str = "NONE", **options: Any) -> None:
        assert name in owner.bl_rna.properties and icon in icons()
        self.properties.append(name)

    def operator(self, name: str, icon: str = "NONE", **options: Any) -> SimpleNamespace:
        space, verb = name.split(".")
        assert verb in dir(getattr(bpy.ops, space)) and icon in icons()
        self.operators.append(name.removeprefix("splatwright."))
        return SimpleNamespace()

    def progress(self, factor: float, text: str = "") -> None:
        assert 0 <= factor <= 1
        self.progress_factor = factor
        self.texts.append(text)

    def template_list(self, kind: str, name: str, owner: Any, entries: str, active_owner: Any, active: str, **options: Any) -> None:
        assert hasattr(bpy.types, kind) and entries in owner.bl_rna.properties and active in active_owner.bl_rna.properties
        self.properties.append(entries)

    def separator(self, **options: Any) -> None:
        pass

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def icons() -> set[str]:
    return set(bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys())


def drawn(name: str, place: str = "") -> Layout:
    """The panel as it is drawn now, in a viewport."""
    layout = Layout()
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area):
        panels = module(place or f"addon.panels.{name.removesuffix('_more')}")
        getattr(panels, f"SPLATWRIGHT_PT_{name}").draw(SimpleNamespace(layout=layout), bpy.context)
    return layout


def test_every_panel_lies_in_the_splats_tab() -> None:
    for name in ("capture", "train", "check", "train_more", "splats"):
        panel = getattr(bpy.types, f"SPLATWRIGHT_PT_{name}")
        assert panel.bl_category == "Splats" and panel.bl_region_type == "UI" and panel.bl_space_type == "VIEW_3D"


def test_drawing_changes_nothing(desk: Desk) -> None:
    before = (list(bpy.data.objects), desk.jobs.watched(), list(desk.root.rglob("*")))
    for name in ("capture", "train", "train_more", "splats"):
        drawn(name)
    drawn("check", "addon.panels.check")
    assert before == (list(bpy.data.objects), desk.jobs.watched(), list(desk.root.rglob("*")))


GENERATED = {"count", "focal_length", "avoid_walls"}


@pytest.mark.parametrize(("source", "shown"), [
    ("SELECTED", set()), ("DOME", GENERATED | {"elevation", "margin"}), ("ANIMATION", {"frame_step"}),
    ("WALK", GENERATED | {"walk_curve", "eye_height"})])
def test_capture_shows_what_its_cameras_need(desk: Desk, source: str, shown: set[str]) -> None:
    bpy.context.scene.splatwright.capture.source = source
    layout, more = drawn("capture"), drawn("capture_more")
    assert shown == set(layout.properties + more.properties) & (
        GENERATED | {"elevation", "margin", "frame_step", "walk_curve", "eye_height"})
    assert layout.operators == ["capture_dataset"] and len(layout.properties) <= 6


def test_a_capture_that_runs_can_be_stopped_from_its_panel(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = module("addon.operators.capture").SPLATWRIGHT_OT_capture_dataset
    assert not bpy.ops.splatwright.stop_capture.poll()
    monkeypatch.setattr(kind, "progress", module("addon.capture.capture").CaptureProgress(3, 12, 65.0))
    monkeypatch.setattr(kind, "stop_requested", False)
    layout = drawn("capture")
    assert layout.operators == ["stop_capture"] and layout.progress_factor == 0.25 and "1 min left" in layout.text
    assert bpy.ops.splatwright.stop_capture() == {"FINISHED"} and kind.stop_requested
    assert "Stops when this image is done" in drawn("capture").text


def test_the_panel_says_what_came_of_a_capture(desk: Desk, tmp_path: Path) -> None:
    outcome = bpy.context.scene.splatwright.outcome
    assert "images in" not in drawn("capture").text
    outcome.note(58, tmp_path / "set", 83.0, ["2 cameras are left out: 2 behind Wall."], stopped=False)
    layout = drawn("capture")
    assert "58 images in 1 min 23 s" in layout.text and "2 behind Wall" in layout.text
    assert "…/set" in layout.text
    assert layout.operators == ["capture_dataset", "wm.path_open"]
    outcome.note(3, tmp_path / "set", 2.0, [], stopped=True)
    assert "Stopped: 3 images" in drawn("capture").text


def test_before_the_first_training(desk: Desk) -> None:
    layout = drawn("train")
    assert layout.properties == ["dataset", "preset", "time", "max_steps", "train_max_gaussians", "resolution"]
    assert layout.operators == ["train", "check_engine"] and layout.progress_factor is None
    bpy.context.scene.splatwright.train.dataset = str(desk.root / "nowhere")
    assert "There is no dataset yet" in drawn("train").text


def test_train_takes_the_dataset_that_was_captured_last(desk: Desk, tmp_path: Path) -> None:
    properties, scene = module("addon.properties.datasets"), bpy.context.scene
    scene.splatwright.train.dataset = ""
    properties.remember_captured(scene, desk.dataset)
    assert properties.dataset_folder(scene) == desk.dataset and scene.splatwright.captured == str(desk.dataset)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    properties.remember_captured(scene, desk.dataset)
    assert scene.splatwright.captured == "//dataset" and properties.dataset_folder(scene) == desk.dataset
    scene.splatwright.train.dataset = str(tmp_path)
    assert properties.dataset_folder(scene) == tmp_path


def test_while_training(desk: Desk) -> None:
    desk.train("slow")
    assert drawn("train").texts[0] == "Reading images …"
    desk.wait(lambda: desk.job.psnr is not None)
    layout = drawn("train")
    assert layout.operators[:2] == ["pause", "stop"] and layout.operators[-1] == "check_engine" and layout.properties == []
    assert 0 < layout.progress_factor < 1 and "Step " in layout.text and " left" in layout.text
    assert "PSNR: 21.0 dB" in layout.text and "Loss: 0." in layout.text and "3 of 20 images are black." in layout.text
    bpy.ops.splatwright.pause()
    desk.wait(lambda: desk.job.state.value == "paused")
    layout = drawn("train")
    assert layout.operators[:2] == ["resume", "stop"] and "Paused at step" in layout.text
    bpy.ops.splatwright.stop()
    assert "Finishing" in drawn("train").text
    desk.wait(lambda: desk.job.imported)
    assert "Stopped after" in drawn("train").text


def test_what_a_cut_costs_is_said_where_it_is_more_than_usual(desk: Desk) -> None:
    desk.train("slow")
    desk.wait(lambda: desk.job.psnr is not None)
    for every, said in ((10.0, False), (45.0, True)):
        desk.job.checkpoint_interval = every
        assert ("up to 45 s of training are repeated if it is cut off" in drawn("train").text) is said
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)


def test_after_training(desk: Desk) -> None:
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    layout = drawn("train")
    assert "Finished after 3,000 steps: 200 splats, PSNR 31.5 dB" in layout.text
    assert layout.operators[:2] == ["train", "train_further"] and "resume" not in layout.operators


def test_after_stop_it_can_be_resumed_and_after_its_end_trained_further(desk: Desk) -> None:
    desk.train("slow")
    desk.wait(lambda: desk.job.step > 0)
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    layout = drawn("train")
    assert layout.operators[:2] == ["resume", "train"] and "train_further" not in layout.operators


def test_findings_are_those_of_the_dataset_that_is_chosen(desk: Desk, tmp_path: Path) -> None:
    desk.train("happy")
    assert "3 of 20 images are black." not in drawn("train").text, "nothing is read yet"
    desk.wait(lambda: desk.job.imported)
    assert "3 of 20 images are black." in drawn("train").text
    settings = bpy.context.scene.splatwright
    settings.train.dataset = str(write_dataset(tmp_path / "other"))
    assert "3 of 20 images are black." not in drawn("train").text
    settings.train.dataset = str(desk.dataset)
    settings.untrained = True
    assert "3 of 20 images are black." not in drawn("train").text, "the folder holds new images"


def test_earlier_trainings_lie_on_top_with_their_pictures(desk: Desk) -> None:
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    earlier, png = module("addon.jobs.earlier"), module("engine.core.images.png")
    png.write_png(desk.folder / "thumbnail.png", np.full((8, 8, 3), 200, np.uint8))
    earlier.wait()
    layout = drawn("train")
    said = list(filter(None, layout.texts))
    assert said[:2] == ["Earlier Trainings", "dataset"] and said[2].endswith(", 31.5 dB") and said[3] == "Shown here"
    assert layout.operators[:2] == ["rename_training", "delete_training"]
    [picture] = earlier._pictures.values()
    assert tuple(picture.image_size) == (8, 8), "without a window Blender gives pictures no number to be drawn by"
    bpy.context.scene.splatwright.job = ""
    assert drawn("train").operators[0] == "show_training"


def test_the_status_bar_tells_of_work_and_that_it_goes_on(desk: Desk) -> None:
    def said() -> str:
        layout = Layout()
        module("addon.panels.status_bar").draw(SimpleNamespace(layout=layout), bpy.context)
        return layout.text

    assert said() == ""
    desk.train("slow")
    desk.wait(lambda: desk.job.step > 0)
    assert "dataset: Step " in said() and " left" in said() and "Goes on when Blender is closed" in said()
    assert desk.jobs.farewell() == "Splatwright: dataset goes on without Blender. Open the file again to follow it."
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert said() == "" and desk.jobs.farewell() == ""


def test_an_interrupted_training_offers_to_resume(desk: Desk) -> None:
    desk.train("crashing")
    desk.wait(lambda: desk.job.state.value == "interrupted")
    layout = drawn("train")
    assert layout.operators[:2] == ["resume", "train"] and "interrupted at step 1,500 of 3,000" in layout.text


def test_a_failed_training_says_why(desk: Desk) -> None:
    desk.train("failing")
    desk.wait(lambda: desk.job.state.value == "failed")
    layout = drawn("train")
    assert layout.operators[:2] == ["resume", "train"]
    assert "out of memory" in layout.text and "Lower the resolution" in layout.text


def test_a_silent_worker_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("addon.jobs.job_status"), "HEARTBEAT_LOST_SECONDS", 0.5)
    desk.train("hanging")
    desk.wait(lambda: desk.job.step > 0 and desk.job.lost)
    assert "has not answered for" in drawn("train").text


def test_a_hint_that_names_a_button_gets_the_button(desk: Desk) -> None:
    desk.train("failing")
    desk.wait(lambda: desk.job.state.value == "failed")
    events = module("engine.core.protocol.events")
    desk.job.failure = events.Failed("a.heic is a HEIC photo.", "Install the full engine (Install Full Engine), or save it as JPEG.")
    desk.job.findings = [events.Finding("error", f"{number}.heic is a HEIC photo.", "") for number in range(9)]
    layout = drawn("train")
    assert "install_engine" in layout.operators and "3.heic" not in layout.text


def test_many_findings_are_counted(desk: Desk) -> None:
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    finding = module("engine.core.protocol.events").Finding
    desk.job.findings = [finding("warning", f"Trouble {number}.", "") for number in range(9)]
    layout = drawn("train")
    assert "Trouble 8." in layout.text and "Trouble 5." not in layout.text and "and 6 more" in layout.text


def test_a_splat_object_tells_what_it_holds(desk: Desk) -> None:
    assert "Select a splat object" in drawn("splats").text
    gaussians = ball(1234).with_sh_degree(2)
    made = module("addon.splats.splat_object").create_splat_object("Splats", gaussians)
    bpy.context.view_layer.objects.active = made
    layout = drawn("splats")
    assert "1,234 splats" in layout.text and "View dependence: 2" in layout.text
    assert layout.operators[-2:] == ["import_splats", "export_splats"]
    assert "view3d.toggle_shading" not in layout.operators


def test_points_without_colours_offer_the_view_that_has_them() -> None:
    made = module("addon.splats.splat_object").create_splat_object("Splats", ball(100))
    if module("addon.splats.display").draws_natively():
        pytest.skip("this Blender draws splats itself")
    bpy.context.view_layer.objects.active = made
    made.splatwright.viewport = False
    assert "view3d.toggle_shading" in drawn("splats").operators
    made.splatwright.viewport, made.splatwright.display = True, "POINTS"
    assert "view3d.toggle_shading" in drawn("splats").operators


def test_cycles_is_prepared_for_splats() -> None:
    made = module("addon.splats.splat_object").create_splat_object("Splats", ball(100))
    if module("addon.splats.display").draws_natively():
        pytest.skip("this Blender draws splats itself")
    bpy.context.view_layer.objects.active = made
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.transparent_max_bounces = "CYCLES", 8
    layout = drawn("splats")
    assert "rays pass 8 splats" in layout.text and "prepare_cycles" in layout.operators
    assert bpy.ops.splatwright.prepare_cycles() == {"FINISHED"} and scene.cycles.transparent_max_bounces == 256
    assert "prepare_cycles" not in drawn("splats").operators


def test_raised_bounces_are_told_with_a_way_back(fresh_scene: bpy.types.Scene) -> None:
    if module("addon.splats.display").draws_natively():
        pytest.skip("this Blender draws splats itself")
    bpy.context.scene.render.engine, bpy.context.scene.cycles.transparent_max_bounces = "CYCLES", 8
    bpy.context.view_layer.objects.active = module("addon.splats.splat_object").create_splat_object("Splats", ball(100))
    layout = drawn("splats")
    assert "raised from 8 to 256" in layout.text and "restore_bounces" in layout.operators


def test_splats_that_cannot_be_drawn_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    viewport = module("addon.viewport")
    if viewport.running is None:
        pytest.skip("this Blender draws splats itself")
    made = module("addon.splats.splat_object").create_splat_object("Splats", ball(100))
    bpy.context.view_layer.objects.active = made
    assert "cannot be drawn" not in drawn("splats").text
    monkeypatch.setattr(viewport.running, "failure", "Splats cannot be drawn in the viewport: no memory")
    assert "cannot be drawn in the viewport: no memory" in drawn("splats").text
    made.splatwright.viewport = False
    assert "cannot be drawn" not in drawn("splats").text


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_the_requests(name: str) -> None:
    config = module("engine.core.protocol.config")
    shown = bpy.context.scene.splatwright.train.bl_rna.properties[name]
    assert shown.default == getattr(config.TrainConfig, name)
    assert (shown.hard_min, shown.hard_max) == config.limits(name)
    assert shown.description.lower() == config.describe(name).lower() and len(shown.description) > 10


def test_background_is_the_requests() -> None:
    config = module("engine.core.protocol.config")
    shown = bpy.context.scene.splatwright.train.bl_rna.properties["background"]
    assert shown.default == config.TrainConfig.background
    assert tuple(shown.enum_items.keys()) == get_args(config.Background)


def test_untouched_settings_make_the_default_request(desk: Desk) -> None:
    config, preset = module("engine.core.protocol.config").TrainConfig, module("engine.core.protocol.config").PRESETS["preview"]
    assert bpy.context.scene.splatwright.train.to_config() == config(**preset.settings)
    former = module("engine.core.former_names").SETTINGS
    shown = {former.get(name, name) for name in module("addon.properties.training").TrainSettings.__annotations__} \
        - {"dataset", "preset", "time", "start_file", "start_object", "region"}
    assert shown <= {field.name for field in fields(config)}


def test_a_time_takes_the_place_of_steps_and_resolution(desk: Desk) -> None:
    settings = bpy.context.scene.splatwright.train
    assert settings.time == "STEPS" and not settings.minutes
    settings.time = "MINUTES_10"
    assert settings.to_config().minutes == 10 and drawn("train").properties == ["dataset", "preset", "time", "train_max_gaussians"]
    settings.minutes = 7
    assert settings.time == "OTHER" and "minutes" in drawn("train").properties
    settings.time = "STEPS"
    assert settings.to_config().minutes == 0 and "max_steps" in drawn("train").properties


def test_every_operator_explains_itself() -> None:
    names = dir(bpy.ops.splatwright)
    assert len(names) > 8
    for name in names:
        kind = getattr(bpy.ops.splatwright, name).get_rna_type()
        assert kind.name and len(kind.description) > 10 and not kind.description.endswith(".")


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "0 s"), (59.6, "1 min 0 s"), (3700, "1 h 1 min"), (float("inf"), "some time"),
                                               (None, "some time"), (-3, "0 s")])
def test_durations(seconds: float | None, said: str) -> None:
    assert module("engine.core.text").duration(seconds) == said


@pytest.mark.parametrize(("seconds", "said"), [(3, "a few seconds"), (26, "30 s"), (58, "1 min"), (221, "4 min"), (575, "10 min"),
                                               (1900, "30 min"), (4100, "1 h 10 min"), (30_000, "8 h"), (None, "some time")])
def test_what_nobody_knows_to_the_second_is_said_roughly(seconds: float | None, said: str) -> None:
    assert module("engine.core.text").rough(seconds) == said


def test_sentences_break_between_words() -> None:
    broken = module("addon.ui.text").broken_lines
    text = "The dataset is not complete: 12 images are there, and averyveryverylongword too."
    assert " ".join(broken(text, 20)) == text.replace("longword", "longwor d") and max(map(len, broken(text, 20))) <= 20
    assert broken("", 20) == []


def test_long_paths_break_between_folders() -> None:
    broken = module("addon.ui.text").broken_lines
    path = "/home/artist/blender/projects/kitchen/splatwright/dataset"
    assert broken(f"{path} is missing.", 30) == ["/home/artist/blender/projects/", "kitchen/splatwright/dataset is", "missing."]
    assert broken(path.replace("/", "\\"), 30)[0] == "\\home\\artist\\blender\\projects\\"


def test_sentences_without_spaces_break_where_a_line_is_full() -> None:
    text, lines = "训练正在运行：请先停止。其泼溅会保留在文件夹 dataset 中。", module("addon.ui.text").broken_lines
    broken = lines(text, 20)
    assert max(map(module("addon.ui.text").cells, broken)) <= 20 and len(broken) == 3
    assert "".join(broken).replace(" ", "") == text.replace(" ", "")
    assert lines("iii iii mmm", 6, lambda said: sum(2 if letter == "m" else 0.5 for letter in said)) == ["iii iii", "mmm"]


def test_a_field_without_room_shows_the_end_of_a_path() -> None:
    short = module("addon.ui.text").short_path
    assert short("//dataset") == "//dataset" and short("") == ""
    assert short("/home/artist/splatwright/dataset/") == short("C:\\artist\\splatwright\\dataset") == "…/dataset"


@pytest.mark.parametrize(("behaviour", "state"), [("happy", "READY"), ("failing", "BROKEN")])
def test_the_engine_is_checked_when_a_panel_wants_to_know(desk: Desk, behaviour: str, state: str) -> None:
    status = module("addon.engines.status")
    desk.use(fake_python(desk.root / "engines", behaviour))
    assert status.status() is status.UNKNOWN
    drawn("train")
    assert bpy.app.timers.is_registered(status.poll)
    while status.poll() is not None:
        time.sleep(0.02)
    assert status.status().state.name == state
    assert ("Reinstall the extension." if state == "BROKEN" else "engine is ready") in drawn("train").text
    status.close()
    assert not bpy.app.timers.is_registered(status.poll)


@pytest.mark.parametrize("command", [["no-such-program"], ["false"], ["echo", "hello"], ["echo", "[]"], ["echo", "{}"], ["true"]])
def test_an_engine_that_says_nonsense_is_broken(command: list[str]) -> None:
    status = module("addon.engines.status")
    assert status.ask_worker(command, {}) == status.DOES_NOT_START


def test_the_real_engine_is_ready(desk: Desk) -> None:
    status = module("addon.engines.status")
    answer = status.ask_worker(*desk.choice.local_engine().worker_command("--self-check"))
    assert answer.state is status.EngineState.READY, answer


def test_preferences_draw(desk: Desk) -> None:
    layout = Layout()
    module("addon.preferences").SplatwrightPreferences.draw(
        SimpleNamespace(layout=layout, bl_rna=desk.preferences.bl_rna, engines=desk.preferences.engines), bpy.context)
    assert layout.properties == ["jobs_folder", "python", "engine_folder", "engine"]
    assert module("addon.preferences").PACKAGE == EXTENSION


def test_settings_are_named_by_their_labels() -> None:
    """The command line names them as its flags do; an artist looks for what the panel shows."""
    text = module("addon.ui.text").with_labels
    assert text("max_gaussians is 0; set refine_until above refine_from.") == "Max Splats is 0; set Refine Until above Refine From."
    assert text("The noise of my_max_gaussians is 3.") == "The noise of my_max_gaussians is 3."

"""Capture driven by a timer, as from the interface."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.untyped import bpy

from ..conftest import module
from ..viewport.windowless import CLICK, ESCAPE, TICK, FakeManager, windowless
from .capturing import ball_scene, capture, request, snapshot, transforms


def start_modal(directory: Path, **values: Any) -> tuple[Any, Any, FakeManager]:
    """The operator right after invoke(), and a context; renders block because there is no window for a job."""
    kind = module("addon.operators.capture").SPLATWRIGHT_OT_capture_dataset
    manager, reports = FakeManager(), []
    operator = windowless(kind)()
    operator.reports, operator.report = reports, lambda level, text: reports.append((*level, text))
    context = SimpleNamespace(
        scene=bpy.context.scene, view_layer=bpy.context.view_layer, selected_objects=bpy.context.selected_objects,
        evaluated_depsgraph_get=bpy.context.evaluated_depsgraph_get, window_manager=manager, workspace=manager, window=None, screen=None)
    operator.start(context, request(directory, **values), module("addon.capture.render_passes").render_blocking)
    return operator, context, manager


def test_modal_runs_to_the_end(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=3)
    operator, context, manager = start_modal(tmp_path)
    assert operator.modal(context, CLICK) == {"RUNNING_MODAL"}
    results = [operator.modal(context, TICK) for _ in range(2)]
    assert results == [{"PASS_THROUGH"}, {"FINISHED"}]
    assert operator.reports[-1][0] == "INFO" and type(operator).progress is None
    assert manager.timers == 0 and manager.status[-1] is None and "2 of 3" in manager.status[1]
    assert transforms(tmp_path)["splatwright"] == {"complete": True, "rendered": True}
    outcome = fresh_scene.splatwright.outcome
    assert (outcome.images, outcome.directory, outcome.stopped) == (3, str(tmp_path), False) and outcome.seconds > 0
    assert not fresh_scene.splatwright.capture.show_rig, "the cameras have done their work"


def test_the_stop_button_stops_after_the_image(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=4)
    operator, context, manager = start_modal(tmp_path)
    operator.modal(context, TICK)
    type(operator).stop_requested = True
    assert operator.modal(context, TICK) == {"CANCELLED"} and manager.timers == 0
    outcome = fresh_scene.splatwright.outcome
    assert (outcome.images, outcome.directory, outcome.stopped) == (2, str(tmp_path), True)
    assert fresh_scene.splatwright.capture.show_rig


def test_what_is_kept_of_a_stopped_capture_lies_beside_the_finished_one(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=2)
    capture(tmp_path / "dataset")
    operator, context, _ = start_modal(tmp_path / "dataset")
    operator.modal(context, ESCAPE)
    operator.modal(context, TICK)
    assert fresh_scene.splatwright.outcome.directory == str(tmp_path / "dataset-incomplete")
    assert (tmp_path / "dataset-incomplete" / "images").is_dir()


def test_escape_stops_the_modal(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=4)
    before = snapshot()
    operator, context, manager = start_modal(tmp_path)
    operator.modal(context, TICK)
    assert operator.modal(context, ESCAPE) == {"RUNNING_MODAL"}
    assert operator.modal(context, TICK) == {"CANCELLED"}
    assert operator.reports[-1] == ("WARNING", "Capture stopped: 2 views are kept as an incomplete dataset")
    assert manager.timers == 0 and manager.status[-1] is None
    assert snapshot() == before
    assert transforms(tmp_path)["splatwright"] == {"complete": False, "rendered": True}


def test_error_ends_the_modal(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    operator, context, manager = start_modal(tmp_path / "dataset")
    shutil.rmtree(tmp_path / "dataset")
    (tmp_path / "dataset").write_text("in the way")
    assert operator.modal(context, TICK) == {"CANCELLED"}
    assert operator.reports[-1][0] == "ERROR"
    assert manager.timers == 0 and manager.status[-1] is None and type(operator).progress is None


def test_no_other_render_begins_meanwhile(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """Sidebars can be used while images are captured."""
    ball_scene(cameras=2)
    operator, context, _ = start_modal(tmp_path)
    buttons = [getattr(bpy.ops.splatwright, name) for name in ("capture_dataset", "instant_splats", "run_batch", "repeat_batch")]
    assert not any(button.poll() for button in buttons)
    operator.cancel(context)
    assert buttons[0].poll() and buttons[1].poll()

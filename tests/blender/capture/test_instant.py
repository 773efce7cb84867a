"""Instant Splats: what the camera sees, as a splat object."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.untyped import bpy

from ..conftest import add_camera, module
from ..panels.test_panels import Layout
from ..splats.splat_samples import some_gaussians
from ..viewport.windowless import ESCAPE, TICK, FakeManager, windowless
from .capturing import ball_scene, snapshot


def instant(**values: Any) -> Any:
    return module("addon.capture.instant_splats").instant_splats(bpy.context, **{"most": 100_000, **values})


def gaussians_of(made: bpy.types.Object) -> Any:
    return module("addon.splats.splat_object").gaussians_from_object(made)


def test_splats_lie_on_the_ball_in_its_colour(fresh_scene: bpy.types.Scene) -> None:
    camera, _ = ball_scene()
    fresh_scene.camera = camera
    before = snapshot()
    assert bpy.ops.splatwright.instant_splats() == {"FINISHED"}
    made = bpy.context.view_layer.objects.active
    assert made.name == "Instant Splats" and made.select_get() and made.splatwright.is_splat
    found = gaussians_of(made)
    distance = np.linalg.norm(found.means, axis=1)
    assert len(found) > 200 and np.abs(distance - 0.8).max() < 0.03
    assert (found.means @ np.array(camera.location) > 0).mean() > 0.99, "the side that the camera sees"
    colors = module("engine.core.splats.gaussians").sh0_to_rgb(found.sh0[:, 0])
    assert np.abs(np.median(colors, axis=0) - [1.0, 0.5, 0.0]).max() < 0.02
    turned = module("engine.core.splats.transform").rotation_matrices(found.quats)[:, :, 2]
    assert np.median(np.abs((turned * found.means).sum(axis=1) / distance)) > 0.97, "flat on the surface"
    bpy.data.objects.remove(made)
    after = snapshot()
    for kept in (before, after):
        kept.pop("data")
        for name in ("transparent_max_bounces", "min_transparent_bounces"):  # raised for the splats that came into the scene
            kept["cycles"].pop(name)
    assert after == before, "the scene's settings are as before"


def test_the_operator_makes_what_the_function_makes(fresh_scene: bpy.types.Scene) -> None:
    ball_scene()
    bpy.ops.splatwright.instant_splats(most=200)
    by_operator = gaussians_of(bpy.context.view_layer.objects.active)
    bpy.data.objects.remove(bpy.context.view_layer.objects.active)
    assert np.array_equal(gaussians_of(instant(most=200)).means, by_operator.means) and len(by_operator) <= 200


def test_splats_that_are_there_are_not_made_splats_of(fresh_scene: bpy.types.Scene) -> None:
    ball_scene()
    expected = len(gaussians_of(instant()))
    other = module("addon.splats.splat_object").create_splat_object("Wall", some_gaussians(300))
    assert len(gaussians_of(instant())) == expected and not other.hide_render


def test_what_cannot_become_splats_is_told(fresh_scene: bpy.types.Scene) -> None:
    assert not bpy.ops.splatwright.instant_splats.poll()
    UserError = module("engine.core.errors").UserError
    with pytest.raises(UserError, match="no camera"):
        instant()
    camera = add_camera(fresh_scene)
    with pytest.raises(UserError, match="sees nothing"):
        instant()
    camera.data.type = "ORTHO"
    with pytest.raises(RuntimeError, match="orthographic"):
        bpy.ops.splatwright.instant_splats()
    assert not [found for found in bpy.data.objects if found.type == "POINTCLOUD"]


def start_modal() -> tuple[Any, Any, FakeManager]:
    """The operator right after invoke(), its render blocking because there is no window for a job."""
    manager, reports = FakeManager(), []
    operator = windowless(module("addon.operators.instant").SPLATWRIGHT_OT_instant_splats)()
    operator.reports, operator.report = reports, lambda level, text: reports.append((*level, text))
    context = SimpleNamespace(scene=bpy.context.scene, window_manager=manager, workspace=manager, window=None, screen=None, mode="EDIT")
    operator.show(context, 0.0, "rendering")
    operator.begin(context, module("addon.capture.instant_splats").instant_steps(bpy.context, 1000), 0.1)
    return operator, context, manager


def test_from_the_interface_it_ends_with_splats(fresh_scene: bpy.types.Scene) -> None:
    ball_scene()
    operator, context, manager = start_modal()
    results = [operator.modal(context, TICK)]
    while results[-1] == {"PASS_THROUGH"}:
        results.append(operator.modal(context, TICK))
    assert results[-1] == {"FINISHED"} and "splats of what the camera sees" in operator.reports[-1][1]
    assert manager.timers == 0 and manager.status[-1] is None and "Instant Splats" in bpy.data.objects


def test_escape_leaves_nothing(fresh_scene: bpy.types.Scene) -> None:
    ball_scene()
    before = snapshot()
    operator, context, manager = start_modal()
    operator.modal(context, ESCAPE)
    assert operator.modal(context, TICK) == {"CANCELLED"}
    assert operator.reports[-1][0] == "WARNING" and manager.timers == 0 and snapshot() == before
    assert "Instant Splats" not in bpy.data.objects


def test_the_button_is_in_the_panel(fresh_scene: bpy.types.Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    panel, layout = module("addon.panels.instant").SPLATWRIGHT_PT_instant, Layout()
    panel.draw(SimpleNamespace(layout=layout), bpy.context)
    assert layout.operators == ["instant_splats"]
    monkeypatch.setattr(module("addon.operators.instant").SPLATWRIGHT_OT_instant_splats, "progress", 0.0)
    layout = Layout()
    panel.draw(SimpleNamespace(layout=layout), bpy.context)
    assert not layout.operators and "Esc" in layout.text

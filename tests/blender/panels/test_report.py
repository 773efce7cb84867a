"""The button that opens a training's report."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from tests.scenes import write_ball_dataset
from tests.untyped import bpy

from ..conftest import empty_scene, module
from ..jobs.training import Desk
from .test_panels import Layout


def test_the_built_in_engine_leaves_a_report_that_the_button_opens(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Blender's own Python: numpy is all there is."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url, *rest, **options: opened.append(url) or True)
    panel = module("addon.panels.report").SPLATWRIGHT_PT_report
    assert not panel.poll(bpy.context) and not bpy.ops.splatwright.open_report.poll()
    shutil.rmtree(desk.dataset)
    write_ball_dataset(desk.dataset, views=8, size=32)
    settings = bpy.context.scene.splatwright.train
    settings.max_steps, settings.resolution, settings.max_gaussians = 20, 16, 200
    assert bpy.ops.splatwright.train() == {"FINISHED"}
    desk.wait(lambda: desk.job.imported)
    page = desk.folder / "report.html"
    text = page.read_text(encoding="utf-8")
    assert "data:image/png;base64," in text and "mean of 1 held-out view<" in text
    assert panel.poll(bpy.context)
    layout = Layout()
    panel.draw(SimpleNamespace(layout=layout), bpy.context)
    assert layout.operators == ["open_report"]
    assert bpy.ops.splatwright.open_report() == {"FINISHED"} and opened == [page.resolve().as_uri()]
    shutil.move(page, page.with_suffix(".away"))
    assert not panel.poll(bpy.context)


def test_without_a_training_there_is_no_report() -> None:
    empty_scene()
    assert not module("addon.panels.report").SPLATWRIGHT_PT_report.poll(bpy.context)

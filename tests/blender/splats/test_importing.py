"""Loading splats while the interface goes on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.blender.conftest import module
from tests.blender.splats.splat_samples import assert_same, some_gaussians
from tests.blender.viewport.windowless import CLICK, ESCAPE, TICK, WHEEL, FakeManager, windowless
from tests.untyped import bpy


class Load:
    """The loading operator as Blender drives it, without a window."""

    def __init__(self, *paths: Path, link: bool = False):
        operators = module("addon.operators.load")
        self.manager, self.reports = FakeManager(), []
        self.kind = windowless(operators.SPLATWRIGHT_OT_load_splats)
        self.operator = self.kind()
        self.operator.report = lambda level, text: self.reports.append((*level, text))
        self.context = SimpleNamespace(window_manager=self.manager, workspace=self.manager, window=None, mode="OBJECT",
                                       selected_objects=[], view_layer=bpy.context.view_layer)
        self.operator.start(self.context, operators.loading_steps(self.operator, list(paths), "AUTO", link))

    def event(self, event: Any) -> set[str]:
        return self.operator.modal(self.context, event)

    def to_the_end(self) -> tuple[set[str], list[float]]:
        """The result, and the shares that were shown."""
        shares = []
        while (result := self.event(TICK)) == {"RUNNING_MODAL"}:
            shares.append(self.kind.progress)
        return result, shares

    def assert_nothing_left(self) -> None:
        assert self.manager.timers == 0 and self.manager.status[-1] is None and self.kind.progress is None


@pytest.fixture
def files(fresh_scene: bpy.types.Scene, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one.ply", tmp_path / "two.spz"]
    for path in paths:
        module("engine.core.formats.registry").write_splats(path, some_gaussians(500))
    return paths


def test_it_loads_step_by_step(files: list[Path]) -> None:
    load = Load(files[0])
    assert load.event(CLICK) == {"RUNNING_MODAL"}
    assert load.event(WHEEL) == {"PASS_THROUGH"}, "the view can be turned meanwhile"
    assert load.to_the_end()[0] == {"FINISHED"}
    assert load.reports == [("INFO", "Imported 500 splats")]
    assert_same(module("addon.splats.splat_object").gaussians_from_object(bpy.data.objects["one"]), some_gaussians(500))
    load.assert_nothing_left()


def test_several_files_with_a_bad_one(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.splat").write_bytes(b"bad")
    load = Load(files[0], tmp_path / "bad.splat", files[1])
    assert load.to_the_end()[0] == {"FINISHED"}
    assert {found.name for found in bpy.data.objects} == {"one", "two"}
    assert [level for level, _ in load.reports] == ["INFO", "ERROR", "INFO"] and "whole splats" in load.reports[1][1]
    load.assert_nothing_left()


def test_nothing_but_bad_files(files: list[Path], tmp_path: Path) -> None:
    load = Load(tmp_path / "none.ply")
    assert load.to_the_end()[0] == {"CANCELLED"} and not bpy.data.objects
    load.assert_nothing_left()


def test_every_step_says_how_far_it_is(files: list[Path]) -> None:
    operator = SimpleNamespace(report=lambda *_: None)
    steps = module("addon.operators.load").loading_steps(operator, files[:1], "AUTO", True)
    shares = [share for share in steps if share is not None]
    assert shares == sorted(shares) and len(shares) >= 30 and shares[-1] == 1.0


@pytest.mark.parametrize(("steps", "link"), [(0, False), (1, False), (10, False), (30, False), (46, False), (50, True), (60, True)])
def test_escape_leaves_nothing_behind(files: list[Path], monkeypatch: pytest.MonkeyPatch, steps: int, link: bool) -> None:
    """While the file is read, attributes are written, and the splats of a link are summed up."""
    monkeypatch.setattr(module("addon.operators.load"), "STEP_SECONDS", 0.0)  # a tick takes one step
    load = Load(files[0], link=link)
    while steps and load.kind.progress is not None and load.event(TICK) == {"RUNNING_MODAL"}:
        steps -= load.kind.progress > 0
    assert load.event(ESCAPE) == {"CANCELLED"} and load.reports == [("WARNING", "Import stopped")]
    assert not bpy.data.objects and not bpy.data.pointclouds and not bpy.data.meshes
    load.assert_nothing_left()


def test_a_file_that_came_in_stays_when_the_next_is_stopped(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("addon.operators.load"), "STEP_SECONDS", 0.0)  # a tick takes one step
    load = Load(*files)
    while "one" not in bpy.data.objects:
        load.event(TICK)
    load.event(ESCAPE)
    assert [found.name for found in bpy.data.objects] == ["one"] and len(bpy.data.pointclouds) == 1
    load.assert_nothing_left()


def test_links_load_step_by_step_too(files: list[Path]) -> None:
    load = Load(files[0], link=True)
    assert load.to_the_end()[0] == {"FINISHED"}
    found = bpy.data.objects["one"].splatwright
    assert found.linked and found.stamp == module("addon.splats.importing").stamp_of(files[0])


def test_a_dialog_starts_the_loading_and_a_script_gets_its_objects_at_once(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    operators = module("addon.operators.splats")
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(operators, "bpy", SimpleNamespace(app=SimpleNamespace(background=False)))
    monkeypatch.setattr(operators, "operators", lambda: SimpleNamespace(
        splatwright=SimpleNamespace(load_splats=lambda mode, **options: asked.append(options))))
    operator = SimpleNamespace(asked=True, paths=lambda: files, axes="OPENGL", link=True, linear_scales=False)
    operators.SPLATWRIGHT_OT_import_splats.execute(operator, bpy.context)
    assert asked == [{"directory": "", "files": [{"name": str(path)} for path in files], "axes": "OPENGL", "link": True,
                      "linear_scales": False}]
    assert bpy.ops.splatwright.import_splats(filepath=str(files[0])) == {"FINISHED"} and bpy.context.object.name == "one"


@pytest.mark.parametrize("antialiased", [False, True])
def test_display_and_material_are_made_once(
    fresh_scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, antialiased: bool,
) -> None:
    """However many settings the file changes, and when another state of it is shown."""
    display, importing = module("addon.splats.display"), module("addon.splats.importing")
    calls: list[str] = []
    packing = module("addon.splats.packing")
    for place, name in ((packing, "radii"), (packing, "turns"), (display.material, "material"), (display.thinning, "thin")):
        original = getattr(place, name)
        monkeypatch.setattr(place, name, lambda *rest, name=name, original=original: calls.append(name) or original(*rest))
    paths = [tmp_path / "plain.ply", tmp_path / "other.ply"]
    for path, value in zip(paths, (antialiased, not antialiased), strict=True):
        module("engine.core.formats.registry").write_splats(path, some_gaussians(50), antialiased=value)
    once = ["thin"] if display.draws_natively() else ["material", "radii", "thin", "turns"]
    made, _ = importing.import_splats(paths[0])
    assert sorted(calls) == once and made.splatwright.antialiased == antialiased
    calls.clear()
    importing.fill_splat_object(made, module("engine.core.formats.registry").read_splats(paths[1]))
    assert sorted(calls) == once and made.splatwright.antialiased != antialiased
    if not display.draws_natively():
        assert made.data.materials[0] == display.material.material("SPLATS", 3, not antialiased)
    calls.clear()
    made.splatwright.antialiased = antialiased
    assert sorted(calls) == once


def test_an_error_on_the_way_leaves_the_object_to_be_shown(fresh_scene: bpy.types.Scene) -> None:
    display = module("addon.splats.display")
    made = module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians(5))
    with pytest.raises(KeyError), display.shown_once(made):
        raise KeyError
    made.splatwright.display = "POINTS"
    assert display.draws_natively() or made.data.materials[0].name == "Splatwright Points"

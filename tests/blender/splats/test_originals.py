"""Originals are hidden while their splats are there, in viewports and renders, and come back whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.blender.capture.capturing import pixels, transforms
from tests.blender.conftest import add_camera, cube, empty_scene, module, select_only
from tests.blender.jobs.training import Desk
from tests.blender.panels.test_panels import Layout
from tests.blender.splats.splat_samples import some_gaussians
from tests.untyped import bpy


@pytest.fixture
def originals(fresh_scene: Any) -> ModuleType:
    return module("addon.splats.originals")


def switches(item: Any) -> tuple[bool, bool]:
    """Disabled in viewports, in renders."""
    return item.hide_viewport, item.hide_render


HIDDEN, SHOWN = (True, True), (False, False)


def capture(folder: Path, **values: Any) -> Path:
    """Three small views of everything, by the panel's button."""
    settings = {"count": 3, "resolution": 24, "samples": 1, "points": 0, "source": "DOME"} | values
    assert bpy.ops.splatwright.capture_dataset(directory=str(folder), **settings) == {"FINISHED"}
    bpy.context.scene.splatwright.train.dataset = ""
    return folder


def splats(name: str = "Splats") -> Any:
    """Splats of the scene's originals, as a training makes them."""
    made = module("addon.splats.splat_object").create_splat_object(name, some_gaussians())
    module("addon.splats.originals").hide_originals_of(made)
    return made


def captured_scene(folder: Path) -> Any:
    """A cube that was captured, hidden for its splats."""
    box = cube()
    select_only()
    capture(folder)
    splats()
    assert switches(box) == HIDDEN
    return box


def test_the_first_preview_hides_what_was_captured(desk: Desk, tmp_path: Path) -> None:
    box, light, camera = cube(), bpy.data.objects.new("Light", bpy.data.lights.new("Light", "POINT")), add_camera(bpy.context.scene)
    bpy.context.scene.collection.objects.link(light)
    unrendered = cube((5, 0, 0), "Unrendered")
    unrendered.hide_render = True
    group = bpy.data.collections.new("Group")
    bpy.context.scene.collection.children.link(group)
    group.objects.link(cube((0, 5, 0), "Not in Renders"))
    bpy.context.scene.collection.objects.unlink(bpy.data.objects["Not in Renders"])
    group.hide_render = True
    select_only()
    capture(tmp_path / "captured")
    desk.train("slow")
    assert switches(box) == SHOWN, "the training has no splats yet"
    desk.wait(lambda: desk.splats() is not None)
    assert switches(box) == HIDDEN and switches(unrendered) == (False, True)
    assert [switches(found) for found in (light, camera, desk.splats(), bpy.data.objects["Not in Renders"])] == [SHOWN] * 4
    bpy.context.scene.splatwright.show_originals = True
    assert switches(box) == SHOWN
    seen = desk.job.step
    desk.wait(lambda: desk.job.step > seen and not desk.job.preview_due)
    assert switches(box) == SHOWN, "previews leave the choice alone"
    bpy.context.scene.splatwright.show_originals = False
    assert switches(box) == HIDDEN
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert switches(box) == HIDDEN


def test_splats_of_other_datasets_hide_nothing(desk: Desk, tmp_path: Path) -> None:
    """Photos have no originals."""
    box = cube()
    select_only()
    capture(tmp_path / "captured")
    bpy.context.scene.splatwright.train.dataset = str(desk.dataset)
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    assert switches(box) == SHOWN and not desk.splats().splatwright.of_originals


def test_an_earlier_training_hides_them_too(desk: Desk, tmp_path: Path) -> None:
    box = cube()
    select_only()
    capture(tmp_path / "captured")
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    bpy.data.objects.remove(desk.splats())
    bpy.context.view_layer.update()
    assert switches(box) == SHOWN
    bpy.ops.splatwright.open_earlier_training(job=desk.name)
    desk.wait(lambda: desk.job.imported)
    assert desk.splats() is not None and switches(box) == HIDDEN


def test_instant_splats_hide_what_was_rendered(originals: ModuleType) -> None:
    box, camera = cube(), add_camera(bpy.context.scene)
    assert bpy.ops.splatwright.instant_splats(most=500) == {"FINISHED"}
    first = bpy.context.view_layer.objects.active
    assert switches(box) == HIDDEN and switches(camera) == SHOWN
    assert bpy.ops.splatwright.instant_splats(most=500) == {"FINISHED"}
    assert len(bpy.context.view_layer.objects.active.data.points) == len(first.data.points), "hidden originals are seen"
    bpy.context.scene.splatwright.show_originals = True
    assert bpy.ops.splatwright.instant_splats(most=500) == {"FINISHED"} and switches(box) == SHOWN


def test_what_was_hidden_before_stays_so_afterwards(originals: ModuleType, tmp_path: Path) -> None:
    box, disabled = cube(), cube((3, 0, 0), "Disabled")
    disabled.hide_viewport = True
    hidden = cube((0, 3, 0), "Hidden")
    hidden.hide_set(True)
    select_only()
    capture(tmp_path)
    splats()
    assert [switches(found) for found in (box, disabled, hidden)] == [HIDDEN] * 3
    bpy.context.scene.splatwright.show_originals = True
    assert [switches(found) for found in (box, disabled, hidden)] == [SHOWN, (True, False), SHOWN] and hidden.hide_get()


def test_one_shown_by_hand_stays_shown(originals: ModuleType, tmp_path: Path) -> None:
    box = captured_scene(tmp_path)
    box.hide_viewport = box.hide_render = False
    splats("More")
    assert switches(box) == SHOWN
    settings = bpy.context.scene.splatwright
    settings.show_originals = True
    settings.show_originals = False
    assert switches(box) == HIDDEN


def test_deleting_the_splats_brings_them_back(originals: ModuleType, tmp_path: Path) -> None:
    box = captured_scene(tmp_path)
    splats("More")
    bpy.ops.ed.undo_push(message="Before")
    for name in ("Splats", "More"):
        assert switches(bpy.data.objects["Cube"]) == HIDDEN
        select_only(bpy.data.objects[name])
        bpy.ops.object.delete()
        bpy.context.view_layer.update()
    assert switches(box) == SHOWN
    bpy.ops.ed.undo_push(message="Deleted")
    bpy.ops.ed.undo()
    assert "Splats" in bpy.data.objects and switches(bpy.data.objects["Cube"]) == HIDDEN
    bpy.ops.ed.redo()
    assert "Splats" not in bpy.data.objects and switches(bpy.data.objects["Cube"]) == SHOWN


def test_undo_of_the_splats_brings_them_back_and_the_next_preview_hides_again(desk: Desk, tmp_path: Path) -> None:
    cube()
    select_only()
    bpy.ops.ed.undo_push(message="Before the capture")
    capture(tmp_path / "captured")
    desk.train("slow")
    desk.wait(lambda: desk.splats() is not None)
    bpy.ops.ed.undo_push(message="Something else")
    bpy.ops.ed.undo()
    settings = bpy.context.scene.splatwright
    assert desk.splats() is None and switches(bpy.data.objects["Cube"]) == SHOWN
    assert Path(settings.captured) == tmp_path / "captured", "undo does not take back what lies on the disk"
    desk.wait(lambda: desk.splats() is not None)
    assert switches(bpy.data.objects["Cube"]) == HIDDEN
    bpy.ops.ed.undo_push(message="Once more")
    settings.show_originals = True
    bpy.ops.ed.undo_push(message="Show Originals")
    bpy.ops.ed.undo()
    assert switches(bpy.data.objects["Cube"]) == HIDDEN and not bpy.context.scene.splatwright.show_originals
    bpy.ops.ed.redo()
    assert switches(bpy.data.objects["Cube"]) == SHOWN and bpy.context.scene.splatwright.show_originals


def test_disabling_brings_them_back_and_enabling_hides_them(originals: ModuleType, tmp_path: Path) -> None:
    box = captured_scene(tmp_path)
    originals.unregister()
    assert switches(box) == SHOWN
    originals.register()
    originals._settle_later()
    assert switches(box) == HIDDEN


def test_files_keep_them_hidden_and_know_the_way_back(originals: ModuleType, tmp_path: Path) -> None:
    captured_scene(tmp_path / "data")
    file = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    os.chmod(file, 0o444)
    empty_scene()
    bpy.ops.wm.open_mainfile(filepath=str(file))
    box = bpy.data.objects["Cube"]
    assert switches(box) == HIDDEN
    bpy.context.scene.splatwright.show_originals = True
    assert switches(box) == SHOWN


def test_a_file_without_the_splats_shows_them_at_once(originals: ModuleType, tmp_path: Path) -> None:
    """Saved by a Blender that the extension was removed from, where somebody has deleted the splats."""
    captured_scene(tmp_path / "data")
    file = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    bare = ("import bpy, os; bpy.ops.wm.open_mainfile(filepath={0!r}); box = bpy.data.objects['Cube']; "
            "print('SEEN', box.hide_viewport, box.hide_render, hasattr(box, 'splatwright'), flush=True); "
            "bpy.data.objects.remove(bpy.data.objects['Splats']); bpy.ops.wm.save_mainfile(); os._exit(0)")
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "nothing")}
    command = [sys.executable, "-c", bare.format(str(file))]
    said = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    assert "SEEN True True False" in said, "Blender's own switches, which anybody can turn"
    bpy.ops.wm.open_mainfile(filepath=str(file))
    assert "Splats" not in bpy.data.objects and switches(bpy.data.objects["Cube"]) == SHOWN


def test_a_capture_while_they_are_hidden_is_the_same(originals: ModuleType, tmp_path: Path) -> None:
    cube()
    cube((6, 0, 0), "Pedestal")
    for chosen in ((), ("Cube",)):
        bpy.context.scene.splatwright.show_originals = False
        select_only(*(bpy.data.objects[name] for name in chosen))
        first = capture(tmp_path / f"first{len(chosen)}")
        framed = module("addon.capture.shots").framed_corners(bpy.context)
        made = splats()
        assert switches(bpy.data.objects["Pedestal"]) == HIDDEN
        boxes = module("addon.capture.shots").framed_corners(bpy.context)
        assert np.allclose([boxes.min(axis=0), boxes.max(axis=0)], [framed.min(axis=0), framed.max(axis=0)], atol=1e-5)
        made.select_set(True)
        second = capture(tmp_path / f"second{len(chosen)}")
        assert switches(bpy.data.objects["Cube"]) == HIDDEN
        assert transforms(second)["frames"] == transforms(first)["frames"]
        for image in sorted((first / "images").iterdir()):
            assert np.array_equal(pixels(image), pixels(second / "images" / image.name))
        bpy.data.objects.remove(made)
        bpy.context.view_layer.update()


def test_no_preview_hides_what_is_being_captured(originals: ModuleType, tmp_path: Path) -> None:
    box = cube()
    select_only()
    capture(tmp_path / "first")
    request = module("addon.capture.request").CaptureRequest(tmp_path / "second", source="DOME", count=2, resolution=16, points=0)
    steps = module("addon.capture.capture").capture_steps(bpy.context, request)
    next(steps)
    splats()
    assert switches(box) == SHOWN
    steps.close()
    assert switches(box) == HIDDEN


@pytest.mark.parametrize("kind", ["object", "collection", "nodes"])
def test_splats_are_never_captured(originals: ModuleType, tmp_path: Path, kind: str) -> None:
    cube()
    expected = [pixels(path) for path in sorted((capture(tmp_path / "without") / "images").iterdir())]
    made = module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians(300))
    if kind != "object":
        instances = bpy.data.objects.new("Instances", None)
        group = bpy.data.collections.new("Group")
        group.objects.link(made)
        bpy.context.scene.collection.objects.unlink(made)
        if kind == "collection":
            instances.instance_type, instances.instance_collection = "COLLECTION", group
        else:
            instances = bpy.data.objects.new("Instances", bpy.data.meshes.new("Instances"))
            instances.modifiers.new("Nodes", "NODES").node_group = instancing(made)
        bpy.context.scene.collection.objects.link(instances)
    select_only()
    seen = [pixels(path) for path in sorted((capture(tmp_path / "with") / "images").iterdir())]
    assert all(np.array_equal(one, other) for one, other in zip(seen, expected, strict=True))
    assert not made.hide_render and not made.splatwright.original.captured
    if kind != "object":
        assert switches(instances) == SHOWN and not instances.splatwright.original.captured


def instancing(target: Any) -> Any:
    """Geometry nodes that show an instance of another object."""
    group = bpy.data.node_groups.new("Instancing", "GeometryNodeTree")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    info, result = group.nodes.new("GeometryNodeObjectInfo"), group.nodes.new("NodeGroupOutput")
    info.inputs["Object"].default_value, info.inputs["As Instance"].default_value = target, True
    group.links.new(info.outputs["Geometry"], result.inputs[0])
    return group


def test_coverage_sees_them_and_shows_its_colours(desk: Desk, tmp_path: Path) -> None:
    box = captured_scene(tmp_path / "data")
    assert bpy.ops.splatwright.suggest_cameras(count=2, with_dataset=False) == {"FINISHED"} and switches(box) == HIDDEN
    assert bpy.ops.splatwright.show_coverage() == {"FINISHED"}
    assert "splatwright:coverage" in box.data.color_attributes
    assert bpy.context.scene.splatwright.show_originals and switches(box) == SHOWN


def test_a_batch_takes_them_for_visible(originals: ModuleType, tmp_path: Path) -> None:
    captured_scene(tmp_path)
    select_only()
    bpy.context.scene.splatwright.capture.source = "DOME"
    plan = module("addon.batch.plan")
    assert plan.make_plan("Again", plan.Views(bpy.context.scene, "RIG"), tmp_path / "batch", None).request.source == "DOME"


def test_one_that_is_edited_is_hidden_when_that_ends(originals: ModuleType, tmp_path: Path) -> None:
    box = cube()
    capture(tmp_path)
    bpy.context.view_layer.objects.active = box
    bpy.ops.object.mode_set(mode="EDIT")
    splats()
    assert switches(box) == SHOWN
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.view_layer.update()
    assert switches(box) == HIDDEN


@pytest.mark.parametrize("animate", [
    lambda box: box.keyframe_insert("hide_render", frame=1),
    lambda box: box.driver_add("hide_viewport"),
], ids=["keys", "driver"])
def test_animated_visibility_is_left_alone(originals: ModuleType, tmp_path: Path, animate: Any) -> None:
    box, other = cube(), cube((3, 0, 0), "Other")
    animate(box)
    capture(tmp_path)
    made = splats()
    assert switches(box) == SHOWN and switches(other) == HIDDEN
    assert drawn(made).text == "Not hidden, for their visibility is animated: Cube."


def test_objects_of_other_scenes_stay_there(originals: ModuleType, tmp_path: Path) -> None:
    box, other = cube(), cube((3, 0, 0), "Other")
    second = bpy.data.scenes.new("Second")
    second.collection.objects.link(box)
    capture(tmp_path)
    made = splats()
    assert switches(box) == SHOWN and switches(other) == HIDDEN
    assert drawn(made).text == "Not hidden, for other scenes show them too: Cube."
    second.collection.objects.unlink(box)
    bpy.context.view_layer.update()
    assert switches(box) == HIDDEN and drawn(made).text == ""


def test_linked_objects_stay_and_are_named(originals: ModuleType, tmp_path: Path) -> None:
    cube()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    empty_scene()
    own = cube((3, 0, 0), "Own")
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.objects = ["Cube"]
    linked = bpy.data.objects["Cube"]
    bpy.context.scene.collection.objects.link(linked)
    capture(tmp_path / "data")
    made = splats()
    assert switches(linked) == SHOWN and switches(own) == HIDDEN
    assert drawn(made).text == "Not hidden, for they belong to another file: Cube."


def test_overrides_of_linked_objects_can_be_hidden(originals: ModuleType, tmp_path: Path) -> None:
    cube()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    empty_scene()
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.objects = ["Cube"]
    box = bpy.data.objects["Cube"].override_create()
    bpy.context.scene.collection.objects.link(box)
    name = box.name
    capture(tmp_path / "data")
    splats()
    assert switches(box) == HIDDEN
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    box = next(found for found in bpy.data.objects if found.name == name and found.override_library)
    assert switches(box) == HIDDEN
    bpy.context.scene.splatwright.show_originals = True
    assert switches(box) == SHOWN


def test_linked_scenes_are_left_alone(originals: ModuleType, tmp_path: Path) -> None:
    captured_scene(tmp_path / "data")
    bpy.context.scene.name = "Theirs"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    empty_scene()
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.scenes = ["Theirs"]
    originals.settle()
    box = next(found for found in bpy.data.objects if found.name == "Cube")
    assert box.library is not None and switches(box) == HIDDEN


def drawn(active: Any) -> Layout:
    """What the panels show below splats."""
    layout = Layout()
    module("addon.panels.originals").draw_originals(layout, bpy.context.scene, active)
    return layout


def test_the_switch_is_below_splats_of_originals_alone(originals: ModuleType, tmp_path: Path) -> None:
    captured_scene(tmp_path)
    assert drawn(bpy.data.objects["Splats"]).properties == ["show_originals"] and not drawn(None).properties
    assert not drawn(module("addon.splats.splat_object").create_splat_object("Imported", some_gaussians())).properties
    tip = bpy.context.scene.splatwright.bl_rna.properties["show_originals"].description
    assert "viewports" in tip and "renders" in tip
    select_only(bpy.data.objects["Splats"])
    bpy.context.view_layer.objects.active = bpy.data.objects["Splats"]
    layout = Layout()
    module("addon.panels.splats").SPLATWRIGHT_PT_splats.draw(SimpleNamespace(layout=layout), bpy.context)
    assert "show_originals" in layout.properties

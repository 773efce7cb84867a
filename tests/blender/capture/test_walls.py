"""Generated cameras stand on the subject's side of walls, or are left out and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.untyped import bpy

from ..conftest import add_camera, module
from .capturing import capture, request
from .room import box, furnished_room, glass, inside

TELE = {"focal_length": 100.0, "count": 40}
"""A lens with which a dome around the vase is larger than the room."""


def planned(**values: Any) -> Any:
    bpy.context.view_layer.update()
    return module("addon.capture.rig_plan").plan(bpy.context, request(Path("unused"), **values))


def places(plan: Any, *kinds: str) -> list[np.ndarray]:
    return [found.camera.position for found in plan.cameras if not kinds or found.placing.name in kinds]


def test_a_small_dome_in_a_room_is_left_as_it_is(fresh_scene: Any) -> None:
    furnished_room()
    plan = planned(source="DOME")
    assert plan.label == "60 cameras" and plan.warnings == [] and all(map(inside, places(plan)))


def test_cameras_behind_walls_move_before_them(fresh_scene: Any) -> None:
    furnished_room()
    free = planned(source="DOME", avoid_walls=False, **TELE)
    assert len(free.taken) == 40 and not all(map(inside, places(free)))
    plan = planned(source="DOME", **TELE)
    assert len(places(plan, "MOVED")) > 5 and all(map(inside, places(plan, "WELL", "MOVED")))
    middle = np.array([0.3, 0.2, 0.4])
    for before, after in zip(free.cameras, plan.cameras, strict=True):
        ways = [found.camera.position - middle for found in (before, after)]
        assert np.allclose(*(way / np.linalg.norm(way) for way in ways), atol=0.02), "they look from where they did"
        assert np.allclose(before.camera.camera_to_world[:3, :3], after.camera.camera_to_world[:3, :3])
    assert f"{len(places(plan, 'MOVED'))} moved before walls" in plan.label


def test_those_that_cannot_move_are_left_out_and_named(fresh_scene: Any, tmp_path: Path) -> None:
    """The vase stands close to a wall: from beyond it there is no room."""
    vase = furnished_room()
    vase.location = (2.6, 0.2, 0.4)
    plan = planned(source="ORBIT", elevation=0.3, count=16, focal_length=50.0)
    out = places(plan, "LEFT_OUT")
    assert out and all(place[0] > 3 for place in out) and plan.images == 16 - len(out)
    assert plan.warnings == [f"{len(out)} cameras are left out: {len(out)} behind East Wall."]
    told: list[str] = []
    done = module("addon.capture.capture").capture(bpy.context, request(
        tmp_path, source="ORBIT", elevation=0.3, count=16, focal_length=50.0, samples=1, resolution=16), told.append)
    assert len(done.views) == plan.images and told == plan.warnings
    assert all(inside(view.camera.position) for view in done.views)


def test_a_camera_in_a_pillar_is_inside_of_it(fresh_scene: Any) -> None:
    furnished_room()
    box("Column", (-5, -5, -5), (5, 5, 5))
    bpy.data.objects["Column"].location, bpy.data.objects["Column"].scale = (0.3, 1.65, 0.6), (0.2, 0.2, 1)
    bpy.ops.object.select_all(action="DESELECT")
    bpy.data.objects["Vase"].select_set(True)
    plan = planned(source="ORBIT", elevation=0.1, count=4)
    assert {found.obstacle for found in plan.cameras if found.placing.name != "WELL"} <= {"inside Column", "behind Column"}
    assert any(found.obstacle for found in plan.cameras)


@pytest.mark.parametrize("how", ["glass", "hidden in renders", "wire", "hidden from cameras", "volume"])
def test_what_one_sees_through_is_no_wall(fresh_scene: Any, how: str) -> None:
    furnished_room()
    for item in bpy.data.objects:
        if item.name.endswith(("Wall", "Ceiling", "Floor", "Pillar", "Table")):
            bpy.data.objects.remove(item)
    wall = box("Screen", (1.2, -9, -9), (1.3, 9, 9))
    wall.select_set(False)
    bpy.data.objects["Vase"].select_set(True)
    asked = {"source": "ORBIT", "elevation": 0.1, "count": 16, "focal_length": 60.0}
    assert places(planned(**asked), "MOVED", "LEFT_OUT"), "it is a wall as it comes"
    match how:
        case "glass":
            wall.data.materials[0] = glass()
        case "hidden in renders":
            wall.hide_render = True
        case "wire":
            wall.display_type = "WIRE"
        case "hidden from cameras":
            wall.visible_camera = False
        case "volume":
            tree = wall.data.materials[0].node_tree
            tree.links.new(tree.nodes.new("ShaderNodeVolumePrincipled").outputs[0], tree.nodes["Material Output"].inputs["Volume"])
            tree.links.remove(next(link for link in tree.links if link.to_socket.name == "Surface"))
    assert not places(planned(**asked), "MOVED", "LEFT_OUT")


def test_a_pane_of_glass_in_a_wall_is_passed_and_its_frame_is_not(fresh_scene: Any) -> None:
    """Materials count face by face."""
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=3, y_subdivisions=3, size=6, location=(2, 0, 0), rotation=(0, np.pi / 2, 0))
    wall = bpy.context.object
    wall.data.materials.append(bpy.data.materials.new("Frame"))
    wall.data.materials.append(glass())
    wall.data.polygons[4].material_index = 1
    bpy.context.view_layer.update()
    walls = module("addon.capture.walls").Walls(bpy.context)
    towards = np.array([1.0, 0.0, 0.0])
    assert walls.hit(np.zeros(3), towards, 10.0) is None
    hit = walls.hit(np.array([0.0, 2.0, 0.0]), towards, 10.0)
    assert hit is not None and hit.owner == wall and hit.distance == pytest.approx(2.0, abs=1e-4)


@pytest.mark.parametrize(("engine", "culled"), [("CYCLES", False), ("EEVEE", True)])
def test_backs_that_eevee_culls_are_passed(fresh_scene: Any, engine: str, culled: bool) -> None:
    bpy.ops.mesh.primitive_plane_add(size=6, location=(2, 0, 0), rotation=(0, np.pi / 2, 0))  # its front looks along +X
    material = bpy.data.materials.new("One-Sided")
    material.use_backface_culling = True
    bpy.context.object.data.materials.append(material)
    engines = fresh_scene.render.bl_rna.properties["engine"].enum_items.keys()
    fresh_scene.render.engine = next((name for name in engines if engine in name), "BLENDER_EEVEE_NEXT" if engine == "EEVEE" else engine)
    bpy.context.view_layer.update()
    walls = module("addon.capture.walls").Walls(bpy.context)
    assert (walls.hit(np.zeros(3), np.array([1.0, 0, 0]), 10.0) is None) == culled
    assert walls.hit(np.array([4.0, 0, 0]), np.array([-1.0, 0, 0]), 10.0) is not None, "its front is a wall"


def test_nothing_left_is_said_with_a_way_out(fresh_scene: Any, tmp_path: Path) -> None:
    furnished_room()
    box("Crate", (-0.06, -0.16, 0.01), (0.66, 0.56, 0.79)).select_set(False)
    bpy.data.objects["Vase"].select_set(True)
    with pytest.raises(module("engine.core.errors").UserError, match=r"No generated camera can stand free.*behind Crate.*Avoid Walls"):
        capture(tmp_path, source="ORBIT", count=6)
    assert len(capture(tmp_path, source="ORBIT", count=6, avoid_walls=False, samples=1, resolution=16).views) == 6


def test_a_whole_scene_has_no_walls_but_interiors_are_noticed(fresh_scene: Any) -> None:
    furnished_room()
    bpy.ops.object.select_all(action="DESELECT")
    assert planned(source="DOME").warnings == []
    camera = add_camera(fresh_scene, (2, -1.5, 1.6))
    camera.select_set(False)
    assert planned(source="DOME").warnings == [
        "Camera stands in a room, and these cameras stand outside of it. Choose Walk for interiors."]
    bpy.data.objects.remove(bpy.data.objects["Ceiling"])
    assert planned(source="DOME").warnings == []


def test_own_cameras_inside_of_something_are_named_and_kept(fresh_scene: Any, tmp_path: Path) -> None:
    furnished_room()
    bpy.ops.object.select_all(action="DESELECT")
    for name, place in (("Buried", (-1.0, -1.0, 1.5)), ("Free", (2, -1.5, 1.6)), ("Outside", (9, 9, 9))):
        add_camera(fresh_scene, place, name)
    plan = planned(source="SELECTED")
    assert [found.name for found in plan.cameras if found.placing.name == "INSIDE"] == ["Buried"] and plan.images == 3
    assert plan.warnings == ["Nothing but the inside of an object is seen by Buried: 1 inside Pillar."]
    told: list[str] = []
    asked = request(tmp_path, source="SELECTED", samples=1, resolution=16)
    assert len(module("addon.capture.capture").capture(bpy.context, asked, told.append).views) == 3 and told == plan.warnings


def test_a_room_that_is_one_hollow_mesh_hides_no_cameras(fresh_scene: Any) -> None:
    """Its front faces outwards: from within one sees backs all around."""
    bpy.ops.mesh.primitive_cube_add(size=8)
    bpy.ops.object.select_all(action="DESELECT")
    for number in range(3):
        add_camera(fresh_scene, (number - 1.0, -2, 1), f"Camera {number}")
    assert planned(source="SELECTED").label == "3 cameras"

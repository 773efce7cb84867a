"""Walk: cameras through rooms and along curves, and what a training makes of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.untyped import bpy

from ..conftest import module
from .capturing import capture, request
from .room import furnished_room, inside


def planned(**values: Any) -> Any:
    bpy.context.view_layer.update()
    return module("addon.capture.rig_plan").plan(bpy.context, request(Path("unused"), source="WALK", **values))


def places(plan: Any) -> np.ndarray:
    return np.array([found.camera.position for found in plan.taken])


def deselect() -> None:
    bpy.ops.object.select_all(action="DESELECT")


@pytest.mark.parametrize("eye_height", [1.6, 0.9])
def test_a_walk_through_a_room_stands_free_at_the_height_of_the_eyes(fresh_scene: Any, eye_height: float) -> None:
    furnished_room()
    deselect()
    found = places(planned(eye_height=eye_height, count=60))
    assert len(found) == 60 and np.allclose(found[:, 2], eye_height, atol=1e-3), "nobody stands on the table"
    assert all(inside(place, 0.1) for place in found)
    assert np.ptp(found[:, 0]) > 3.5 and np.ptp(found[:, 1]) > 2.8, "all over the room"
    assert len({tuple(place.round(3)) for place in found}) >= 15


def test_it_looks_all_around_and_not_at_walls_close_by(fresh_scene: Any) -> None:
    furnished_room()
    deselect()
    plan, walls = planned(count=60), module("addon.capture.walls").Walls(bpy.context)
    ahead = np.array([-found.camera.camera_to_world[:3, 2] for found in plan.taken])
    headings = np.arctan2(ahead[:, 1], ahead[:, 0])
    assert (np.histogram(headings, 8, (-np.pi, np.pi))[0] > 2).all() and {round(pitch, 1) for pitch in ahead[:, 2]} == {0.0, -0.4, 0.2}
    level = ahead * [1, 1, 0] / np.linalg.norm(ahead[:, :2], axis=1, keepdims=True)
    for place, way in zip(places(plan), level, strict=True):
        hit = walls.hit(place, way, 100.0)
        assert hit is None or hit.distance > 0.5


def test_two_rooms_and_two_storeys_are_both_walked(fresh_scene: Any) -> None:
    furnished_room()
    for item in [item for item in bpy.data.objects if item.type == "MESH"]:
        other = item.copy()
        other.location.z += 3.0
        fresh_scene.collection.objects.link(other)
    deselect()
    heights = places(planned(count=80))[:, 2]
    assert set(heights.round(1)) == {1.6, 4.6} and min((heights < 3).sum(), (heights > 3).sum()) > 20


@pytest.mark.parametrize("kind", ["hollow box", "no ceiling", "flipped floor"])
def test_rooms_as_people_build_them(fresh_scene: Any, kind: str) -> None:
    """A box that is used as a room; walls without a ceiling; planes whose fronts look the wrong way."""
    if kind == "hollow box":
        bpy.ops.mesh.primitive_cube_add(size=4, location=(0, 0, 2))
    elif kind == "no ceiling":
        furnished_room(ceiling=False)
    else:
        for height in (0.0, 2.6):
            bpy.ops.mesh.primitive_plane_add(size=5, location=(0, 0, height), rotation=(np.pi, 0, 0))
    deselect()
    found = places(planned(count=30))
    assert len(found) == 30 and np.allclose(found[:, 2], 1.6, atol=1e-3) and (np.abs(found[:, :2]) < 3).all()


def test_no_room_says_what_to_do(fresh_scene: Any) -> None:
    bpy.ops.mesh.primitive_cube_add(size=1)
    bpy.context.object.display_type = "WIRE"
    with pytest.raises(module("engine.core.errors").UserError, match=r"No room to walk in was found.*Eye Height"):
        planned(count=10)


def curve(kind: str, points: list[tuple[float, float, float]], closed: bool = False) -> Any:
    data = bpy.data.curves.new("Path", "CURVE")
    data.dimensions = "3D"
    spline = data.splines.new(kind)
    spline.points.add(len(points) - 1)
    for point, place in zip(spline.points, points, strict=True):
        point.co = (*place, 1.0)
    spline.use_cyclic_u, spline.use_endpoint_u, spline.order_u = closed, not closed, 3
    made = bpy.data.objects.new("Path", data)
    bpy.context.scene.collection.objects.link(made)
    return made


def test_along_a_line_it_is_evenly_spaced_and_looks_ahead_and_to_the_sides(fresh_scene: Any) -> None:
    path = curve("POLY", [(0, 0, 0), (0.1, 0, 0), (6, 0, 0), (6, 3, 0)])
    path.location.z = 1.0
    plan = planned(path="Path", count=27, eye_height=0.5)
    found, ahead = places(plan), np.array([-planned.camera.camera_to_world[:3, 2] for planned in plan.taken])
    assert len(found) == 27 and np.allclose(found[:, 2], 1.5)
    assert np.allclose(found[::3, :2], [(step + 0.5, 0) for step in range(6)] + [(6, step + 0.5) for step in range(3)], atol=1e-6)
    headings = np.degrees(np.arctan2(ahead[:, 1], ahead[:, 0])).round()
    assert headings[:3].tolist() == [0, 65, -65] and headings[-3:].tolist() == [90, 155, 25]


def test_all_kinds_of_curves_are_followed(fresh_scene: Any) -> None:
    """Against the meshes that Blender makes of them."""
    corners = [(0, 0, 0), (2, 0, 0), (2, 2, 1), (0, 3, 0), (-1, 1, 0)]
    curves = [curve("POLY", corners), curve("NURBS", corners), curve("NURBS", corners, closed=True)]
    bpy.ops.curve.primitive_bezier_circle_add(radius=2, rotation=(0.3, 0.2, 0), location=(1, 0, 0), scale=(1, 0.5, 1))
    curves.append(bpy.context.object)
    bpy.context.view_layer.update()
    for item in curves:
        item.data.resolution_u = 64
        line = np.concatenate(module("addon.capture.curves").curve_lines(bpy.context, item.name_full))
        mesh = item.to_mesh()
        vertices = np.array([item.matrix_world @ vertex.co for vertex in mesh.vertices])
        distances = np.linalg.norm(line[:, None] - vertices[None], axis=2)
        assert distances.min(axis=0).max() < 0.1, item.data.splines[0].type
        assert item.data.splines[0].type == "POLY" or distances.min(axis=1).max() < 0.1


@pytest.mark.parametrize(("name", "said"), [("Nowhere", "There is no curve Nowhere"), ("Point", "has no length")])
def test_a_path_that_is_none_says_so(fresh_scene: Any, name: str, said: str) -> None:
    curve("POLY", [(1, 1, 1)]).name = "Point"
    with pytest.raises(module("engine.core.errors").UserError, match=said):
        planned(path=name)


def test_a_curve_through_a_pillar_leaves_out_what_is_inside(fresh_scene: Any) -> None:
    furnished_room()
    deselect()
    curve("POLY", [(-2.5, -1, 0), (2.5, -1, 0)])
    plan = planned(path="Path", count=75)
    out = [found for found in plan.cameras if found.placing.name == "LEFT_OUT"]
    assert out and {found.obstacle for found in out} == {"inside Pillar"} and all(map(inside, places(plan)))
    assert len(planned(path="Path", count=75, avoid_walls=False).taken) == 75


def test_the_scene_remembers_the_curve(fresh_scene: Any, tmp_path: Path) -> None:
    """By its object, so that another name changes nothing."""
    path, settings = curve("POLY", [(0, 0, 0), (4, 0, 0)]), fresh_scene.splatwright.capture
    settings.directory, settings.cameras_from, settings.walk_curve = str(tmp_path), "WALK", path
    path.name = "Weg – 道"
    made = settings.to_request()
    assert (made.source, made.path) == ("WALK", "Weg – 道") and settings.source == "WALK"
    bpy.data.objects.remove(path)
    assert settings.to_request().path == ""


@pytest.fixture
def jobs(fresh_scene: Any, tmp_path: Path) -> Iterator[Any]:
    """The trainings of this test, in a folder of their own."""
    preferences, found = module("addon.engines.locations").preferences(), module("addon.jobs.jobs")
    preferences.jobs_folder = str(tmp_path / "jobs")
    yield found
    for job in found.watched():
        job.engine.kill(job.name)
    preferences.jobs_folder = ""


def test_a_walk_through_a_room_trains(jobs: Any, tmp_path: Path) -> None:
    """Captured by the operator, trained by the real engine; views that it never saw look like the room."""
    furnished_room()
    deselect()
    scene = bpy.context.scene
    capturing, training = scene.splatwright.capture, scene.splatwright.train
    capturing.focal_length, capturing.transparent, capturing.resolution = 24.0, False, 80
    capturing.count, capturing.cameras_from, scene.cycles.samples = 64, "WALK", 1
    assert bpy.ops.splatwright.capture_dataset(directory=str(tmp_path / "room"), depth=True) == {"FINISHED"}
    training.max_steps, training.max_gaussians, training.resolution = 1200, 12_000, 80
    bpy.ops.splatwright.train()
    end = time.monotonic() + 200.0
    while not scene.splatwright.imported_job:
        jobs.poll()
        assert time.monotonic() < end, jobs.watched()
        time.sleep(0.1)
    assert jobs.current(scene).psnr > 24, "dB on views that are held out"


def test_operators_take_a_path(fresh_scene: Any, tmp_path: Path) -> None:
    furnished_room()
    deselect()
    curve("POLY", [(-2, 1, 0), (1, 1, 0)])
    assert bpy.ops.splatwright.capture_dataset(
        directory=str(tmp_path), source="WALK", path="Path", count=6, resolution=16, samples=1) == {"FINISHED"}
    views = module("engine.core.datasets.read").read_dataset(tmp_path).views
    assert np.allclose([view.camera.position[2] for view in views], 1.6)
    assert len(capture(tmp_path, source="WALK", count=5, resolution=16, samples=1).views) == 5

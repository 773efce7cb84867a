"""Label maps of a capture: each pixel knows the placed thing that it shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.untyped import bpy

from ..conftest import module
from .capturing import add_camera, capture, folder_contents, glow, snapshot, steps


def cube(name: str, place: tuple[float, float, float], size: float = 1.0) -> Any:
    bpy.ops.mesh.primitive_cube_add(size=size, location=place)
    made = bpy.context.object
    made.name = name
    glow(made, (0.8, 0.8, 0.8))
    return made


def chairs(source: Any, *places: tuple[float, float, float]) -> list[Any]:
    """Instances of a collection that holds `source` alone."""
    group = bpy.data.collections.new("Chair parts")
    for owner in source.users_collection:
        owner.objects.unlink(source)
    group.objects.link(source)
    made = []
    for number, place in enumerate(places):
        empty = bpy.data.objects.new(f"Chair {number}", None)
        empty.instance_type, empty.instance_collection, empty.location = "COLLECTION", group, place
        bpy.context.scene.collection.objects.link(empty)
        made.append(empty)
    return made


def from_the_front(count: int = 1) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    for number in range(count):
        add_camera(bpy.context.scene, (number, -9.0, 0.0), f"Camera {number}")


def labels_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {label["name"]: label for label in json.loads((folder / "labels.json").read_text(encoding="utf-8"))["labels"]}


def shown(folder: Path, stem: str = "0001") -> np.ndarray:
    return module("engine.core.images.png").decode_deep_png((folder / "labels" / f"{stem}.png").read_bytes())[..., 0]


def middle_of(scene: Any, labels: np.ndarray, place: tuple[float, float, float]) -> int:
    """The label at the pixel that shows a place, from the first camera."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    x, y, _ = world_to_camera_view(scene, bpy.data.objects["Camera 0"], Vector(place))
    height, width = labels.shape
    return int(labels[int((1 - y) * height), int(x * width)])


def test_objects_and_instances_have_labels_of_their_own(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """Also two instances of one collection, which share the object that is drawn; its matrix is where it stands in the scene."""
    cube("Würfel 大", (-2.0, 0.0, 0.0))
    source = cube("Part", (0.0, 0.0, 0.0), 0.8)
    chairs(source, (0.0, 0.0, 0.0), (2.0, 0.0, 0.0))
    cube("Hidden", (0.0, 0.0, 2.0)).hide_render = True
    from_the_front(2)
    before = snapshot()
    dataset = capture(tmp_path / "data", objects=True, samples=4)
    assert snapshot() == before
    named, labels = labels_of(tmp_path / "data"), shown(tmp_path / "data")
    assert set(named) == {"Würfel 大", "Chair 0", "Chair 1"}
    assert [row[3] for row in named["Chair 1"]["matrix"]] == [2.0, 0.0, 0.0, 1.0]
    for name, place in (("Würfel 大", (-2, 0, 0)), ("Chair 0", (0, 0, 0)), ("Chair 1", (2, 0, 0))):
        assert middle_of(fresh_scene, labels, place) == named[name]["number"], name
    assert middle_of(fresh_scene, labels, (0, 0, 2)) == 0 and labels[0, 0] == 0
    sizes = [(labels == label["number"]).sum() for label in named.values()]
    assert min(sizes) > 20
    read = module("engine.core.datasets.transforms_json").read_transforms(tmp_path / "data")
    assert [view.labels for view in read.views] == [view.labels for view in dataset.views] and read.views[1].labels is not None
    assert read.labels_file == tmp_path / "data" / "labels.json"


def scatter(ground: Any, leaf: Any) -> None:
    """Geometry nodes that put an instance of the leaf on each vertex."""
    tree = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    for side in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=side, socket_type="NodeSocketGeometry")
    names = ("NodeGroupInput", "NodeGroupOutput", "GeometryNodeInstanceOnPoints", "GeometryNodeObjectInfo")
    start, end, instances, info = (tree.nodes.new(name) for name in names)
    info.inputs["Object"].default_value, info.inputs["As Instance"].default_value = leaf, True
    for output, entry in ((start.outputs["Geometry"], instances.inputs["Points"]), (info.outputs["Geometry"], instances.inputs["Instance"]),
                          (instances.outputs["Instances"], end.inputs["Geometry"])):
        tree.links.new(output, entry)
    ground.modifiers.new("Scatter", "NODES").node_group = tree


def test_what_is_scattered_belongs_to_its_scatterer(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """Two grounds scatter the same leaf: the nearest one has it. The leaf itself, which stands aside, is a thing of its own."""
    leaf = cube("Leaf", (0.0, 0.0, 2.0), 0.4)
    for name, x in (("Left", -2.0), ("Right", 2.0)):
        bpy.ops.mesh.primitive_plane_add(size=1.0, location=(x, 0.0, 0.0))
        bpy.context.object.name = name
        scatter(bpy.context.object, leaf)
    from_the_front()
    capture(tmp_path, objects=True, samples=4)
    named, labels = labels_of(tmp_path), shown(tmp_path)
    assert set(named) == {"Left", "Right", "Leaf"}
    for name, x in (("Left", -2.5), ("Right", 2.5)):
        assert middle_of(fresh_scene, labels, (x, -0.5, 0.0)) == named[name]["number"], name
    assert middle_of(fresh_scene, labels, (0.0, 0.0, 2.0)) == named["Leaf"]["number"]


def test_leaves_that_are_cut_out_by_alpha_keep_their_outline(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """A card whose material is transparent on one half shows what is behind there."""
    bpy.ops.mesh.primitive_plane_add(size=2.0, location=(0.0, 0.0, 0.0), rotation=(1.5708, 0.0, 0.0))
    card = bpy.context.object
    card.name = "Card"
    made = bpy.data.materials.new("Cut")
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    shader, place, apart = nodes["Principled BSDF"], nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeSeparateXYZ")
    above = nodes.new("ShaderNodeMath")
    above.operation, above.inputs[1].default_value = "GREATER_THAN", 0.5
    links.new(place.outputs["UV"], apart.inputs[0])
    links.new(apart.outputs["X"], above.inputs[0])
    links.new(above.outputs[0], shader.inputs["Alpha"])
    card.data.materials.append(made)
    cube("Behind", (0.0, 2.0, 0.0), 1.0)
    from_the_front()
    fresh_scene.render.engine = "CYCLES"
    capture(tmp_path, objects=True, samples=16)
    named, labels = labels_of(tmp_path), shown(tmp_path)
    assert middle_of(fresh_scene, labels, (0.3, 0.0, 0.0)) == named["Card"]["number"]
    assert middle_of(fresh_scene, labels, (-0.2, 0.0, 0.0)) == named["Behind"]["number"]
    assert middle_of(fresh_scene, labels, (-0.9, 0.0, 0.8)) == 0


def test_every_kind_of_object_is_a_thing(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """Texts, curves and metaballs, of which Blender makes meshes; and what viewports alone hide, in both ways."""
    bpy.ops.object.text_add(location=(-3.4, 0.0, 0.0), rotation=(1.5708, 0.0, 0.0))
    bpy.context.object.name, bpy.context.object.data.body, bpy.context.object.data.extrude = "Text", "II", 0.1
    bpy.ops.curve.primitive_bezier_circle_add(radius=0.4, location=(-1.0, 0.0, 0.0), rotation=(1.5708, 0.0, 0.0))
    bpy.context.object.name, bpy.context.object.data.bevel_depth = "Curve", 0.2
    bpy.ops.object.metaball_add(radius=0.8, location=(1.0, 0.0, 0.0))
    bpy.context.object.name = "Ball"
    cube("Disabled", (2.4, 0.0, 0.0), 0.8).hide_viewport = True
    cube("Eye", (2.4, 0.0, 1.2), 0.8).hide_set(True)
    from_the_front()
    capture(tmp_path, objects=True, samples=4)
    named, labels = labels_of(tmp_path), shown(tmp_path)
    seen = {name for name, label in named.items() if (labels == label["number"]).sum() > 8}
    assert seen == set(named) == {"Text", "Curve", "Ball", "Disabled", "Eye"}
    assert middle_of(fresh_scene, labels, (1.0, 0.0, 0.0)) == named["Ball"]["number"]
    assert middle_of(fresh_scene, labels, (2.4, 0.0, 0.0)) == named["Disabled"]["number"]
    assert middle_of(fresh_scene, labels, (2.4, 0.0, 1.2)) == named["Eye"]["number"]


def test_particles_and_hair_belong_to_their_emitter(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    leaf = cube("Leaf", (0.0, 0.0, 2.0), 0.5)
    for name, x, kind in (("Scatters", -2.0, "OBJECT"), ("Hairy", 2.0, "PATH")):
        bpy.ops.mesh.primitive_plane_add(size=1.0, location=(x, 0.0, -1.0))
        ground = bpy.context.object
        ground.name = name
        settings = ground.modifiers.new("Grass", "PARTICLE_SYSTEM").particle_system.settings
        settings.type, settings.count, settings.hair_length, settings.render_type = "HAIR", 200, 1.0, kind
        settings.root_radius, settings.tip_radius, settings.radius_scale = 0.08, 0.08, 1.0
        if kind == "OBJECT":
            settings.instance_object, settings.particle_size = leaf, 0.6
    from_the_front()
    capture(tmp_path, objects=True, samples=16)
    named, labels = labels_of(tmp_path), shown(tmp_path)
    assert set(named) == {"Scatters", "Hairy", "Leaf"}
    assert middle_of(fresh_scene, labels, (-2.0, 0.0, -0.9)) == named["Scatters"]["number"]
    assert middle_of(fresh_scene, labels, (2.0, 0.0, -0.5)) == named["Hairy"]["number"]
    assert middle_of(fresh_scene, labels, (0.0, 0.0, 2.0)) == named["Leaf"]["number"]


def test_objects_of_one_name_in_two_files_are_two_things(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """Cryptomatte knows the name alone: the place decides."""
    cube("Chair", (-1.5, 0.0, 0.0))
    bpy.data.libraries.write(str(tmp_path / "chairs.blend"), {bpy.data.objects["Chair"]})
    with bpy.data.libraries.load(str(tmp_path / "chairs.blend"), link=True) as (there, here):
        here.objects = there.objects
    fresh_scene.collection.objects.link(here.objects[0])
    bpy.data.objects["Chair", None].location.x = 1.5
    from_the_front()
    capture(tmp_path / "data", objects=True, samples=4)
    found = json.loads((tmp_path / "data" / "labels.json").read_text(encoding="utf-8"))["labels"]
    labels = shown(tmp_path / "data")
    assert sorted((label["name"], bool(label["library"])) for label in found) == [("Chair", False), ("Chair", True)]
    for label in found:
        assert middle_of(fresh_scene, labels, (-1.5 if label["library"] else 1.5, 0.0, 0.0)) == label["number"]


def test_more_things_than_a_map_can_number_are_one_sentence(
    fresh_scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module("addon.capture.placed_things"), "LARGEST", 2)
    for number in range(3):
        cube(f"Cube {number}", (2.0 * number - 2.0, 0.0, 0.0))
    from_the_front()
    before = snapshot()
    with pytest.raises(module("engine.core.errors").UserError, match="more than 2 objects"):
        capture(tmp_path, objects=True, samples=1)
    assert snapshot() == before


def test_a_dataset_is_replaced_with_its_labels(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    cube("One", (0.0, 0.0, 0.0))
    from_the_front()
    capture(tmp_path, objects=True, samples=1)
    assert {"labels.json", "labels/0001.png"} <= set(folder_contents(tmp_path))
    bpy.data.objects["One"].name = "Other"
    capture(tmp_path, objects=True, samples=1)
    assert set(labels_of(tmp_path)) == {"Other"}
    capture(tmp_path, samples=1)
    assert not [path for path in folder_contents(tmp_path) if "labels" in str(path)]


def test_a_capture_that_is_cut_off_keeps_its_labels(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    cube("One", (0.0, 0.0, 0.0))
    from_the_front(3)
    running = steps(tmp_path, objects=True, samples=1)
    for progress in running:
        if progress.done == 2:
            break
    read = module("engine.core.datasets.transforms_json").read_transforms(tmp_path)
    assert read.labels_file == tmp_path / "labels.json" and [view.labels is not None for view in read.views] == [True] * len(read.views)
    running.close()


@pytest.mark.parametrize(("name", "stored"), [("Cube", None), ("", 0), ("äöü 写真 0123456789", None)])
def test_names_hash_to_numbers_that_a_float_can_hold(name: str, stored: int | None) -> None:
    made = module("addon.capture.object_labels").name_hash(name)
    assert np.isfinite(np.array(made, np.uint32).view(np.float32)) and (stored is None or made in (stored, stored | 1 << 23))


def test_known_hashes() -> None:
    """Of the reference implementation of MurmurHash3_x86_32 with seed 0."""
    made = module("addon.capture.object_labels").name_hash
    assert [made(text) for text in ("hello", "hello, world", "The quick brown fox jumps over the lazy dog")] == [
        0x248BFA47, 0x149BBB7F, 0x2E4FF723]


def test_the_whole_way_from_objects_to_splats_of_each(fresh_scene: bpy.types.Scene, layout: Any, tmp_path: Path) -> None:
    """Captured with Objects, trained, brought back: split, the splats of each object lie where it stands."""
    places = {"Left": (-1.2, 0.0, 0.0), "Right": (1.2, 0.0, 0.0)}
    for name, place in places.items():
        cube(name, place)
    bpy.ops.object.select_all(action="DESELECT")
    fresh_scene.render.engine = "CYCLES"
    folder = module("engine.core.protocol.folder")
    capture(tmp_path / "data", source="DOME", count=12, resolution=64, samples=4, objects=True, points=600)
    job, config = folder.JobFolder(tmp_path / "job"), module("engine.core.protocol.config").TrainConfig
    job.write_spec(folder.JobSpec(tmp_path / "data", config(max_steps=150, max_gaussians=600, resolution=64, sh_degree=0, backend="cpu")))
    module("engine.training.trainer").train(job, lambda event: None, lambda: "run")
    ball, _ = module("addon.splats.importing").import_splats(job.result)
    bpy.context.view_layer.objects.active = ball
    assert bpy.ops.splatwright.split_by_object() == {"FINISHED"}
    for name, place in places.items():
        part = bpy.data.objects[f"{name} Splats"]
        assert np.allclose(part.location, place, atol=1e-5)
        means = module("addon.splats.exporting").world_gaussians([part]).gaussians.means
        assert len(means) > 200 and (np.sign(means[:, 0]) == np.sign(place[0])).mean() > 0.97, name

"""A posed dataset in the scene: cameras with their photos behind them and sparse points, all below one empty.

The empty holds where photos and splats are in the scene. It stays when the dataset is imported again or trained again; splats of its
trainings become its children.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np

from ...engine.core.datasets.dataset import Dataset, PointCloud, View
from ...engine.core.datasets.recentring import recentred, restored
from ...engine.core.errors import UserError
from ...engine.core.splats.offset import NO_OFFSET
from ..cameras import blender_from_camera
from ..scene_collections import writable_collection, writable_collections
from ..splats.attributes import Layer, new_points, read_layer, write_layers
from ..splats.survey import offset_of_item, place_in_survey
from ..typed import camera_data, current_context, point_cloud, splat_settings, untyped

POINTS = "Points"
COLOR = "photo_color"
"""Not `color`, which Cycles renders black."""

MATERIAL = "Splatwright Photo Points"
POINT_SIZE, CAMERA_SIZE = 0.002, 0.06
"""Radius of a point and length of a camera's frame, as shares of the scene's size."""


def import_photos(
    dataset: Dataset, source: Path, collection: bpy.types.Collection | None = None, name: str = "",
) -> bpy.types.Object:
    """The empty with the dataset's cameras and points below it, in a collection of its own; an earlier one is filled anew and stays put.

    `source` is where the dataset was read from: its folder or file, by which trainings know it and, without a `name`, people.
    Orthographic views are left out; UserError when no others are there. Pushes no undo step.
    """
    views = [view for view in dataset.views if not view.camera.orthographic]
    if not views:
        raise UserError(f"{dataset.folder} has no photos with perspective cameras.", "Choose another dataset.", "photos.no_perspective",
                        folder=dataset.folder)
    root = root_of(source)
    if root is None:
        parent = writable_collection(collection)
        root = _new_root(source, parent, name or (source.stem if source.is_file() else source.name))
        place_in_survey(root, dataset.offset, scene_size(views), current_context().scene)
    else:
        _empty(root)
        dataset = recentred(restored(dataset), offset_of_item(root) or NO_OFFSET)
        views = [view for view in dataset.views if not view.camera.orthographic]
    place, size = writable_collections(root.users_collection)[0], scene_size(views)
    for view in views:
        _attach(_camera(view, size), root, place)
    if dataset.points is not None and len(dataset.points):
        _attach(_cloud(dataset.points, size), root, place)
    current_context().view_layer.update()
    return root


def posed_root(item: bpy.types.Object) -> bpy.types.Object | None:
    """The empty of posed photos that an object is, or that it is a camera or the points of; None for others, and for splats below it."""
    if _is_root(item):
        return item
    ours = (item.type == "POINTCLOUD" and not splat_settings(item).is_splat) or bool(splat_settings(item).photo)
    return item.parent if ours and item.parent is not None and _is_root(item.parent) else None


def _is_root(item: bpy.types.Object) -> bool:
    return item.type == "EMPTY" and bool(splat_settings(item).dataset)


def root_of(source: Path) -> bpy.types.Object | None:
    """The empty of a dataset's photos, by where it was read from."""
    return next((found for found in roots() if Path(bpy.path.abspath(splat_settings(found).dataset)) == source.resolve()), None)


def roots() -> list[bpy.types.Object]:
    """The empties of all posed photos that this file may change."""
    return [found for found in bpy.data.objects if _is_root(found) and found.library is None]


def photo_cameras(found: Iterable[bpy.types.Object]) -> list[bpy.types.Object]:
    """The cameras of photos among objects, in the order of their photos."""
    cameras = [item for item in found if item.type == "CAMERA" and splat_settings(item).photo]
    return sorted(cameras, key=lambda camera: (camera.parent.name if camera.parent else "", splat_settings(camera).photo))


def sparse_cloud(target: bpy.types.Object) -> bpy.types.Object | None:
    """The points of posed photos, given their empty."""
    if posed_root(target) is not target:
        return None
    return next((child for child in target.children if child.type == "POINTCLOUD" and not splat_settings(child).is_splat), None)


def sparse_places(targets: Sequence[bpy.types.Object]) -> np.ndarray:
    """Where the points of posed photos are in the scene [P, 3]."""
    found = [np.zeros((0, 3))]
    for cloud in filter(None, map(sparse_cloud, targets)):
        positions = read_layer(point_cloud(cloud), "position")
        if positions is not None:
            matrix = np.array(cloud.matrix_world, float)
            found.append(positions @ matrix[:3, :3].T + matrix[:3, 3])
    return np.concatenate(found)


def camera_places(targets: Sequence[bpy.types.Object]) -> np.ndarray:
    """Where the cameras of posed photos are in the scene [C, 3]."""
    return np.array([camera.matrix_world.translation for target in targets if posed_root(target) is target
                     for camera in photo_cameras(target.children)]).reshape(-1, 3)


def adopt(root: bpy.types.Object, splats: bpy.types.Object) -> None:
    """Make splats that were trained on a dataset a child of its photos' empty; they lie where the photos show them."""
    splats.parent = root
    splats.matrix_parent_inverse.identity()
    splats.matrix_basis.identity()
    if (offset := offset_of_item(splats)) is not None:
        splats.location = np.subtract(offset, offset_of_item(root) or NO_OFFSET).tolist()


def scene_size(views: Sequence[View]) -> float:
    """Twice the median distance of the cameras from their middle; 1 where they all stand on one spot."""
    places = np.array([view.camera.position for view in views])
    return 2 * float(np.median(np.linalg.norm(places - np.median(places, axis=0), axis=1))) or 1.0


def _new_root(source: Path, parent: bpy.types.Collection, name: str) -> bpy.types.Object:
    collection = bpy.data.collections.new(name)
    parent.children.link(collection)
    root = bpy.data.objects.new(name, None)
    root.empty_display_type = "PLAIN_AXES"
    splat_settings(root).dataset = str(source.resolve())
    collection.objects.link(root)
    return root


def _empty(root: bpy.types.Object) -> None:
    """Remove the cameras and points of an earlier import."""
    for child in [*photo_cameras(root.children), *filter(None, [sparse_cloud(root)])]:
        data = untyped(child).data
        bpy.data.objects.remove(child)
        if not data.users:
            bpy.data.batch_remove([data])


def _attach(made: bpy.types.Object, root: bpy.types.Object, collection: bpy.types.Collection) -> None:
    collection.objects.link(made)
    made.parent = root


def _camera(view: View, size: float) -> bpy.types.Object:
    """A camera that sees what the view's does, but for distortion, with the photo behind what it sees."""
    made = blender_from_camera(Path(view.name).stem, replace(view.camera, distortion=()))
    settings, lens = splat_settings(made), camera_data(made)
    settings.photo, settings.photo_size = view.name, (view.camera.width, view.camera.height)
    settings.photo_aspect = view.camera.fl_x / view.camera.fl_y
    lens.display_size, lens.clip_start, lens.clip_end = CAMERA_SIZE * size, 1e-3 * size, 100 * size
    with suppress(RuntimeError):  # a photo that Blender cannot open, or a cut that is no file, leaves a camera without it
        if view.face:
            return made
        photo = lens.background_images.new()
        photo.image = bpy.data.images.load(str(view.image), check_existing=True)
        photo.alpha, photo.display_depth, photo.frame_method = 1.0, "BACK", "STRETCH"
        lens.show_background_images = True
    return made


def _cloud(points: PointCloud, size: float) -> bpy.types.Object:
    """The sparse points as a point cloud in their colours."""
    data = new_points(POINTS, len(points))
    colors = np.concatenate([_linear(points.colors / 255), np.ones((len(points), 1))], axis=1)
    write_layers(data, {"position": Layer("FLOAT_VECTOR", points.positions), COLOR: Layer("FLOAT_COLOR", colors),
                        "radius": Layer("FLOAT", np.full(len(points), POINT_SIZE * size, np.float32))})
    data.materials.append(_material())
    return bpy.data.objects.new(POINTS, data)


def _linear(display: np.ndarray) -> np.ndarray:
    """Display colours, 0 to 1, as light (IEC 61966-2-1)."""
    return np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)


def _material() -> bpy.types.Material:
    """Points glow in the colours that the photos show."""
    found = bpy.data.materials.get(MATERIAL)
    if found is not None:
        return found
    made = untyped(bpy.data.materials).new(MATERIAL)
    if not made.node_tree:  # always there from 5.0 on
        made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    nodes.clear()
    color, glow, output = (nodes.new(f"ShaderNode{kind}") for kind in ("Attribute", "Emission", "OutputMaterial"))
    color.attribute_name = COLOR
    links.new(color.outputs["Color"], glow.inputs["Color"])
    links.new(glow.outputs[0], output.inputs[0])
    return made

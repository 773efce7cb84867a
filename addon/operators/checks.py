"""Check the dataset before training, see its contact sheet and coverage, and fix what was found."""

from __future__ import annotations

from typing import ClassVar

import bpy
import numpy as np
from bpy.props import BoolProperty, IntProperty

from ...engine.core.cameras.camera import Camera
from ...engine.core.datasets.dataset import Dataset
from ...engine.core.datasets.excluded import exclude, include_all
from ...engine.core.datasets.read import read_dataset
from ...engine.core.datasets.view_coverage import suggested_poses, view_counts
from ...engine.core.errors import UserError
from ..capture import surface_coverage
from ..capture.relight import relight
from ..jobs import dataset_check
from ..properties.datasets import dataset_folder
from ..splats.originals import hidden_originals, originals_visible
from ..translations import tr
from ..typed import Context, classes_factory, operators, scene_settings
from ..ui.image_window import show_image
from ..ui.redraw import show_vertex_colors
from .reporting import reports_user_errors
from .starting import StartsInquiry

SHEET = "Contact Sheet"
START_POINTS = 4000
"""Start points that photos without meshes are judged by."""


def scene_dataset(context: Context) -> Dataset:
    """The dataset that Train would use; UserError when it cannot be read."""
    return read_dataset(dataset_folder(context.scene))


class SPLATWRIGHT_OT_check_dataset(StartsInquiry, bpy.types.Operator):
    """Check images, poses and start points before training"""

    bl_idname = "splatwright.check_dataset"
    bl_label = "Check Dataset"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    def begin(self, context: Context) -> dataset_check.DatasetCheck:
        return dataset_check.start(context.scene)

    def wait(self, inquiry: dataset_check.DatasetCheck) -> None:
        dataset_check.wait(inquiry)

    def answer(self, inquiry: dataset_check.DatasetCheck) -> str:
        return tr("{count} findings", count=len(inquiry.findings))


class SPLATWRIGHT_OT_show_contact_sheet(bpy.types.Operator):
    """Show all images of the dataset with the findings marked"""

    bl_idname = "splatwright.show_contact_sheet"
    bl_label = "Contact Sheet"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        checked = dataset_check.current(context.scene)
        return checked is not None and checked.sheet is not None

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        checked = dataset_check.current(context.scene)
        if checked is None or checked.sheet is None:
            raise UserError("There is no contact sheet yet.", "Check the dataset first.", "check.no_sheet")
        show_image(context, checked.sheet, SHEET)
        return {"FINISHED"}


class SPLATWRIGHT_OT_exclude_images(bpy.types.Operator):
    """Exclude the images of this finding from training. The dataset keeps them; excluded.txt lists them"""

    bl_idname = "splatwright.exclude_images"
    bl_label = "Exclude Images"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    finding: IntProperty(name="Finding", min=0, options={"SKIP_SAVE"})

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        checked = dataset_check.current(context.scene)
        if checked is None or self.finding >= len(checked.findings):
            raise UserError("There is no such finding any more.", "Check the dataset again.", "check.no_finding")
        count = exclude(scene_dataset(context), checked.findings[self.finding].images)
        self.report({"INFO"}, tr("{count} images are excluded", count=count))
        return operators().splatwright.check_dataset()


class SPLATWRIGHT_OT_include_images(bpy.types.Operator):
    """Include all excluded images of the dataset again"""

    bl_idname = "splatwright.include_images"
    bl_label = "Include All"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        include_all(dataset_folder(context.scene))
        return operators().splatwright.check_dataset()


class SPLATWRIGHT_OT_relight(bpy.types.Operator):
    """Change the light that the scene is captured in: all its lights and its world, or a sun where there are none"""

    bl_idname = "splatwright.relight"
    bl_label = "Relight"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    brighter: BoolProperty(name="Brighter", default=True, description="Add light instead of removing some")

    def execute(self, context: Context) -> set[str]:
        changed = relight(context.scene, 4.0 if self.brighter else 0.5)
        self.report({"INFO"}, tr("{changed} lights changed; capture again", changed=changed))
        return {"FINISHED"}


class SPLATWRIGHT_OT_show_coverage(bpy.types.Operator):
    """Color the scene's meshes by how many training cameras see each face: red too few, yellow enough, green and blue many"""

    bl_idname = "splatwright.show_coverage"
    bl_label = "Show Coverage"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        cameras = [view.camera for view in scene_dataset(context).train_views]
        with originals_visible(context):
            surfaces = surface_coverage.visible_surfaces(context)
            for surface, counts in zip(surfaces, surface_coverage.count_views(context, surfaces, cameras), strict=True):
                surface_coverage.paint(surface, counts)
        show_vertex_colors(True)
        if hidden_originals(context.scene):
            scene_settings(context.scene).show_originals = True
            self.report({"INFO"}, "Show Originals is on: the colors are on the captured objects")
        return {"FINISHED"}


class SPLATWRIGHT_OT_clear_coverage(bpy.types.Operator):
    """Remove the coverage colors from all meshes"""

    bl_idname = "splatwright.clear_coverage"
    bl_label = "Clear Coverage"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    def execute(self, context: Context) -> set[str]:
        surface_coverage.clear()
        show_vertex_colors(False)
        return {"FINISHED"}


class SPLATWRIGHT_OT_suggest_cameras(bpy.types.Operator):
    """Add cameras that see what too few cameras of the dataset see"""

    bl_idname = "splatwright.suggest_cameras"
    bl_label = "Suggest Cameras"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    count: IntProperty(name="Count", default=6, min=1, soft_max=30, max=64, description="How many cameras at most")
    with_dataset: BoolProperty(
        name="With the Dataset's", default=True,
        description="Add the dataset's own cameras too, so that one capture of the selected cameras has all",
    )

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        dataset = scene_dataset(context)
        cameras = [view.camera for view in dataset.train_views]
        with originals_visible(context):
            poses = self._poses(context, dataset, cameras)
        if not poses:
            self.report({"INFO"}, "The cameras cover everything that can be seen")
            return {"FINISHED"}
        for item in context.selected_objects:
            item.select_set(False)
        surface_coverage.place_cameras(context.scene, cameras[0], poses, "Suggested")
        if self.with_dataset:
            surface_coverage.place_cameras(context.scene, cameras[0], [view.camera.camera_to_world for view in dataset.views], "Dataset")
        scene_settings(context.scene).capture.source = "SELECTED"
        self.report({"INFO"}, tr("{count} cameras suggested", count=len(poses)))
        return {"FINISHED"}

    def _poses(self, context: Context, dataset: Dataset, cameras: list[Camera]) -> list[np.ndarray]:
        """By the scene's meshes; by the start points of photos."""
        if any(item.type == "MESH" and item.visible_get() for item in context.view_layer.objects):
            return surface_coverage.better_poses(context, surface_coverage.visible_surfaces(context), cameras, self.count)
        if not dataset.points:
            raise UserError("There are neither meshes nor start points to cover.", "Open the scene that the dataset was captured from.",
                            "check.nothing_to_cover")
        points = dataset.points.positions[:: max(1, len(dataset.points) // START_POINTS)].astype(float)
        return suggested_poses(points, view_counts(points, cameras), cameras, most=self.count)


register, unregister = classes_factory((
    SPLATWRIGHT_OT_check_dataset, SPLATWRIGHT_OT_show_contact_sheet, SPLATWRIGHT_OT_exclude_images, SPLATWRIGHT_OT_include_images,
    SPLATWRIGHT_OT_relight, SPLATWRIGHT_OT_show_coverage, SPLATWRIGHT_OT_clear_coverage, SPLATWRIGHT_OT_suggest_cameras))

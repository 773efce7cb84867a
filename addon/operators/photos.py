"""Posed photos in the scene: import a dataset, look through its photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ...engine.core.datasets.dataset import Dataset
from ...engine.core.datasets.read import read_dataset
from ...engine.core.errors import UserError
from ..photos.look_through import chosen_camera, is_photo, look_through
from ..photos.posed_photos import import_photos, photo_cameras
from ..properties.paths import absolute_folder
from ..translations import tr
from ..typed import Context, OperatorMixin, layout_of, scene_settings, splat_settings
from .menus import register_with_menus
from .reporting import reports_user_errors
from .selected import select_alone


class SPLATWRIGHT_OT_import_photos(bpy.types.Operator):
    """Import cameras, photos and points of a dataset: nerfstudio, COLMAP, RealityScan, Metashape, Polycam, OpenSfM, LLFF; or a ZIP"""

    bl_idname = "splatwright.import_photos"
    bl_label = "Import Posed Photos"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    directory: StringProperty(name="Dataset", subtype="DIR_PATH", options={"SKIP_SAVE"}, description="Folder with photos and their cameras")
    filepath: StringProperty(subtype="FILE_PATH", options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})
    filter_glob: StringProperty(default="*.json;*.txt;*.csv;*.xml;*.npy;*.zip", options={"HIDDEN"})

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        source = self._chosen()
        dataset = read_dataset(source)
        root = import_photos(dataset, source)
        scene_settings(context.scene).train.dataset = splat_settings(root).dataset
        if context.mode == "OBJECT":
            select_alone(context, root)
        self._report(dataset)
        return {"FINISHED"}

    def _chosen(self) -> Path:
        """A camera file where one is chosen, else the folder."""
        file = Path(bpy.path.abspath(self.filepath)) if self.filepath else None
        return file if file is not None and file.is_file() else absolute_folder(self.directory)

    def _report(self, dataset: Dataset) -> None:
        views, missing = dataset.views, dataset.missing
        if missing:
            self.report({"WARNING"}, tr("{count} photos have a camera but are not there: {missing}", count=len(missing),
                                        missing=", ".join(missing[:3])))
        if any(view.camera.distortion for view in views):
            self.report({"WARNING"}, "The photos have lens distortion: towards their edges they fit the scene a little less")
        cuts = sum(bool(view.face) for view in views)
        if cuts:
            self.report({"INFO"}, tr("{cuts} photos are cuts of panoramas, which are not shown behind their cameras", cuts=cuts))
        if dataset.unpacked_to:
            self.report({"INFO"}, tr("The ZIP was unpacked into {unpacked_to}", unpacked_to=dataset.unpacked_to))
        flat = sum(view.camera.orthographic for view in views)
        if flat:
            self.report({"WARNING"}, tr("{flat} orthographic views were left out", flat=flat))
        self.report({"INFO"}, tr("{count} photos imported", count=len(views) - flat))


def _photo_items(operator: bpy.types.Operator, context: Any) -> list[tuple[str, str, str]]:
    cameras = photo_cameras(context.scene.objects) if context else []
    photos = [splat_settings(camera).photo for camera in cameras]
    _items[:] = [(photo, photo, tr("Look through {photo}", photo=photo)) for photo in photos]
    return _items


_items: list[tuple[str, str, str]] = []
"""Blender keeps no copy of the strings of a menu that is made on the fly."""


class _LooksThrough(OperatorMixin):
    """Mixed into operators that look through a photo."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        if any(is_photo(found) for found in context.scene.objects):
            return True
        cls.poll_message_set("Import posed photos first")
        return False

    def look(self, context: Context, camera: bpy.types.Object) -> set[str]:
        """Look through a camera, in the viewport that was clicked in."""
        look_through(context.scene, camera, context.area)
        self.report({"INFO"}, splat_settings(camera).photo)
        return {"FINISHED"}


class SPLATWRIGHT_OT_look_through_photo(_LooksThrough, bpy.types.Operator):
    """See the scene through the camera of a photo, with the photo behind it: the selected camera, or the next or previous photo"""

    bl_idname = "splatwright.look_through_photo"
    bl_label = "Look Through Photo"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    step: IntProperty(name="Step", default=0, description="How many photos further; 0: the active camera, or the photo that was seen last")
    photo: StringProperty(name="Photo", options={"SKIP_SAVE"}, description="Name of the photo; empty: by the step")

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        return self.look(context, chosen_camera(context.scene, context.active_object, self.step, self.photo))


class SPLATWRIGHT_OT_choose_photo(_LooksThrough, bpy.types.Operator):
    """Search for a photo by its name and look through it"""

    bl_idname = "splatwright.choose_photo"
    bl_label = "Choose Photo"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}
    bl_property = "photo"

    photo: EnumProperty(name="Photo", items=_photo_items)

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.invoke_search_popup(self)
        return {"FINISHED"}

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        if not self.photo:
            raise UserError("No photo was chosen.", "Choose one of the list.", "photos.no_choice")
        return self.look(context, chosen_camera(context.scene, None, photo=self.photo))


def _import_entry(menu: bpy.types.Menu, context: Context) -> None:
    layout_of(menu).operator(SPLATWRIGHT_OT_import_photos.bl_idname, text="Posed Photos (COLMAP, nerfstudio)")


register, unregister = register_with_menus(
    (SPLATWRIGHT_OT_import_photos, SPLATWRIGHT_OT_look_through_photo, SPLATWRIGHT_OT_choose_photo),
    {"TOPBAR_MT_file_import": _import_entry})

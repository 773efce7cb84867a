"""Splat files loaded while the interface goes on: read in a thread, then brought into the scene attribute by attribute."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, StringProperty

from ...engine.core.errors import UserError
from ...engine.core.formats.registry import read_splats
from ...engine.core.formats.splat_file import SplatFile, left_behind
from ..splats.extras import EXTRA, rounded_extras
from ..splats.importing import placing_steps, stamp_of
from ..translations import tr
from ..typed import Context, classes_factory
from ..ui.steps import Steps, advance, in_thread
from .export import AXES
from .reporting import report_error
from .selected import select_alone
from .stepped import Stepped

AUTO = ("AUTO", "Automatic", "As the file says; where it says nothing SuperSplat's axes, for SPZ OpenGL's")
TICK_SECONDS = 0.02
STEP_SECONDS = 0.01
"""So long a tick works on the import before Blender goes on; a step more may follow."""

NAVIGATION = frozenset({"MOUSEMOVE", "INBETWEEN_MOUSEMOVE", "MIDDLEMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE", "TRACKPADPAN", "TRACKPADZOOM",
                        "MOUSEROTATE", "MOUSESMARTZOOM", "NDOF_MOTION"})
"""Events that turn and move views, and change nothing of the scene."""

Loading = Steps[list[bpy.types.Object]]


class ImportProperties:
    """What an import is told, the same for all operators that do it."""

    filepath: StringProperty(name="File", subtype="FILE_PATH", options={"SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    axes: EnumProperty(name="Axes", items=(AUTO, *AXES), default="AUTO", description="Orientation of the file")
    link: BoolProperty(
        name="Link", description="Leave the splats in their file: the .blend stays small, and changes on the disk are seen at once",
    )
    linear_scales: BoolProperty(
        name="Scales Are Linear", description="The file's sizes are lengths instead of the logarithms that splat files hold",
        options={"SKIP_SAVE"},
    )

    def paths(self) -> list[Path]:
        """The chosen files."""
        names = [found.name for found in self.files if found.name]
        return [Path(bpy.path.abspath(self.directory)) / name for name in names] or [Path(bpy.path.abspath(self.filepath))]


class SPLATWRIGHT_OT_load_splats(ImportProperties, Stepped, bpy.types.Operator):
    """Load splat files with a progress bar; Esc stops it"""

    bl_idname = "splatwright.load_splats"
    bl_label = "Load Splats"
    bl_options: ClassVar[set[str]] = {"INTERNAL", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        if cls.progress is not None:
            cls.poll_message_set("Splats are being imported: press Esc to stop it")
        return cls.progress is None

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        self.start(context, loading_steps(self, self.paths(), self.axes, self.link, self.linear_scales))
        return {"RUNNING_MODAL"}

    def start(self, context: Context, steps: Loading) -> None:
        """Let a timer drive `steps`."""
        self._show(context, 0.0)
        self.begin(context, steps, TICK_SECONDS)

    def modal(self, context: Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC":
            self.cancel(context)
            self.report({"WARNING"}, "Import stopped")
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"PASS_THROUGH" if event.type in NAVIGATION else "RUNNING_MODAL"}
        try:
            share = advance(self._steps, STEP_SECONDS)
            if share is not None:
                self._show(context, share)
            return {"RUNNING_MODAL"}
        except StopIteration as end:
            self.cancel(context)
            return finish_import(context, end.value)
        except BaseException:
            self.cancel(context)
            raise

    def _show(self, context: Context, share: float) -> None:
        self.show(context, share, tr("importing splats, {share:.0%}", share=share) if share else "reading splats")


def loading_steps(operator: Any, paths: list[Path], axes: Any, link: bool, linear_scales: bool = False) -> Loading:
    """Load the files one after the other, in steps of each; what is sound comes in, the rest gets its sentence.

    The operator reports. Closed early, the file at hand leaves nothing behind.
    """
    made = []
    for path in paths:
        stamp = stamp_of(path) if link else ""
        try:
            found = yield from in_thread(partial(read_splats, path, axes, linear_scales))
            made.append((yield from placing_steps(path, found, axes, stamp, linear_scales)))
        except UserError as error:
            report_error(operator, error)
            continue
        report_import(operator, found)
    return made


def finish_import(context: Context, made: list[bpy.types.Object]) -> set[str]:
    """Select what came in; the operator's result."""
    if made and context.mode == "OBJECT":
        select_alone(context, *made)
    return {"FINISHED"} if made else {"CANCELLED"}


def report_import(operator: Any, found: SplatFile) -> None:
    """Say what came in, what was left behind, and what is strange about it."""
    for sentence in left_behind(found):
        operator.report({"WARNING"}, sentence)
    if rounded := rounded_extras(found.extra):
        operator.report({"WARNING"}, tr("Blender keeps seven digits of what the file holds in double precision: {rounded}",
                                        rounded=", ".join(rounded)))
    kept = tr(", with attributes {extra_names}",
              extra_names=", ".join(EXTRA.format(name) for name in found.extra_names)) if found.extra_names else ""
    operator.report({"INFO"}, tr("Imported {count:,} splats{kept}", count=len(found.gaussians), kept=kept))


register, unregister = classes_factory((SPLATWRIGHT_OT_load_splats,))

"""Help: the page of the guide about a panel."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..typed import Context, classes_factory, operators
from ..ui.guide import page


class SPLATWRIGHT_OT_open_guide(bpy.types.Operator):
    """Show the page of the guide about this panel, in the browser. It lies in the extension and needs no network"""

    bl_idname = "splatwright.open_guide"
    bl_label = "Open Guide"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    page: bpy.props.StringProperty(name="Page", default="index", options={"SKIP_SAVE"})

    def execute(self, context: Context) -> set[str]:
        return operators().wm.url_open(url=page(self.page).as_uri())


register, unregister = classes_factory((SPLATWRIGHT_OT_open_guide,))

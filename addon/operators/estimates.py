"""Estimate a training before it begins, end the estimate, and take over the settings that make it fit."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import IntProperty

from ...engine.core.errors import UserError
from ...engine.core.protocol.estimate_text import sentence
from ..jobs import estimate
from ..typed import Context, classes_factory
from .reporting import reports_user_errors
from .starting import StartsInquiry


class SPLATWRIGHT_OT_estimate(StartsInquiry, bpy.types.Operator):
    """Run about fifty steps to estimate the minutes, memory and disk that the whole training takes"""

    bl_idname = "splatwright.estimate"
    bl_label = "Estimate"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    def begin(self, context: Context) -> estimate.Estimate:
        return estimate.start(context.scene)

    def wait(self, inquiry: estimate.Estimate) -> None:
        estimate.wait(inquiry)

    def answer(self, inquiry: estimate.Estimate) -> str:
        return sentence(inquiry.found) if inquiry.found else ""


class SPLATWRIGHT_OT_stop_estimate(bpy.types.Operator):
    """Stop the estimate"""

    bl_idname = "splatwright.stop_estimate"
    bl_label = "Stop Estimate"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: Context) -> set[str]:
        estimate.forget()
        return {"FINISHED"}


class SPLATWRIGHT_OT_apply_settings(bpy.types.Operator):
    """Change the settings of the training to those that fit"""

    bl_idname = "splatwright.apply_settings"
    bl_label = "Use Settings That Fit"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    finding: IntProperty(name="Finding", min=0, options={"SKIP_SAVE"})

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        made = estimate.current(context.scene)
        if made is None or self.finding >= len(made.findings):
            raise UserError("There is no such estimate any more.", "Estimate again.", "estimate.gone")
        estimate.apply(context.scene, made.findings[self.finding])
        return {"FINISHED"}


register, unregister = classes_factory(
    (SPLATWRIGHT_OT_estimate, SPLATWRIGHT_OT_stop_estimate, SPLATWRIGHT_OT_apply_settings))

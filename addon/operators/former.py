"""Operators under their former names, for scripts, keymaps and menus that call them. Searches and menus do not show them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, get_type_hints

import bpy

from ...engine.core.former_names import OPERATORS, OPERATORS_GONE
from ..typed import Context, operators

PREFIX = "splatwright."


def former_operator(former: str, current: type[bpy.types.Operator]) -> type[bpy.types.Operator]:
    """A class for the former name, with the properties, options and poll() of `current`, which it calls."""
    call = getattr(operators().splatwright, current.bl_idname.removeprefix(PREFIX))
    properties = {name: kind for name, kind in get_type_hints(current).items() if hasattr(kind, "keywords")}

    def execute(self: Any, context: Context) -> set[str]:
        return _forward(self, functools.partial(call, "EXEC_DEFAULT"), properties)

    def invoke(self: Any, context: Context, event: bpy.types.Event) -> set[str]:
        return _forward(self, functools.partial(call, "INVOKE_DEFAULT"), properties)

    return type(f"SPLATWRIGHT_OT_{former}", (bpy.types.Operator,), {
        "__annotations__": properties, "__doc__": f"Former name of {current.bl_idname}", "__module__": __name__,
        "bl_idname": PREFIX + former, "bl_label": current.bl_label, "bl_options": current.bl_options | {"INTERNAL"},
        "poll": classmethod(lambda kind, context: call.poll()), "execute": execute, "invoke": invoke})


def _forward(operator: bpy.types.Operator, call: Callable[..., set[str]], properties: dict[str, Any]) -> set[str]:
    """Call the current operator with the properties that the caller has set; its error becomes this operator's."""
    given = {name: getattr(operator, name) for name in properties if operator.properties.is_property_set(name)}
    try:
        result = call(**given)
    except RuntimeError as error:
        operator.report({"ERROR"}, str(error).removeprefix("Error: ").strip())
        return {"CANCELLED"}
    return {"FINISHED"} if "FINISHED" in result else {"CANCELLED"}  # a dialog or a modal operator goes on by itself


def needless_operator(former: str, sentence: str) -> type[bpy.types.Operator]:
    """A class for an operator that has nothing to do any more: it says so."""
    def execute(self: Any, context: Context) -> set[str]:
        self.report({"INFO"}, sentence)
        return {"FINISHED"}

    return type(f"SPLATWRIGHT_OT_{former}", (bpy.types.Operator,), {
        "__doc__": sentence, "__module__": __name__, "bl_idname": PREFIX + former, "bl_label": former.replace("_", " ").title(),
        "bl_options": {"INTERNAL"}, "execute": execute})


_registered: list[type[bpy.types.Operator]] = []


def register() -> None:
    """After all other operators."""
    _registered.extend(former_operator(former, getattr(bpy.types, f"SPLATWRIGHT_OT_{current}")) for former, current in OPERATORS.items())
    _registered.extend(needless_operator(former, sentence) for former, sentence in OPERATORS_GONE.items())
    for kind in _registered:
        bpy.utils.register_class(kind)


def unregister() -> None:
    while _registered:
        bpy.utils.unregister_class(_registered.pop())

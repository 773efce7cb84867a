"""Scripts of version 0.1 call operators by the names and properties that it had."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.untyped import bpy

from .conftest import REPOSITORY, module
from .splats.splat_samples import some_gaussians
from .splats.test_transforms import apply_as_blender_does, put, splats

NAMES = json.loads((REPOSITORY / "tests/fixtures/version_0_1/names.json").read_text(encoding="utf-8"))["operators"]
FORMER = module("engine.core.former_names").OPERATORS


def operator(name: str) -> Any:
    return getattr(bpy.ops.splatwright, name.removeprefix("splatwright."))


@pytest.mark.parametrize("name", NAMES)
def test_operators_of_version_0_1_are_there(name: str) -> None:
    assert name.removeprefix("splatwright.") in dir(bpy.ops.splatwright)
    found = operator(name).get_rna_type().properties
    for prop, before in NAMES[name].items():
        now = found[prop]
        assert now.type == before["type"], prop
        if before["type"] == "ENUM" and before["items"] != "dynamic":
            assert {item.identifier for item in now.enum_items} >= set(before["items"]) and now.default == before["default"]
        elif prop == "filter_glob":
            assert {*now.default.split(";")} >= {*before["default"].split(";")}
        elif before["type"] in ("BOOLEAN", "INT", "FLOAT", "STRING"):
            assert (list(now.default_array) if isinstance(before["default"], list) else now.default) == pytest.approx(before["default"])


@pytest.mark.parametrize(("former", "current"), FORMER.items())
def test_former_names_are_hidden_and_of_version_0_1(former: str, current: str) -> None:
    assert f"splatwright.{former}" in NAMES and current not in FORMER
    kinds = [getattr(bpy.types, f"SPLATWRIGHT_OT_{name}") for name in (former, current)]
    assert kinds[0].bl_options == kinds[1].bl_options | {"INTERNAL"} and kinds[0].bl_label == kinds[1].bl_label


def test_a_former_name_does_what_the_current_one_does(fresh_scene: bpy.types.Scene) -> None:
    bpy.context.preferences.edit.use_global_undo = True
    made, unapplied = put(splats(some_gaussians())), module("addon.splats.unapplied_transform")
    apply_as_blender_does(made)
    bpy.ops.ed.undo_push(message="Before")
    assert unapplied.has_unapplied_transform(made)
    assert bpy.ops.splatwright.fix_unapplied_transform("EXEC_DEFAULT", True) == {"FINISHED"}
    assert not unapplied.has_unapplied_transform(made)
    with pytest.raises(RuntimeError, match=r"^Error: The splats of .* fit their points"):
        bpy.ops.splatwright.fix_unapplied_transform()
    bpy.ops.ed.undo()
    assert unapplied.has_unapplied_transform(bpy.data.objects["Splats"])


def test_a_former_name_can_be_called_when_the_current_one_can(fresh_scene: bpy.types.Scene) -> None:
    assert not bpy.ops.splatwright.delete_remote_job.poll() and not bpy.ops.splatwright.fix_unapplied_transform.poll()
    splats(some_gaussians())
    assert bpy.ops.splatwright.fix_unapplied_transform.poll()


def test_properties_are_passed_on(fresh_scene: bpy.types.Scene) -> None:
    assert bpy.ops.splatwright.add_engine() == {"FINISHED"}
    number = module("addon.engines.locations").preferences().engines[-1].number
    assert bpy.ops.splatwright.test_remote_engine(number=number) == {"FINISHED"}
    assert bpy.ops.splatwright.test_remote_engine(number=number + 1) == {"CANCELLED"}, "there is no such engine"
    bpy.ops.splatwright.remove_engine(number=number)

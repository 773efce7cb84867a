"""Scenes, properties and names of version 0.1.0 in this Blender."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.names_version_0_1 import entries, properties, subclasses
from tests.untyped import bpy

from ..conftest import EXTENSION, module

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "version_0_1"
NAMES: dict[str, Any] = json.loads((FIXTURES / "names.json").read_text(encoding="utf-8"))
SCENE: dict[str, Any] = json.loads((FIXTURES / "scene_4_5.json").read_text(encoding="utf-8"))
STATE = {"stamp", "checksum"}
"""Of linked splats: they hold the whole path and the time of the file."""


def ours(base: str) -> set[type]:
    """Registered classes of the extension."""
    return {kind for kind in subclasses(getattr(bpy.types, base)) if kind.__module__.startswith(f"{EXTENSION}.") and kind.is_registered}


@pytest.mark.parametrize("group", NAMES["property_groups"])
def test_registered_properties_are_those_of_before(group: str) -> None:
    """New ones may come; type, default and choices of the others stay, because files hold them."""
    kinds = {kind.__name__: kind for base in ("PropertyGroup", "AddonPreferences") for kind in ours(base)}
    now = properties(kinds[group])
    for name, known in NAMES["property_groups"][group].items():
        choices = known.get("items")
        if isinstance(choices, list):
            assert set(choices) <= set(now[name]["items"])
        assert {**now[name], "items": choices} == {**known, "items": choices}, name


def test_properties_lie_where_they_lay() -> None:
    for place, group in NAMES["property_places"].items():
        kind, _, name = place.partition(".")
        assert getattr(bpy.types, kind).bl_rna.properties[name].fixed_type.identifier == group


@pytest.mark.parametrize("base", NAMES["classes"])
def test_panels_and_their_like_have_their_names(base: str) -> None:
    assert set(NAMES["classes"][base]) <= {getattr(kind, "bl_idname", "") or kind.__name__ for kind in ours(base)}


@pytest.mark.parametrize("panel", NAMES["panels"])
def test_panels_lie_where_they_lay(panel: str) -> None:
    kind = getattr(bpy.types, panel)
    assert {name: getattr(kind, f"bl_{name}", "") for name in NAMES["panels"][panel]} == NAMES["panels"][panel]


@pytest.mark.parametrize("menu", NAMES["menus"])
def test_menus_call_what_they_called(menu: str) -> None:
    now = {entry["operator"] for entry in entries(getattr(bpy.types, menu), EXTENSION)}
    assert {entry["operator"] for entry in NAMES["menus"][menu]} <= now


def test_commands_of_blender() -> None:
    assert NAMES["blender_commands"] == [module("engine.core.protocol.capture_messages").COMMAND]


def test_names_in_files_are_those_of_before() -> None:
    splats, material, crop, nodes = (module(f"addon.splats.{name}") for name in ("packing", "material", "crop", "crop_nodes"))
    thinning, extras = module("addon.splats.thinning"), module("addon.splats.extras")
    photos, coverage = module("addon.photos.posed_photos"), module("addon.capture.surface_coverage")
    stored = NAMES["stored"]
    assert stored["attributes"] == [
        splats.POSITION, splats.ROTATION, splats.SCALE, splats.BASE, splats.HARMONIC, splats.LOGIT, splats.LOG_SCALE, splats.LENGTH,
        splats.REST, material.TURN, "radius", extras.EXTRA]
    assert stored["other_attributes"] == [photos.COLOR, coverage.ATTRIBUTE]
    assert stored["materials"] == [*material.NAMES.values(), photos.MATERIAL]
    assert stored["node_groups"] == [nodes.NAME, thinning.GROUP] and stored["modifiers"] == [nodes.NAME, thinning.MODIFIER]
    assert set(stored["custom_properties"]["NodeTree"]) == {nodes.MARK} and set(stored["custom_properties"]["Object"]) == {crop.BOX}
    assert stored["collections"] == [coverage.COLLECTION]
    assert stored["objects"] == [
        module("addon.jobs.training_results").NAME, module("addon.capture.instant_splats").NAME, "Crop Box", photos.POINTS,
        module("addon.capture.relight").SUN, module("addon.capture.shots").RIG_CAMERA]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The scene of version 0.1.0, beside what it names."""
    folder = tmp_path_factory.mktemp("old")
    for name in ("dataset", "finished.job", "batch"):
        shutil.copytree(FIXTURES / name, folder / name)
    for name in ("linked.ply", "scene_4_5.blend"):
        shutil.copy(FIXTURES / name, folder / name)
    bpy.ops.wm.open_mainfile(filepath=str(folder / "scene_4_5.blend"))
    yield folder
    bpy.ops.wm.read_homefile(use_empty=True)


def found_in(settings: bpy.types.PropertyGroup, expected: dict[str, Any]) -> dict[str, Any]:
    """The values of a property group that version 0.1.0 knew too."""
    return {name: plain(getattr(settings, name), known) for name, known in expected.items()}


def plain(value: Any, known: Any) -> Any:
    """A value as JSON has it; data of Blender by its name."""
    if isinstance(value, bpy.types.PropertyGroup):
        return found_in(value, known)
    if isinstance(value, bpy.types.ID):
        return value.name
    if isinstance(known, list):
        return [plain(item, expected) for item, expected in zip(value, known, strict=True)]
    return pytest.approx(value, abs=2e-6) if isinstance(value, float) else value


@pytest.mark.parametrize("name", SCENE["scenes"])
def test_settings_of_a_scene(opened: Path, name: str) -> None:
    expected = SCENE["scenes"][name]["splatwright"]
    assert found_in(bpy.data.scenes[name].splatwright, expected) == expected


def test_settings_make_the_training_that_they_made(opened: Path) -> None:
    train = bpy.data.scenes["Layout"].splatwright.train
    assert not train.trial and not train.pause_when_sick
    config = train.to_config()
    assert not config.smoke_test and not config.pause_on_failure and config.max_steps == 3001


@pytest.mark.parametrize("name", SCENE["objects"])
def test_an_object(opened: Path, name: str) -> None:
    found, expected = bpy.data.objects[name], SCENE["objects"][name]
    assert (found.type, found.parent and found.parent.name) == (expected["type"], expected["parent"])
    assert [*found.location, *found.scale] == pytest.approx([*expected["location"], *expected["scale"]], abs=2e-6)
    assert {key: found[key] for key in expected["custom"]} == expected["custom"]
    assert found_in(found.splatwright, expected["splatwright"]) == expected["splatwright"]
    assert [(modifier.name, modifier.type, modifier.node_group.name, modifier.show_render) for modifier in found.modifiers] == [
        (known["name"], known["type"], known["node_group"], known["show_render"]) for known in expected["modifiers"]]


@pytest.mark.parametrize("name", [name for name, known in SCENE["objects"].items() if known["type"] == "POINTCLOUD"])
def test_points_of_an_object(opened: Path, name: str) -> None:
    found, expected = bpy.data.objects[name], SCENE["objects"][name]
    read = module("addon.splats.attributes").read_layer
    assert len(found.data.points) == expected["points"]
    assert [material.name for material in found.data.materials] == expected["materials"]
    for attribute, known in expected["attributes"].items():
        if known["first"] is not None:
            assert found.data.attributes[attribute].domain == known["domain"]
            assert read(found.data, attribute)[0].tolist() == pytest.approx(known["first"], abs=2e-6), attribute
    if "seen" in expected:
        seen = module("addon.splats.splat_object").gaussians_from_object(found, bpy.context.evaluated_depsgraph_get())
        assert len(seen) == expected["seen"]


def test_materials_and_nodes(opened: Path) -> None:
    for kind, group in (("materials", bpy.data.materials), ("node_groups", bpy.data.node_groups)):
        for name, custom in SCENE[kind].items():
            assert {key: group[name][key] for key in custom} == custom, name


def test_an_inverted_crop_box_still_crops(opened: Path) -> None:
    crop = module("addon.splats.crop")
    cropped = bpy.data.objects["Cropped"]
    (modifier,) = cropped.modifiers
    assert bpy.data.objects["Crop Box"][crop.BOX] and modifier.node_group[module("addon.splats.crop_nodes").MARK] == 1

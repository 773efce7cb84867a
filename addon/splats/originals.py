"""Originals: the objects of a scene that its splats were captured from. They stand where the splats are and would cover them, so they
are hidden, in viewports and in renders, while such splats are in the scene and its Show Originals is off.

Blender's own switches Disable in Viewports and Disable in Renders hide them: undo, files, renders and a Blender without the extension
agree about these. What stood in the switches before is kept on each object, so whatever is undone, opened or deleted, settle() finds
out by the data alone what belongs hidden.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np

from ...engine.core.text import named, phrase
from ..typed import current_context, original_settings, scene_settings, splat_settings, untyped
from ..ui.background import start_timer, stop_timers
from ..ui.handlers import add_handlers, remove_handlers
from ..ui.notice import inform
from .instances import objects_with_splats
from .splat_object import is_splat_object

GEOMETRY = ("MESH", "CURVE", "SURFACE", "META", "FONT", "CURVES", "POINTCLOUD", "VOLUME", "GREASEPENCIL")
SWITCHES = ("hide_viewport", "hide_render")
HIDDEN = "The captured objects are hidden, in viewports and in renders: Show Originals in the panels Train and Splats brings them back"

_visible_again = 0
"""How many originals_visible() are under way."""

_before_undo: tuple[dict[int, str], set[int]] = ({}, set())
"""By scene: the dataset of its last capture; and the objects that captures have shown."""

_seen: tuple[Any, ...] = ()
"""What the scenes held at the last update: settle() is needed only when objects come or go, or an editor is left."""


def has_geometry(item: bpy.types.Object) -> bool:
    """Whether there is something of an object to see."""
    return item.type in GEOMETRY


def counts_as_visible(item: bpy.types.Object, layer: bpy.types.ViewLayer) -> bool:
    """Whether a view layer shows an object, or would if it were not hidden for its splats."""
    if item.visible_get(view_layer=layer):
        return True
    hidden = is_hidden_original(item) and not original_settings(item).before[0]
    return hidden and layer.objects.get(item.name) == item and not item.hide_get(view_layer=layer)


def counts_as_rendered(item: bpy.types.Object) -> bool:
    """Whether renders show an object, or would if it were not hidden for its splats."""
    return not item.hide_render or (is_hidden_original(item) and not original_settings(item).before[1])


def is_hidden_original(item: bpy.types.Object) -> bool:
    """Whether an object is hidden for its splats."""
    return original_settings(item).hidden and any(getattr(item, name) for name in SWITCHES)


def hidden_originals(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The objects of a scene that are hidden for its splats."""
    return [item for item in scene.objects if is_hidden_original(item)]


def selected_originals(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The hidden originals that were selected when they were hidden, which ends a selection."""
    return [item for item in scene.objects if original_settings(item).hidden and original_settings(item).selected]


def rendered_objects(view_layer: bpy.types.ViewLayer, depsgraph: bpy.types.Depsgraph) -> list[bpy.types.Object]:
    """What renders of a view layer show: objects with geometry and those that make instances, but none that shows splats.

    Hidden originals are there only within originals_visible().
    """
    splats = objects_with_splats(depsgraph)
    found = dict.fromkeys(_in_renders(view_layer.layer_collection))
    return [item for item in found if not item.hide_render and item not in splats and not is_splat_object(item)
            and (has_geometry(item) or item.instance_collection is not None)]


def remember_originals(scene: bpy.types.Scene, captured: Collection[str]) -> None:
    """Note the full names of the objects of a scene that its last capture showed: whatever they are called later, they are these."""
    for item in scene.objects:
        if original_settings(item).captured != (item.name_full in captured):
            original_settings(item).captured = item.name_full in captured


def hide_originals_of(splats: bpy.types.Object) -> None:
    """Splats of their scene's captured objects have come: hide these, unless Show Originals is on. Pushes no undo step."""
    splat_settings(splats).of_originals = True
    if settle():
        inform(HIDDEN)


def settle() -> bool:
    """Hide or show the originals of every scene as their splats and Show Originals ask for; whether any were hidden.

    One that the user has shown by hand stays so until Show Originals was switched.
    """
    if _visible_again:
        return False
    scenes = [scene for scene in bpy.data.scenes if scene.library is None]
    hiding = [scene for scene in scenes if not scene_settings(scene).show_originals and _has_splats_of_originals(scene)]
    elsewhere = {item for scene in scenes if scene not in hiding for item in scene.objects}
    wanted = {item: _obstacle(item, elsewhere) for scene in hiding for item in scene.objects if original_settings(item).captured}
    _show([item for item in bpy.data.objects if item.library is None and original_settings(item).hidden and wanted.get(item, "gone")])
    to_hide = [item for item, obstacle in wanted.items() if not obstacle and not original_settings(item).hidden and item.mode == "OBJECT"]
    _hide(to_hide)
    for scene in hiding:
        _note_obstacles(scene, wanted)
    return bool(to_hide)


@contextmanager
def originals_visible(context: Any) -> Iterator[None]:
    """The originals of the scene that is shown are as visible inside this context as they were before they were hidden."""
    global _visible_again
    scene: bpy.types.Scene = context.scene
    again = {item.session_uid for item in hidden_originals(scene)}
    _visible_again += 1
    try:
        _switch({item: tuple(original_settings(item).before) for item in scene.objects if item.session_uid in again})
        context.view_layer.update()
        yield
    finally:
        _visible_again -= 1
        _switch({item: (True, True) for item in scene.objects if item.session_uid in again and original_settings(item).hidden})
        settle()


def _has_splats_of_originals(scene: bpy.types.Scene) -> bool:
    return any(item.type == "POINTCLOUD" and splat_settings(item).of_originals for item in scene.objects)


def _in_renders(layer: bpy.types.LayerCollection) -> Iterator[bpy.types.Object]:
    if not layer.exclude and not layer.collection.hide_render:
        yield from layer.collection.objects
        for child in layer.children:
            yield from _in_renders(child)


def _obstacle(item: bpy.types.Object, elsewhere: set[bpy.types.Object]) -> str:
    """Why an original cannot be hidden; empty when it can."""
    if item.library is not None:
        return phrase("they belong to another file")
    if item in elsewhere:
        return phrase("other scenes show them too")
    return phrase("their visibility is animated") if _is_animated(item) else ""


def _is_animated(item: bpy.types.Object) -> bool:
    """Whether keys or drivers switch an object's visibility."""
    animation = item.animation_data
    if animation is None:
        return False
    actions = [animation.action, *(strip.action for track in animation.nla_tracks for strip in track.strips)]
    curves = [curve for action in actions if action is not None for curve in _curves(action)]
    return any(curve.data_path in SWITCHES for curve in (*animation.drivers, *curves))


def _curves(action: bpy.types.Action) -> Iterator[bpy.types.FCurve]:
    for layer in action.layers:
        for strip in layer.strips:
            for bag in untyped(strip).channelbags:
                yield from bag.fcurves


def _note_obstacles(scene: bpy.types.Scene, wanted: dict[bpy.types.Object, str]) -> None:
    """Keep in the scene the sentences about its originals that stay visible."""
    names: dict[str, list[str]] = {}
    for item in scene.objects:
        if wanted.get(item):
            names.setdefault(wanted[item], []).append(item.name)
    sentence = " ".join(phrase(f"Not hidden, for {why}: {named(known)}.") for why, known in names.items())
    if scene_settings(scene).not_hidden != sentence:
        scene_settings(scene).not_hidden = sentence


def _hide(items: Sequence[bpy.types.Object]) -> None:
    selected = set(current_context().view_layer.objects.selected)
    for item in items:
        settings = original_settings(item)
        settings.before, settings.selected, settings.hidden = (item.hide_viewport, item.hide_render), item in selected, True
    _switch(dict.fromkeys(items, (True, True)))


def _show(items: Sequence[bpy.types.Object]) -> None:
    """Bring back what stood in the switches; those that the user has switched since stay as they are."""
    before = {item: original_settings(item).before for item in items}
    for item in items:
        original_settings(item).hidden = False
    _switch({item: (item.hide_viewport and viewports, item.hide_render and renders) for item, (viewports, renders) in before.items()})


def _switch(wanted: Mapping[bpy.types.Object, tuple[bool, ...]]) -> None:
    """Set the switches of objects together: after each that is set by itself Blender goes through all view layers."""
    changed = {item: values for item, values in wanted.items() if (item.hide_viewport, item.hide_render) != values}
    if not changed:
        return
    everything = untyped(bpy.data.objects)
    uids = np.empty(len(everything), np.int32)
    everything.foreach_get("session_uid", uids)
    rows = {uid: row for row, uid in enumerate(uids.tolist())}
    for number, name in enumerate(SWITCHES):
        switches = np.empty(len(everything), bool)
        everything.foreach_get(name, switches)
        for item, values in changed.items():
            switches[rows[item.session_uid]] = values[number]
        everything.foreach_set(name, switches)
    for item in changed:
        item.update_tag()
    item = next(iter(changed))
    item.hide_viewport = item.hide_viewport  # now it goes through them


@bpy.app.handlers.persistent
def _on_undo_begins(*_: object) -> None:
    """Remember what undo must not take back: the last capture lies on the disk, and trainings go on with it."""
    global _before_undo
    _before_undo = ({scene.session_uid: scene_settings(scene).captured for scene in bpy.data.scenes},
                    {item.session_uid for item in bpy.data.objects if original_settings(item).captured})


@bpy.app.handlers.persistent
def _on_undo_ended(*_: object) -> None:
    datasets, captured = _before_undo
    for scene in bpy.data.scenes:
        dataset = datasets.get(scene.session_uid, "")
        if dataset and scene_settings(scene).captured != dataset:
            scene_settings(scene).captured = dataset
    for item in bpy.data.objects:
        if item.session_uid in captured and not original_settings(item).captured:
            original_settings(item).captured = True
    settle()


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    settle()


@bpy.app.handlers.persistent
def _on_update(*_: object) -> None:
    global _seen
    if bpy.app.is_job_running("RENDER"):  # its thread calls this too
        return
    now = (current_context().mode, len(bpy.data.objects), *(len(scene.objects) for scene in bpy.data.scenes))
    if now != _seen:
        _seen = now
        settle()


def _settle_later() -> None:
    """While Blender registers an extension its data cannot be read."""
    settle()


_HANDLERS = (("undo_pre", _on_undo_begins), ("redo_pre", _on_undo_begins), ("undo_post", _on_undo_ended), ("redo_post", _on_undo_ended),
             ("load_post", _on_load), ("depsgraph_update_post", _on_update))


def register() -> None:
    add_handlers(_HANDLERS)
    start_timer(_settle_later, 0.1)


def unregister() -> None:
    """Without the extension nothing is hidden."""
    remove_handlers(_HANDLERS)
    stop_timers(_settle_later)
    _show([item for item in bpy.data.objects if item.library is None and original_settings(item).hidden])

"""The panels in every language that the extension has, with a training that the engine has refused."""

from __future__ import annotations

from typing import Any

import bpy as blender
from driver import Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    view = bpy.context.preferences.view
    translations = driver.module("addon.translations")
    known = {entry.identifier for entry in type(view).bl_rna.properties["language"].enum_items} or set(bpy.app.translations.locales)
    driver.answers["without"] = [name for name in translations.LANGUAGES if name not in known]
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(120)
    failed = driver.module("engine.core.protocol.events").Failed
    failure = failed("The computer ran out of memory.", "Lower the resolution or the number of Gaussians, then resume.",
                     "engine.out_of_memory")
    said = {}
    for name in translations.LANGUAGES:
        if name in driver.answers["without"]:
            continue
        view.language = name
        view.use_translate_interface = view.use_translate_tooltips = True
        yield 0.5
        yield from driver.show_job("failed", f"language-{name}", failure=failure, max_steps=1000, step=400)
        said[name] = {
            "button": bpy.app.translations.pgettext_iface("Capture Dataset", "Operator"),
            "label": bpy.app.translations.pgettext_iface("Max Splats"),
            "tooltip": bpy.app.translations.pgettext_tip("Pause the training. Nothing is lost and the processor is free; "
                                                         "a remote engine runs the next training meanwhile"),
            "sentence": translations.spoken(failure),
        }
    view.language = "en_US"
    driver.answers["said"] = said

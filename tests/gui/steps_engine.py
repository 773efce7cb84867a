"""The preferences: the full engine is installed with consent, checks itself and is looked at in every state."""

from __future__ import annotations

import os
from typing import Any

import bpy as blender
from driver import HERE, MODULE, Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    os.environ["PATH"] = f"{HERE}{os.pathsep}{os.environ['PATH']}"  # uv lies beside this file
    yield from driver.install()
    bpy.context.preferences.system.use_online_access = False
    full = driver.module("addon.engines.full_engine")
    area = show_preferences(driver)
    yield 2.0
    yield from driver.picture("engine-absent")
    yield from dialog(driver, area, wheels="")
    yield from driver.picture("engine-consent-offline")
    yield from driver.key("ESC", *middle(area))
    yield from dialog(driver, area, wheels=str(HERE / "wheels"))
    yield from driver.picture("engine-consent")
    yield from driver.key("RET", *middle(area))
    yield from driver.until(full.installation, "the installation")
    found = full.installation()
    yield from driver.until(lambda: found.factor() > 0.1 or not found.running, "packages")
    yield from driver.picture("engine-installing")
    yield from driver.until(lambda: not found.running, "the end of the installation")
    assert found.problem is None, (found.problem, full.folder().log.read_text())
    yield 1.5
    driver.answers["state"] = full.state().value
    driver.answers["python"] = str(driver.module("addon.engines.choice").engine().python)
    status = driver.module("addon.engines.status")
    yield from driver.until(lambda: status.status().state.value in ("ready", "broken"), "the engine's self-check")
    driver.answers["engine"] = status.status().message
    yield from driver.picture("engine-ready")
    yield from checked(driver)
    yield from other_states(driver, area)


def show_preferences(driver: Driver) -> bpy.types.Area:
    """In the place of the viewport, with the extension unfolded."""
    area = driver.viewport
    area.type = "PREFERENCES"
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Splatwright"
    with bpy.context.temp_override(window=driver.window, area=area):
        bpy.ops.preferences.addon_expand(module=MODULE)
    return area


def middle(area: bpy.types.Area) -> tuple[int, int]:
    return area.x + area.width // 2, area.y + area.height // 2


def dialog(driver: Driver, area: bpy.types.Area, wheels: str) -> Steps:
    yield from driver.move(*middle(area))
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=driver.window, area=area, region=region):
        bpy.ops.splatwright.install_engine("INVOKE_DEFAULT", wheels=wheels)
    yield 1.0


def checked(driver: Driver) -> Steps:
    diagnosis = driver.module("addon.engines.self_check")
    bpy.ops.splatwright.self_check()
    yield from driver.until(lambda: diagnosis.result() is not None, "the self-check")
    driver.answers["rows"] = {row.subject: row.state for row in diagnosis.result().rows}
    yield 1.0
    yield from driver.picture("engine-checked")
    bpy.ops.splatwright.copy_self_check()
    driver.answers["copied"] = bpy.context.window_manager.clipboard


def other_states(driver: Driver, area: bpy.types.Area) -> Steps:
    """A newer lock, an interrupted installation, a Python that is gone: made on the disk, as they come about."""
    full = driver.module("addon.engines.full_engine")
    driver.module("addon.engines.self_check").close()
    current = full.folder().current()
    older = current.path.with_name("cpu-0123456789")
    current.path.rename(older)
    (full.folder().root / "current").write_text(older.name)
    yield from seen(driver, area, "engine-outdated")
    (older / "version").rename(older / "incomplete")
    yield from seen(driver, area, "engine-incomplete")
    (older / "incomplete").rename(older / "version")
    (older / "bin" / "python").unlink()
    yield from seen(driver, area, "engine-broken")


def seen(driver: Driver, area: bpy.types.Area, name: str) -> Steps:
    driver.answers[name] = driver.module("addon.engines.full_engine").state().value
    driver.module("addon.ui.redraw").redraw_sidebars()
    area.tag_redraw()
    yield 1.0
    yield from driver.picture(name)

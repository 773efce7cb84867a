"""Runs inside a real Blender: drives its window step by step from a timer, with simulated mouse and keys.

arguments.json names a module beside this file; its `steps(driver)` is a generator that yields how many seconds Blender
may go on before the next step.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import bpy as blender

bpy: Any = blender  # stubs know nothing of what the extension registers

HERE = Path(__file__).resolve().parent
MODULE = "bl_ext.user_default.splatwright"
PATIENCE = 240.0
EVENT_SECONDS = 0.06

Steps = Generator[float, None, None]


class Driver:
    """The window and what can be done with it."""

    def __init__(self, arguments: dict[str, Any]):
        self.arguments = arguments
        self.package = MODULE
        self.clicks = 0
        """of the mouse, since the last time that somebody set it to 0"""
        self.answers: dict[str, Any] = {"version": bpy.app.version_string}

    @property
    def window(self) -> bpy.types.Window:
        return bpy.context.window_manager.windows[0]

    @property
    def viewport(self) -> bpy.types.Area:
        return next(area for area in self.window.screen.areas if area.type == "VIEW_3D")

    @property
    def sidebar(self) -> bpy.types.Region:
        return next(region for region in self.viewport.regions if region.type == "UI")

    def install(self) -> Steps:
        """Install the extension's zip and enable it."""
        bpy.ops.extensions.package_install_files(filepath=str(HERE / "extension.zip"), repo="user_default", enable_on_install=True)
        yield 0.5

    def install_from(self, url: str) -> Steps:
        """Add an extension repository, and install and enable the extension from it."""
        bpy.context.preferences.system.use_online_access = True
        bpy.ops.preferences.extension_repo_add(name="Splatwright", remote_url=url, type="REMOTE")
        repositories = bpy.context.preferences.extensions.repos
        index, found = next((index, entry) for index, entry in enumerate(repositories) if entry.remote_url == url)
        bpy.ops.extensions.repo_sync(repo_index=index)
        yield 0.5
        bpy.ops.extensions.package_install(repo_index=index, pkg_id="splatwright", enable_on_install=True)
        yield 0.5
        self.package = f"bl_ext.{found.module}.splatwright"

    def drop_extension(self, picture: str) -> Steps:
        """Install the zip as Blender does when it is dropped on its window: a dialog, whose button Return presses."""
        x, y = self.viewport.x + self.viewport.width // 2, self.viewport.y + self.viewport.height // 2
        yield from self.move(x, y)
        with bpy.context.temp_override(window=self.window, area=self.viewport):
            bpy.ops.extensions.package_install_files("INVOKE_DEFAULT", url=str(HERE / "extension.zip"))
        yield 1.0
        yield from self.picture(picture)
        yield from self.key("RET", x, y)
        yield from self.until(lambda: MODULE in bpy.context.preferences.addons, "the extension")
        yield 0.5

    def module(self, name: str) -> Any:
        """A module of the extension."""
        return importlib.import_module(f"{self.package}.{name}")

    def open_tab(self, name: str) -> Steps:
        """Show the sidebar with a tab in front; Blender knows the tab only once the sidebar was drawn."""
        self.viewport.spaces.active.show_region_ui = True
        yield 0.5
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.viewport.tag_redraw()
            yield 0.3
            try:
                self.sidebar.active_panel_category = name
                break
            except (TypeError, AttributeError):
                continue
        self.viewport.tag_redraw()
        yield 1.0

    def click_tab(self, name: str) -> Steps:
        """Click on a tab of the sidebar. Nobody but Blender knows where it is: what is clicked before it does not count."""
        before, region = self.clicks, self.sidebar
        for y in range(region.y + region.height - 30, region.y, -40):
            yield from self.click(region.x + region.width - 10, y)
            if region.active_panel_category == name:
                self.clicks = before + 1
                yield 0.5
                return
        raise AssertionError(f"the sidebar has no tab {name}")

    def widen_sidebar(self, pixels: int) -> Steps:
        """Drag the sidebar's edge."""
        x, y = self.sidebar.x + 1, self.sidebar.y + self.sidebar.height // 3
        yield from self.event("MOUSEMOVE", "NOTHING", x, y)
        yield from self.event("LEFTMOUSE", "PRESS", x, y)
        for part in (3, 2, 1):
            yield from self.event("MOUSEMOVE", "NOTHING", x - pixels // part, y)
        yield from self.event("LEFTMOUSE", "RELEASE", x - pixels, y)
        yield 0.5

    def fold_first_panel(self) -> Steps:
        """Click on the header of the topmost panel, once the panel above it with the next step is gone."""
        if hasattr(bpy.types, "SPLATWRIGHT_PT_next"):
            self.module("addon.panels.next_step").unregister()
        self.viewport.tag_redraw()
        yield 0.5
        yield from self.click(self.sidebar.x + 60, self.sidebar.y + self.sidebar.height - 15)
        yield 0.4

    def event(self, kind: str, value: str, x: int, y: int, **options: Any) -> Steps:
        self.window.event_simulate(type=kind, value=value, x=x, y=y, **options)
        yield EVENT_SECONDS

    def move(self, x: int, y: int) -> Steps:
        """The mouse comes from beside the place, as hands move it."""
        yield from self.event("MOUSEMOVE", "NOTHING", x - 3, y)
        yield from self.event("MOUSEMOVE", "NOTHING", x, y)

    def click(self, x: int, y: int) -> Steps:
        yield from self.move(x, y)
        yield from self.event("LEFTMOUSE", "PRESS", x, y)
        yield from self.event("LEFTMOUSE", "RELEASE", x, y)
        self.clicks += 1
        yield 0.3

    def key(self, kind: str, x: int, y: int, **options: Any) -> Steps:
        yield from self.event(kind, "PRESS", x, y, **options)
        yield from self.event(kind, "RELEASE", x, y, **options)

    def press(self, operator: str, shares: tuple[float, ...] = (0.25, 0.7)) -> Steps:
        """Find a button of the sidebar by what it does, at these shares of its width, and click it."""
        yield from self._press(f"bpy.ops.{operator}(", shares)

    def check(self, setting: str) -> Steps:
        """Find a property's field in the sidebar by the end of its path, and click it."""
        yield from self._press(f".{setting}", (0.25, 0.7), shift=True, alt=True)

    def _press(self, copied: str, shares: tuple[float, ...], **options: Any) -> Steps:
        found: list[tuple[int, int]] = []
        yield from self._find(copied, found, shares, options)
        if not found:
            raise AssertionError(f"the sidebar shows nothing enabled for {copied}")
        yield from self.click(*found[0])

    def _find(self, copied: str, found: list[tuple[int, int]], shares: tuple[float, ...], options: dict[str, bool]) -> Steps:
        """Ctrl+C over a button copies its Python command, Ctrl+Shift+Alt+C over a field its full path."""
        region, manager = self.sidebar, bpy.context.window_manager
        for share in shares:
            x = region.x + int(region.width * share)
            for y in range(region.y + region.height - 24, region.y + 6, -14):
                manager.clipboard = ""
                yield from self.move(x, y)
                yield from self.key("C", x, y, ctrl=True, **options)
                if manager.clipboard.startswith(copied) or (copied.startswith(".") and manager.clipboard.endswith(copied)):
                    found.append((x, y))
                    return

    def picture(self, name: str) -> Steps:
        """Ask for a picture of the screen."""
        wish = HERE / f"{name}.wish"
        wish.touch()
        while wish.exists():
            yield 0.1

    def show_job(self, state: str, picture: str, **values: Any) -> Steps:
        """A picture of the panels with a training in some state, and with what else is known of it."""
        jobs, watched = self.module("addon.jobs.jobs"), self.module("addon.jobs.job_status")
        here, states = self.module("addon.engines.choice").local_engine(), self.module("engine.jobs.local_engine").JobState
        job = watched.WatchedJob("job", here, state=states(state))
        for key, value in values.items():
            setattr(job, key, value)
        jobs._watched["job"] = job
        bpy.context.scene.splatwright.job = "job"
        self.viewport.tag_redraw()
        yield 0.7
        yield from self.picture(picture)

    def until(self, reached: Callable[[], object], what: str) -> Steps:
        """Let Blender go on until something is so."""
        end = time.monotonic() + PATIENCE
        while not reached():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what}")
            yield 0.1


def main() -> None:
    sys.path.insert(0, str(HERE))
    arguments = json.loads((HERE / "arguments.json").read_text())
    bpy.context.preferences.view.show_splash = False
    driver = Driver(arguments)

    def all_steps() -> Steps:
        """An error while the steps are imported is an answer too."""
        yield from importlib.import_module(arguments["steps"]).steps(driver)

    steps = all_steps()

    def drive() -> float | None:
        try:
            return next(steps)
        except StopIteration:
            pass
        except BaseException:
            driver.answers["error"] = traceback.format_exc()
        (HERE / "answer.json").write_text(json.dumps(driver.answers))
        bpy.ops.wm.quit_blender()
        return None

    bpy.app.timers.register(drive, first_interval=1.0, persistent=True)


if __name__ == "__main__":
    main()

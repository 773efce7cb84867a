"""Pictures of remote engines: their list in the preferences, and the Train panel while a job is sent, waits, and runs there."""

from __future__ import annotations

from typing import Any

import addon_utils
import bpy as blender
from driver import HERE, MODULE, Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    jobs, remote = driver.module("addon.jobs.jobs"), driver.module("addon.engines.remote")
    jobs.attach = lambda: None
    preferences = bpy.context.preferences.addons[MODULE].preferences
    for name, url in (("Rented card", "http://127.0.0.1:8787"), ("Studio", "https://gpu.example.org:8787")):
        bpy.ops.splatwright.add_engine()
        entry = preferences.engines[-1]
        entry.name, entry.url, entry.token = name, url, "a-token-of-sixteen"
    preferences.engine = "1"
    ready = (True, "Ready: 0, 1; 2 jobs running, 5 waiting. 0.42 $ so far, 0.79 $ an hour")
    remote.asked(1).start(remote.ThreadWork(lambda: ready)).join()
    remote.begin_asking(2, remote.Address("http://127.0.0.1:1", "a-token-of-sixteen")).join()
    bpy.context.scene.splatwright.train.dataset = str(HERE / "dataset")
    yield from driver.open_tab("Splats")
    yield from driver.fold_first_panel()
    yield from driver.picture("remote-chosen")
    figures = {"step": 12_340, "max_steps": 30_000, "loss": 0.0321, "gaussians": 1_234_567, "rate": 64.0, "eta": 275.0, "psnr": 27.4}
    for name, state, changes in (
            ("sending", "starting", {"stage": "sending the dataset", "step": 640, "max_steps": 2000}),
            ("queued", "queued", {"remark": "2 jobs wait before this one"}),
            ("running", "running", {**figures, "remark": "0.42 $ so far, 0.79 $ an hour"}),
            ("cut", "running", {**figures, "remark": "The engine at http://127.0.0.1:8787 does not answer: timed out. Trying again."})):
        yield from driver.show_job(state, f"remote-{name}", **changes)
    yield from driver.show_job("finished", "remote-ended", step=30_000, gaussians=1_234_567, psnr=27.9, kept_there=True)
    finding = driver.module("engine.core.protocol.events").Finding(
        "warning", "The job was stopped because its engine's budget is spent: 3 / 3 h, 2.37 / 10 $.",
        "Its checkpoint is kept. To go on, start the engine with a larger budget, then resume.", code="budget.engine_ended",
        values=(("spent", "3 / 3 h, 2.37 / 10 $"),))
    alarm = "The machine was NOT switched off and goes on costing money: its command failed. Switch it off by hand."
    yield from driver.show_job("finished", "remote-alarm", step=21_000, gaussians=1_234_567, psnr=27.1, stopped=True, over_budget=finding,
                               findings=[finding], alarm=alarm, dataset=HERE / "dataset")
    bpy.context.preferences.active_section = "ADDONS"
    bpy.context.window_manager.addon_search = "Splatwright"
    driver.viewport.type = "PREFERENCES"
    yield 0.5
    for found in addon_utils.modules():
        if found.__name__ == MODULE:
            addon_utils.module_bl_info(found)["show_expanded"] = True
    next(area for area in driver.window.screen.areas if area.type == "PREFERENCES").tag_redraw()
    yield 1.0
    yield from driver.picture("remote-preferences")

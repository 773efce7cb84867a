"""A picture of the Train panel in every state that a training can have."""

from __future__ import annotations

from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    bpy.context.scene.splatwright.train.dataset = str(HERE / "dataset")
    events = driver.module("engine.core.protocol.events")
    driver.module("addon.jobs.jobs").attach = lambda: None
    yield from driver.open_tab("Splats")
    yield from driver.fold_first_panel()
    for name, (state, changes) in states(events).items():
        yield from driver.show_job(state, f"state-{name}", **changes)


def states(events: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    black = events.Finding("warning", "3 of 20 images are black: a.png, b.png, c.png.", "Check lights and exposure, then capture again.")
    points = events.Finding("info", "The dataset has no start points; training starts from random ones and needs longer.")
    figures = {"step": 1234, "max_steps": 3000, "loss": 0.0321, "gaussians": 23456, "rate": 14.2, "eta": 124.0, "psnr": 27.4}
    memory = events.Failed("The computer ran out of memory.", "Lower the resolution or the number of Gaussians, then resume.")
    photos = events.Failed("IMG_0001.heic is a HEIC photo, which the built-in engine does not read.",
                           "Install the full engine (Install Full Engine), or save the photos as JPEG.")
    return {
        "starting": ("starting", {}),
        "running": ("running", {**figures, "findings": [black, points]}),
        "paused": ("paused", figures),
        "stopping": ("running", {**figures, "stopping": True}),
        "lost": ("running", {**figures, "silent": 75.0}),
        "interrupted": ("interrupted", figures),
        "failed": ("failed", {**figures, "failure": memory}),
        "photos": ("failed", {"failure": photos}),
        "finished": ("finished", {**figures, "step": 3000, "gaussians": 40000, "psnr": 31.2, "findings": [black]}),
    }


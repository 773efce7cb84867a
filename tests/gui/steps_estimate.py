"""Estimate a training, see a price, ask for too much, press the button of the setting that fits, and stop an estimate."""

from __future__ import annotations

import dataclasses
from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps
from steps_check import show_check_alone

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    settings = bpy.context.scene.splatwright.train
    settings.dataset, settings.max_gaussians, settings.max_steps = str(HERE / "dataset"), 30_000, 200_000
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(120)
    show_check_alone(driver)
    estimate = driver.module("addon.jobs.estimate")
    yield from driver.press("splatwright.estimate")
    yield from driver.until(lambda: shown(estimate).stage, "the first steps")
    yield from driver.picture("estimate-running")
    yield from driver.until(lambda: not shown(estimate).running, "the estimate")
    priced(driver, shown(estimate))
    yield 0.7
    yield from driver.picture("estimate-priced")
    settings.max_gaussians = 50_000_000
    yield from driver.press("splatwright.estimate")
    yield from driver.until(lambda: not shown(estimate).running, "the second estimate")
    yield 0.7
    yield from driver.picture("estimate-too-large")
    driver.answers["wanted"] = estimate.changes(next(found for found in shown(estimate).findings if found.kind == "fit"))
    yield from driver.press("splatwright.apply_settings")
    driver.answers["set"] = {name: getattr(settings, name) for name in driver.answers["wanted"]}
    yield 0.7
    yield from driver.picture("estimate-applied")
    estimate.start(bpy.context.scene)
    yield 0.5
    bpy.ops.splatwright.stop_estimate()
    driver.answers["stopped"] = shown(estimate) is None
    yield 0.5
    yield from driver.picture("estimate-stopped")


def shown(estimate: Any) -> Any:
    return estimate.current(bpy.context.scene)


def priced(driver: Driver, made: Any) -> None:
    """As an engine with a card and a price would say it."""
    made.found = dataclasses.replace(made.found, backend="cuda", card=5.4e9, free_card=22e9, price_per_hour=0.79, currency="€")
    driver.viewport.tag_redraw()

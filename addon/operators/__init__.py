"""Operators, one file per subject. SUBJECTS are registered in this order and unregistered in the reverse."""

from __future__ import annotations

from . import (
    batch,
    camera_path,
    capture,
    checks,
    cleaning,
    earlier,
    engine,
    estimates,
    export,
    former,
    guide,
    install,
    instant,
    load,
    next_step,
    objects,
    photo_jobs,
    photos,
    placing,
    rendering,
    report,
    select,
    select_keys,
    splats,
    training,
    transforms,
)

SUBJECTS = (capture, checks, estimates, instant, training, earlier, report, load, splats, photos, photo_jobs, export, rendering, placing,
            cleaning, objects, transforms, next_step, camera_path, engine, install, batch, guide, select, select_keys, former)


def register() -> None:
    for subject in SUBJECTS:
        subject.register()


def unregister() -> None:
    for subject in reversed(SUBJECTS):
        subject.unregister()

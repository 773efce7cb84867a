"""Operators, one file per subject. SUBJECTS are registered in this order and unregistered in the reverse."""

from __future__ import annotations

from . import capture, checks, cleaning, engine, export, instant, load, placing, rendering, report, splats, training, transforms

SUBJECTS = (capture, checks, instant, training, report, load, splats, export, rendering, placing, cleaning, transforms, engine)


def register() -> None:
    for subject in SUBJECTS:
        subject.register()


def unregister() -> None:
    for subject in reversed(SUBJECTS):
        subject.unregister()

"""Operators, one file per subject. SUBJECTS are registered in this order and unregistered in the reverse."""

from __future__ import annotations

from . import capture, cleaning, engine, export, load, photos, placing, splats, training, transforms

SUBJECTS = (capture, training, load, splats, photos, export, placing, cleaning, transforms, engine)


def register() -> None:
    for subject in SUBJECTS:
        subject.register()


def unregister() -> None:
    for subject in reversed(SUBJECTS):
        subject.unregister()

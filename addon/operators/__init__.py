"""Operators, one file per subject. SUBJECTS are registered in this order and unregistered in the reverse."""

from __future__ import annotations

from . import capture, checks, engine, export, splats, training

SUBJECTS = (capture, checks, training, splats, export, engine)


def register() -> None:
    for subject in SUBJECTS:
        subject.register()


def unregister() -> None:
    for subject in reversed(SUBJECTS):
        subject.unregister()

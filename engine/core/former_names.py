"""Names that have changed while files, scripts and other versions still use the former ones: the one table of them, former -> current."""

from __future__ import annotations

SETTINGS: dict[str, str] = {
    "pause_when_sick": "pause_on_failure", "trial": "smoke_test", "growth": "grow_rate", "reach_limit": "max_radius_2d",
}
"""Settings of a training. Files and Blender's registered properties keep the former name, which the first version of the engine reads;
the command line knows both."""

OPERATORS: dict[str, str] = {}
"""Blender operators without their prefix `splatwright.`, which scripts may call."""

MODULES: dict[str, str] = {}
"""Public modules below `splatwright`, which scripts may import."""

"""Names that have changed while files, scripts and other versions still use the former ones: the one table of them, former -> current."""

from __future__ import annotations

SETTINGS: dict[str, str] = {}
"""Settings of a training, as job.json and the command line's flags know them. Files keep the former name: see config.py."""

OPERATORS: dict[str, str] = {
    "ask_engine": "test_remote_engine",
    "copy_diagnosis": "copy_self_check",
    "delete_there": "delete_remote_job",
    "diagnose": "self_check",
    "mend_splats": "fix_unapplied_transform",
    "watch": "open_earlier_training",
}
"""Blender operators without their prefix `splatwright.`, which scripts may call."""

MODULES: dict[str, str] = {}
"""Public modules below `splatwright`, which scripts may import."""

"""The guide that the extension brings along: its pages open in the browser, from the disk."""

from __future__ import annotations

from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[2]

OPERATORS = {
    "first_splat": ("capture*", "train", "pause", "resume", "stop", "open_report", "instant_splats", "open_earlier_training"),
    "photos": ("*photo*", "frames_from_video", "import_posed_photos", "import_camera_path", "export_camera_path"),
    "trust": ("check_dataset", "*estimate", "show_contact_sheet", "*_images", "relight", "*_coverage", "suggest_cameras", "apply_settings"),
    "batch": ("*batch*",),
    "remote": ("*remote*", "test_connection"),
    "splats_in_blender": ("prepare_cycles", "restore_bounces", "upgrade_to_native"),
    "troubleshooting": ("check_engine", "*self_check", "*engine", "open_job_folder", "open_install_log"),
    "layout_and_export": ("*",),
}
"""By page: what the operators are called that it explains; the first that fits counts."""


def page(name: str) -> Path:
    """The file of a page: of the built guide, or in a checkout without one its text."""
    built = ROOT / "help" / f"{name}.html"
    return built if built.is_file() else ROOT / "docs" / f"{name}.md"


def manual() -> tuple[str, tuple[tuple[str, str], ...]]:
    """What F1 over a button opens, as Blender's manual maps say it: a prefix, and by operator the rest of the address."""
    files = [(f"bpy.ops.splatwright.{pattern}", page(name)) for name, patterns in OPERATORS.items() for pattern in patterns]
    return f"{ROOT.as_uri()}/", tuple((pattern, file.relative_to(ROOT).as_posix()) for pattern, file in files)


def register() -> None:
    bpy.utils.register_manual_map(manual)


def unregister() -> None:
    bpy.utils.unregister_manual_map(manual)

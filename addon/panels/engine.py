"""The full engine and the self-check, as the preferences draw them."""

from __future__ import annotations

import bpy

from ...engine.environment.backends import BACKENDS
from ...engine.environment.folder import InstallState
from ..engines import full_engine, self_check
from ..translations import spoken, tr
from ..ui.text import draw_sentence

INSTALL = "splatwright.install_engine"

SENTENCES = {
    InstallState.ABSENT: "The built-in engine trains on the processor. The full engine adds NVIDIA graphics cards, photos and videos.",
    InstallState.INCOMPLETE: "An installation was interrupted. Installing goes on where it stopped.",
    InstallState.READY: "The full engine is installed",
    InstallState.OUTDATED: "This version of the extension has a newer full engine; the installed one keeps working",
    InstallState.BROKEN: "The Python that the full engine was built on is gone, for example after an update of Blender. Reinstall it.",
}
ICONS = {
    InstallState.ABSENT: "INFO",
    InstallState.INCOMPLETE: "PAUSE",
    InstallState.READY: "CHECKMARK",
    InstallState.OUTDATED: "FILE_REFRESH",
    InstallState.BROKEN: "ERROR",
}
BUTTONS = {
    InstallState.ABSENT: "Install Full Engine …",
    InstallState.INCOMPLETE: "Continue Installing …",
    InstallState.OUTDATED: "Upgrade …",
    InstallState.BROKEN: "Reinstall …",
}
ROW_ICONS = {"well": "CHECKMARK", "absent": "REMOVE", "weak": "ERROR", "broken": "CANCEL"}


def draw_full_engine(layout: bpy.types.UILayout) -> None:
    """Its state, and what can be done in it."""
    box = layout.box()
    box.label(text="Full Engine")
    state, found = full_engine.state(), full_engine.installation()
    if state is InstallState.INSTALLING and found is not None:
        draw_progress(box, found)
        return
    if found is not None and found.problem is not None:
        draw_sentence(box, spoken(found.problem), "ERROR", alert=found.problem is not full_engine.STOPPED)
    draw_sentence(box, SENTENCES[state] + _which(state), ICONS[state], alert=state is InstallState.BROKEN)
    row = box.row()
    if state in BUTTONS:
        row.operator(INSTALL, text=BUTTONS[state], icon="IMPORT")
    if state is not InstallState.ABSENT:
        row.operator("splatwright.uninstall_engine", icon="TRASH")
    if full_engine.folder().log.exists():
        row.operator("splatwright.open_install_log", icon="TEXT")


def draw_installing(layout: bpy.types.UILayout) -> None:
    """What another panel shows that waits for the full engine: the button that installs it, or how far that is."""
    state, found = full_engine.state(), full_engine.installation()
    if state is InstallState.INSTALLING and found is not None:
        draw_progress(layout, found)
        return
    if found is not None and found.problem is not None:
        draw_sentence(layout, f"{found.problem.message} {found.problem.hint}", "ERROR", alert=found.problem is not full_engine.STOPPED)
    layout.operator(INSTALL, text=BUTTONS.get(state, BUTTONS[InstallState.ABSENT]), icon="IMPORT")


def _which(state: InstallState) -> str:
    current = full_engine.folder().current()
    if state not in (InstallState.READY, InstallState.OUTDATED) or current is None:
        return ""
    backend = BACKENDS.get(current.backend)
    return tr(": {title}, with {content}.", title=backend.title, content=backend.content) if backend else "."


def draw_progress(layout: bpy.types.UILayout, found: full_engine.Installation) -> None:
    """A bar, and the button that stops."""
    row = layout.row()
    row.progress(factor=found.factor(), text=found.sentence())
    row.operator("splatwright.stop_installing", text="", icon="CANCEL")


def draw_self_check(layout: bpy.types.UILayout) -> None:
    """The self-check's rows, with their fixes."""
    box = layout.box()
    row = box.row()
    row.label(text="Self-Check")
    row.operator("splatwright.self_check", text="Checking …" if self_check.running() else "Check Everything", icon="VIEWZOOM")
    found = self_check.result()
    if found is None:
        return
    row.operator("splatwright.copy_self_check", text="", icon="COPYDOWN")
    if found.problem is not None:
        draw_sentence(box, spoken(found.problem), "ERROR", alert=True)
    for finding in found.rows:
        fix = f" {finding.fix}" if finding.fix and finding.state != "well" else ""
        icon = ROW_ICONS.get(finding.state, "QUESTION")
        draw_sentence(box, f"{finding.subject}: {finding.sentence}{fix}", icon, alert=finding.state == "broken")

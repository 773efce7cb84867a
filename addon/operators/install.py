"""The full engine: install it with consent, stop, uninstall; the self-check."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty

from ...engine.core.errors import UserError
from ...engine.environment.backends import BACKENDS, Backend
from ...engine.environment.folder import InstallState
from ...engine.environment.plan import MANAGED_PYTHON, Surroundings, choose, look_around, needs_own_python, unsuited
from ..engines import choice, full_engine, remote, self_check
from ..engines.locations import jobs_folder, preferences
from ..jobs import jobs
from ..translations import tr
from ..typed import Context, classes_factory, layout_of, operators
from ..ui.text import broken_lines
from .reporting import reports_user_errors
from .starting import StartsJob

WIDTH = 560
LINE_LETTERS = 84
GO_ONLINE = UserError("Blender does not let extensions use the network.",
                      "Allow it in Preferences > System > Network > Allow Online Access, or choose a folder of wheels.", "install.offline")

_here: Surroundings | None = None
"""Asked once, when the dialog opens: the driver takes its time to answer."""


class SPLATWRIGHT_OT_install_engine(StartsJob, bpy.types.Operator):
    """Install the full engine into a folder of its own, after showing what, from where and how large"""

    bl_idname = "splatwright.install_engine"
    bl_label = "Install Full Engine"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    backend: EnumProperty(name="Packages", items=[("AUTO", "Automatic", "Chosen by the graphics card and its driver")]
                          + [(name, backend.title, backend.content) for name, backend in BACKENDS.items()])
    wheels: StringProperty(name="Folder of Wheels", subtype="DIR_PATH",
                           description="Install from files that were fetched before, without any network. Empty: from the index")

    def invoke(self, context: Context, event: bpy.types.Event) -> set[Any]:
        global _here
        _here = look_around()
        return context.window_manager.invoke_props_dialog(self, width=WIDTH, title="Install the full engine?", confirm_text="Install")

    def draw(self, context: Context) -> None:
        layout, backend = layout_of(self), self._chosen()
        for text in self._reasons(backend):
            _lines(layout, text, alert=self.backend != "AUTO")
        for name, text in consent(backend, self.wheels):
            row = layout.split(factor=0.18)
            _lines(row, name)
            _lines(row, text)
        layout.separator()
        layout.prop(self, "backend")
        layout.prop(self, "wheels")
        if not full_engine.may_go_online(self.wheels):
            _lines(layout, f"{GO_ONLINE.message} {GO_ONLINE.hint}", alert=True)

    def begin(self, context: Context) -> full_engine.Installation:
        if not full_engine.may_go_online(self.wheels):
            raise GO_ONLINE
        if full_engine.state() in (InstallState.READY, InstallState.OUTDATED):
            check_idle()
        backend = self._chosen()
        command, environment = choice.builtin_engine().command("environment", *full_engine.install_command(backend, self.wheels))
        return full_engine.start(command, environment, backend)

    def outcome(self, work: full_engine.Installation) -> str:
        return tr("Installing the full engine into {root}", root=full_engine.folder().root)

    def _chosen(self) -> Backend:
        """What the menu says."""
        return BACKENDS[self.backend] if self.backend != "AUTO" else choose(_here or look_around()).backend

    def _reasons(self, backend: Backend) -> tuple[str, ...]:
        """Why it is this set, or why it should not be."""
        if _here is None:
            return ()
        if self.backend == "AUTO":
            plan = choose(_here)
            return (plan.message, plan.hint)
        trouble = unsuited(backend, _here.graphics)
        return (trouble.message, trouble.hint) if trouble else ()


def consent(backend: Backend, wheels: str) -> list[tuple[str, str]]:
    """What is downloaded, from where, how large and under which licences, line by line."""
    return [
        ("What", f"{backend.title}: {backend.content}"),
        ("From", tr("The folder {wheels}", wheels=wheels) if wheels else _source(backend)),
        ("Size", tr("About {download} to fetch, {disk} on the disk", download=_size(backend.download), disk=_size(backend.disk))),
        ("Into", str(full_engine.folder().root)),
        ("Licences", backend.licences),
    ]


def check_idle() -> None:
    """UserError while a training uses the engine that would be replaced or removed."""
    if any(job.state.alive for job in jobs.watched()):
        raise UserError("A training or work on photos is running with this engine.", "Wait for its end, or stop it.",
                        "install.engine_busy")


def _source(backend: Backend) -> str:
    pytorch = ", PyTorch from PyTorch's own index" if backend.cuda and sys.platform == "win32" else ""
    python = tr(", Python {managed_python} from python-build-standalone",
                managed_python=MANAGED_PYTHON) if needs_own_python(backend) else ""
    return tr("The Python Package Index{pytorch}{python}; files of the index are compared with a checksum", pytorch=pytorch, python=python)


def _lines(layout: bpy.types.UILayout, text: str, alert: bool = False) -> None:
    column = layout.column(align=True)
    column.alert = alert
    column.scale_y = 0.8
    for line in broken_lines(tr(text), LINE_LETTERS):
        column.label(text=line)


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


class SPLATWRIGHT_OT_stop_installing(bpy.types.Operator):
    """Stop; what was fetched is kept, and installing again goes on from there"""

    bl_idname = "splatwright.stop_installing"
    bl_label = "Stop Installing"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: Context) -> set[str]:
        found = full_engine.installation()
        if found is not None:
            found.stop()
        return {"FINISHED"}


class SPLATWRIGHT_OT_uninstall_engine(bpy.types.Operator):
    """Delete the full engine's folder. The built-in engine and all trainings are kept"""

    bl_idname = "splatwright.uninstall_engine"
    bl_label = "Uninstall"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def invoke(self, context: Context, event: bpy.types.Event) -> set[Any]:
        return context.window_manager.invoke_confirm(self, event, title="Uninstall the full engine?", confirm_text="Uninstall",
                                                     message="The built-in engine and all trainings stay.")

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        check_idle()
        full_engine.folder().remove()
        full_engine.forget()
        return {"FINISHED"}


class SPLATWRIGHT_OT_open_install_log(bpy.types.Operator):
    """Show the log of the installation"""

    bl_idname = "splatwright.open_install_log"
    bl_label = "Log"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: Context) -> set[str]:
        return operators().wm.path_open(filepath=str(full_engine.folder().log))


class SPLATWRIGHT_OT_self_check(StartsJob, bpy.types.Operator):
    """Check everything the chosen engine needs."""

    bl_idname = "splatwright.self_check"
    bl_label = "Check Everything"
    bl_description = ("Check everything the chosen engine needs: Python, graphics card, compiler, kernels, disk, memory; of a remote one "
                      "address, token, version, graphics card and disk")
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def obstacle(cls, context: Context) -> str:
        return "The self-check is running: wait for its end" if self_check.running() else ""

    def begin(self, context: Context) -> None:
        entry = remote.chosen(preferences())
        if entry is not None:
            self_check.start_remotely(remote.engine_at(entry, jobs_folder()).address)
            return
        engine = choice.local_engine()
        self_check.start(*engine.command("doctor", "--json", "--folder", str(engine.root)))


class SPLATWRIGHT_OT_copy_self_check(bpy.types.Operator):
    """Copy the self-check's list as text"""

    bl_idname = "splatwright.copy_self_check"
    bl_label = "Copy List"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: Context) -> set[str]:
        found = self_check.result()
        if found is None:
            return {"CANCELLED"}
        context.window_manager.clipboard = found.report
        self.report({"INFO"}, "The list is copied")
        return {"FINISHED"}


register, unregister = classes_factory((
    SPLATWRIGHT_OT_install_engine, SPLATWRIGHT_OT_stop_installing, SPLATWRIGHT_OT_uninstall_engine, SPLATWRIGHT_OT_open_install_log,
    SPLATWRIGHT_OT_self_check, SPLATWRIGHT_OT_copy_self_check))

"""The full engine as Blender knows it: where it lies, what state it is in, and the process that installs it."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import bpy

from ...engine.core.errors import UserError
from ...engine.core.parsing import parse_object
from ...engine.core.processes import DISCARD, PIPE, Process, end_tree, spawn
from ...engine.core.protocol.progress import Step
from ...engine.environment.backends import Backend
from ...engine.environment.folder import EngineFolder, InstallState
from ..translations import tr
from ..ui.background import BackgroundTask
from .locations import engine_folder, preferences
from .remote import chosen
from .status import forget_status

STOP_SECONDS = 1.0
"""For an installation that was asked to end."""

STARTING = Step("Starting")
STOPPED = UserError("The installation was stopped.", "Install again: it goes on where it stopped.", "install.stopped")
ENDED = UserError("The installation ended without a message.", "Install again: it goes on where it stopped. The log may say more.",
                  "install.no_message")


@dataclass
class Installation:
    """The process that installs, and what it said last. A thread listens to it; everybody else only reads."""

    process: Process
    backend: Backend
    step: Step = STARTING
    problem: UserError | None = None
    done: bool = False
    started: float = field(default_factory=time.monotonic)
    stage_began: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return not self.done and self.problem is None

    def follow(self) -> None:
        """The thread has taken in everything."""

    def listen(self) -> None:
        """Read its lines until it ends; runs in a thread and touches no Blender data."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.hear(line)
        if self.process.wait() and self.problem is None:
            self.problem = ENDED
        self.done = self.problem is None

    def hear(self, line: str) -> None:
        """Take in one line."""
        try:
            said = parse_object(line)
        except ValueError:
            return
        if "error" in said:
            self.problem = self.problem or UserError(said["error"], said["hint"])
        elif "name" in said:
            if said["name"] != self.step.name:
                self.stage_began = time.monotonic()
            self.step = Step(**said)

    def stop(self) -> None:
        """End the process and those it started."""
        if not self.running:
            return
        self.problem = STOPPED
        end_tree(self.process, STOP_SECONDS)

    def factor(self) -> float:
        """Share of the stage that is done, 0 to 1; 0 while it is unknown."""
        return self.step.done / self.step.total if self.step.total else 0.0

    def sentence(self) -> str:
        """The stage, how far it is and how long it takes."""
        elapsed, factor = time.monotonic() - self.stage_began, self.factor()
        if not self.step.total:
            return f"{self.step.name} … {_clock(elapsed)}"
        left = tr(", {time} left", time=_clock(elapsed / factor - elapsed)) if factor > 0.02 else ""
        return tr("{step}: {done:,} of {total:,}{left}", step=self.step.name, done=self.step.done, total=self.step.total, left=left)


_task: BackgroundTask[Installation] = BackgroundTask(ended=forget_status)
"""When it has ended, the engine is asked anew. It does not outlive the extension; the next installation goes on with it."""

poll, close = _task.poll, _task.close


def folder() -> EngineFolder:
    """Where the full engine is, or will be."""
    return EngineFolder(engine_folder())


def installation() -> Installation | None:
    """The installation of this session, under way or ended."""
    return _task.work


def state() -> InstallState:
    """What the interface shows."""
    if _task.running:
        return InstallState.INSTALLING
    return folder().state()


def installed_python() -> Path | None:
    """The interpreter of the full engine; None without one that works."""
    current = folder().current()
    return current.python if current and current.python.exists() else None


def python_path() -> Path:
    """The interpreter of the engine's processes: the chosen one, the full engine's, or Blender's own; never Blender itself."""
    return Path(preferences().python or installed_python() or sys.executable)


def needed_for_photos() -> bool:
    """Whether work on photos and videos waits for the full engine: it would run here, in Blender's own Python, which lacks the packages."""
    return chosen(preferences()) is None and python_path() == Path(sys.executable) and not _has_photo_packages()


@cache
def _has_photo_packages() -> bool:
    return find_spec("pycolmap") is not None


def may_go_online(wheels: str) -> bool:
    """Whether an installation may begin: Blender lets extensions use the network, or there is no need for it."""
    return bool(wheels) or bpy.app.online_access


def start(command: list[str], environment: dict[str, str], backend: Backend) -> Installation:
    """Begin to install. UserError while another installation runs."""
    if _task.running:
        raise UserError("The full engine is being installed already.", "Wait until it ends.", "install.running")
    begun = Installation(spawn(command, environment=environment, output=PIPE, errors=DISCARD), backend)
    threading.Thread(target=begun.listen, daemon=True).start()
    return _task.start(begun)


def install_command(backend: Backend, wheels: str) -> list[str]:
    """Arguments of the module that installs."""
    offline = ["--wheels", bpy.path.abspath(wheels)] if wheels else []
    return ["install", str(folder().root), "--backend", backend.name, "--python", sys.executable, *offline]


def forget() -> None:
    """The full engine is gone: what was said about it, too."""
    _task.forget()
    forget_status()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"

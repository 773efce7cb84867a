"""The full engine as Blender knows it: where it lies, what state it is in, and the process that installs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from ...engine.core.console import NO_CONSOLE
from ...engine.core.errors import UserError
from ...engine.core.protocol.progress import Step
from ...engine.environment.backends import Backend
from ...engine.environment.folder import EngineFolder, InstallState
from ..ui.redraw import redraw_sidebars
from .locations import engine_folder, preferences
from .status import forget_status

TICK_SECONDS = 0.25
STARTING = Step("Starting")
STOPPED = UserError("The installation was stopped.", "Install again: it goes on where it stopped.")
ENDED = UserError("The installation ended without a message.", "Install again: it goes on where it stopped. The log may say more.")

_installation: Installation | None = None


@dataclass
class Installation:
    """The process that installs, and what it said last. A thread listens to it; everybody else only reads."""

    process: subprocess.Popen[str]
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
            said = json.loads(line)
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
        if os.name == "nt":
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(self.process.pid)], capture_output=True, check=False, **NO_CONSOLE)
        else:
            os.killpg(self.process.pid, signal.SIGTERM)

    def factor(self) -> float:
        """Share of the stage that is done, 0 to 1; 0 while it is unknown."""
        return self.step.done / self.step.total if self.step.total else 0.0

    def sentence(self) -> str:
        """The stage, how far it is and how long it takes."""
        elapsed, factor = time.monotonic() - self.stage_began, self.factor()
        if not self.step.total:
            return f"{self.step.name} … {_clock(elapsed)}"
        left = f", {_clock(elapsed / factor - elapsed)} left" if factor > 0.02 else ""
        return f"{self.step.name}: {self.step.done:,} of {self.step.total:,}{left}"


def folder() -> EngineFolder:
    """Where the full engine is, or will be."""
    return EngineFolder(engine_folder())


def installation() -> Installation | None:
    """The installation of this session, under way or ended."""
    return _installation


def state() -> InstallState:
    """What the interface shows."""
    if _installation is not None and _installation.running:
        return InstallState.INSTALLING
    return folder().state()


def installed_python() -> Path | None:
    """The interpreter of the full engine; None without one that works."""
    current = folder().current()
    return current.python if current and current.python.exists() else None


def python_path() -> Path:
    """The interpreter of the engine's processes: the chosen one, the full engine's, or Blender's own; never Blender itself."""
    return Path(preferences().python or installed_python() or sys.executable)


def may_go_online(wheels: str) -> bool:
    """Whether an installation may begin: Blender lets extensions use the network, or there is no need for it."""
    return bool(wheels) or bpy.app.online_access


def start(command: list[str], environment: dict[str, str], backend: Backend) -> Installation:
    """Begin to install, and follow it with a timer. UserError while another installation runs."""
    global _installation
    if _installation is not None and _installation.running:
        raise UserError("The full engine is being installed already.", "Wait until it ends.")
    own_group = {} if os.name == "nt" else {"start_new_session": True}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True, encoding="utf-8", errors="replace", **own_group, **NO_CONSOLE)
    _installation = Installation(process, backend)
    threading.Thread(target=_installation.listen, daemon=True).start()
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK_SECONDS, persistent=True)
    return _installation


def install_command(backend: Backend, wheels: str) -> list[str]:
    """Arguments of the module that installs."""
    offline = ["--wheels", bpy.path.abspath(wheels)] if wheels else []
    return ["install", str(folder().root), "--backend", backend.name, "--python", sys.executable, *offline]


def tick() -> float | None:
    """Draw how far it is; when it has ended, let the engine be asked anew."""
    if _installation is not None and _installation.running:
        redraw_sidebars()
        return TICK_SECONDS
    forget_status()
    redraw_sidebars()
    return None


def forget() -> None:
    """The full engine is gone: what was said about it, too."""
    global _installation
    _installation = None
    forget_status()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def unregister() -> None:
    """An installation does not outlive the extension; the next one goes on with it."""
    global _installation
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    if _installation is not None:
        _installation.stop()
    _installation = None

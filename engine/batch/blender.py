"""Finds a Blender and lets it capture without a window: a program, or a Python that has the module bpy."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..core.errors import UserError
from ..core.files import write_text
from ..core.processes import Process, ended_after, run, spawn
from ..core.protocol.capture_messages import COMMAND, CaptureOrder, CaptureUpdate, read_updates, write_order

VARIABLE = "SPLATWRIGHT_BLENDER"
OLDEST = (4, 5)
USUAL_PLACES = ("/Applications/Blender.app/Contents/MacOS/Blender", r"C:\Program Files\Blender Foundation\Blender *\blender.exe")
ASK_SECONDS = 60.0
TICK_SECONDS = 0.2
VERSION = re.compile(r"(?:Blender )?(\d+)\.(\d+)")
UNKNOWN_COMMAND = "Unrecognized command"


@dataclass(frozen=True)
class Blender:
    """A program that runs Blender without a window."""

    path: Path

    @property
    def is_python(self) -> bool:
        """Whether it is a Python with the module bpy, not Blender itself."""
        return self.path.name.lower().startswith("python")

    def command(self, work: Path) -> list[str]:
        """The command line that captures what a work folder orders: with the add-on beside this package, else with the installed one."""
        script, packages = addon_beside(), _packages()
        if script is None:
            return [str(self.path), "--command", COMMAND, str(work)]
        if self.is_python:
            return [str(self.path), str(script), str(work), packages]
        return [str(self.path), "--background", "--python-exit-code", "1", "--python", str(script), "--", str(work), packages]

    def check(self) -> Blender:
        """UserError when it cannot be run, is too old, or is a Python that could not find the add-on."""
        if self.is_python and addon_beside() is None:
            raise UserError(f"{self.path} is a Python, and Splatwright's add-on does not lie beside this command.",
                            f"Name a Blender that has the extension: --blender PATH, or {VARIABLE}.", "blender.python_without_addon",
                            path=self.path)
        asking = ["-c", "import bpy; print(bpy.app.version_string)"] if self.is_python else ["--version"]
        try:
            done = run([self.path, *asking], seconds=ASK_SECONDS)
        except UserError as error:
            raise UserError(error.message, f"Name a Blender: --blender PATH, or {VARIABLE}.") from None
        found = next(filter(None, map(VERSION.match, done.stdout.splitlines())), None)
        if found is None:
            what = "has no module bpy" if self.is_python else "is no Blender"
            raise UserError(f"{self.path} {what}.", f"Name a Blender: --blender PATH, or {VARIABLE}.", "blender.wrong_program",
                            path=self.path, what=what)
        if tuple(map(int, found.groups())) < OLDEST:
            raise UserError(f"{self.path} is Blender {'.'.join(found.groups())}, which is too old.",
                            f"Use Blender {'.'.join(map(str, OLDEST))} or newer: --blender PATH, or {VARIABLE}.", "blender.too_old",
                            path=self.path, version=".".join(found.groups()), oldest=".".join(map(str, OLDEST)))
        return self


def find_blender(chosen: Path | None) -> Blender:
    """The chosen Blender, or that of the environment, of the PATH, of the usual places, or this Python's bpy; UserError without one."""
    named = str(chosen) if chosen else os.environ.get(VARIABLE, "")
    if named:
        path = shutil.which(os.path.expanduser(named))
        if path is None:
            raise UserError(f"There is no program {named}.", f"Name a Blender: --blender PATH, or {VARIABLE}.", "blender.no_program",
                            program=named)
        return Blender(Path(path)).check()
    found = shutil.which("blender") or next(_usual_places(), None)
    if found is None and find_spec("bpy") is not None:
        found = sys.executable
    if found is None:
        raise UserError("No Blender was found.", f"Install Blender, or say where it is: --blender PATH, or {VARIABLE}.", "blender.none")
    return Blender(Path(found)).check()


def addon_beside() -> Path | None:
    """The script of the add-on in the checkout that this package lies in; None where it was installed alone."""
    root = Path(__file__).resolve().parents[2]
    return root / "addon" / "__main__.py" if (root / "blender_manifest.toml").is_file() else None


def captured(blender: Blender, order: CaptureOrder, log: Path) -> Iterator[list[CaptureUpdate]]:
    """Let Blender capture what is ordered; yields what it tells, also when that is nothing, some times a second.

    Ends it when the caller leaves early. UserError when Blender ends before its work does.
    """
    with tempfile.TemporaryDirectory(prefix="splatwright-capture-") as folder, ended_after(
            _begun(blender, Path(folder), order, log)) as process:
        cursor, code = 0, None
        while code is None:
            code = process.poll()  # before the news, so that all is read after the end
            news, cursor = read_updates(Path(folder), cursor)
            yield news
            time.sleep(0 if news or code is not None else TICK_SECONDS)
    if code:
        raise _failure(code, log)


def _begun(blender: Blender, work: Path, order: CaptureOrder, log: Path) -> Process:
    """The process; its log begins anew."""
    write_order(order, work)
    write_text(log, "")
    return spawn(blender.command(work), output=log, what="Blender", tied=True)


def _failure(code: int, log: Path) -> UserError:
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        if UNKNOWN_COMMAND.encode() in file.read():
            return UserError("This Blender does not have Splatwright's extension, or has it disabled.",
                             "Install it in Preferences > Get Extensions > Install from Disk.", "blender.no_extension")
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    return UserError(f"Blender {how} before it had captured everything.", f"Run the same command again to go on; its log is {log}.",
                     "blender.ended", how=how, log=log)


def _usual_places() -> Iterator[str]:
    for place in map(Path, USUAL_PLACES):
        folder = Path(place.anchor)
        if folder.is_dir():
            yield from map(str, sorted(folder.glob(str(place.relative_to(folder))), reverse=True))


def _packages() -> str:
    """Where plyfile lies, for a Blender whose Python lacks it."""
    spec = find_spec("plyfile")
    return str(Path(spec.origin).parent) if spec and spec.origin else ""

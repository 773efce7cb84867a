"""A real Blender window on a screen of its own: starts Xvfb and Blender, runs steps inside, takes pictures.

SPLATWRIGHT_BLENDER names a Blender to run; SPLATWRIGHT_BLENDER_CHROOT a root folder that holds one (needs root rights; it
reaches the screen through the abstract socket). Pictures go to out/window, or the folder SPLATWRIGHT_GUI_PICTURES.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.core.images.png import write_png

from .screen import read_screen

HERE = Path(__file__).resolve().parent
PICTURES = HERE.parents[1] / "out" / "window"
SIZE = (1280, 800)
LIMIT_SECONDS = 800.0


def why_not() -> str:
    """Why no window can be opened here; empty when one can."""
    if sys.platform != "linux":
        return "the window tests run on Linux"
    if not shutil.which("Xvfb"):
        return "Xvfb is not installed"
    chroot, blender = os.environ.get("SPLATWRIGHT_BLENDER_CHROOT"), os.environ.get("SPLATWRIGHT_BLENDER")
    if chroot:
        return "" if (Path(chroot) / "usr/bin/blender").exists() else f"no Blender in {chroot}"
    if blender:
        return "" if shutil.which(blender) else f"{blender} is no program"
    return "set SPLATWRIGHT_BLENDER or SPLATWRIGHT_BLENDER_CHROOT to a Blender with a window"


@dataclass
class Desktop:
    """A folder that Blender sees too, with its profile and the files of a test. Several windows may open one after the other.

    Pictures are numbered in the order in which a test takes them: NN_name.png.
    """

    folder: Path
    pictures: Path
    root: Path | None
    seen: list[str] = field(default_factory=list)

    def inside(self, path: Path) -> str:
        """A path as Blender sees it."""
        return str(path if self.root is None else Path("/") / path.relative_to(self.root))

    def picture(self, name: str) -> Path:
        """Where the picture lies that was taken under a name."""
        return self.pictures / f"{self.seen.index(name) + 1:02d}_{name}.png"

    def run(self, steps: str, keep_profile: bool = False, **arguments: Any) -> dict[str, Any]:
        """Open a window, run the steps of a file beside this one inside Blender, and return what they found out.

        `keep_profile` starts with the preferences that an earlier window saved, else Blender is as it comes from the factory.
        """
        for source in HERE.glob("*.py"):
            shutil.copy(source, self.folder)
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        (self.folder / "arguments.json").write_text(json.dumps({"steps": steps, **arguments}))
        with _screen() as (display, framebuffer), open(self.pictures / f"{steps}.log", "wb") as log:
            process = subprocess.Popen(self._command(keep_profile), env=self._environment(display), stdout=log, stderr=subprocess.STDOUT)
            try:
                self._attend(process, framebuffer)
            finally:
                process.kill()
                process.wait()
        if not answer.exists():
            raise AssertionError((self.pictures / f"{steps}.log").read_text(errors="replace")[-4000:])
        shutil.copy(answer, self.pictures / f"{steps}.json")
        found = json.loads(answer.read_text())
        assert not found.get("error"), found["error"]
        return found

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Blender without a window, with the desktop's profile, to its end."""
        with subprocess.Popen([*self._blender(), *arguments], env=self._environment(""), text=True, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout
            said = process.stdout.read()
        return subprocess.CompletedProcess(arguments, process.returncode, said)

    def _command(self, keep_profile: bool) -> list[str]:
        width, height = map(str, SIZE)
        script = self.inside(self.folder / "driver.py")
        options = ["--enable-event-simulate", "-p", "0", "0", width, height, "--python", script]
        if not keep_profile:
            options.insert(0, "--factory-startup")
        return [*self._blender(), *options]

    def _blender(self) -> list[str]:
        if self.root is None:
            return [os.environ["SPLATWRIGHT_BLENDER"]]
        return [shutil.which("chroot") or "/usr/sbin/chroot", str(self.root), "blender"]

    def _environment(self, display: str) -> dict[str, str]:
        home = self.inside(self.folder)
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1",
                "BLENDER_USER_RESOURCES": f"{home}/profile", "XDG_RUNTIME_DIR": home, "LC_ALL": "C.UTF-8"}

    def _attend(self, process: subprocess.Popen[bytes], framebuffer: Path) -> None:
        """Take the pictures that the steps ask for, until Blender quits."""
        end = time.monotonic() + LIMIT_SECONDS
        while process.poll() is None:
            for wish in self.folder.glob("*.wish"):
                self._take(wish.stem, framebuffer)
                wish.unlink()
            if time.monotonic() > end:
                self._take("too-late", framebuffer)
                return
            time.sleep(0.1)

    def _take(self, name: str, framebuffer: Path) -> None:
        self.seen.append(name)
        for former in self.pictures.glob(f"[0-9][0-9]_{name}.png"):
            former.unlink()
        write_png(self.picture(name), read_screen(framebuffer))


@contextmanager
def _screen() -> Iterator[tuple[str, Path]]:
    """An X server of our own; its display and the file that mirrors its screen."""
    with tempfile.TemporaryDirectory(prefix="splatwright-screen-") as folder:
        reading, writing = os.pipe()
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "+extension", "GLX",
                   "-nolisten", "tcp", "-fbdir", folder]
        server = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(writing)
        try:
            with os.fdopen(reading) as answer:
                number = answer.readline().strip()
            if not number:
                raise RuntimeError("Xvfb did not start")
            yield f":{number}", Path(folder) / "Xvfb_screen0"
        finally:
            server.terminate()
            server.wait()


@contextmanager
def desktop() -> Iterator[Desktop]:
    """A fresh desktop; its folder and every training begun there end with it."""
    chroot = os.environ.get("SPLATWRIGHT_BLENDER_CHROOT")
    root = Path(chroot).resolve() if chroot else None
    pictures = Path(os.environ.get("SPLATWRIGHT_GUI_PICTURES", PICTURES))
    pictures.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="splatwright-desktop-", dir=root / "tmp" if root else None))
    try:
        yield Desktop(folder, pictures, root)
    finally:
        for heartbeat in folder.rglob("heartbeat"):
            with suppress(OSError, ValueError, KeyError):
                os.kill(json.loads(heartbeat.read_text())["pid"], 9)
        time.sleep(0.2)
        shutil.rmtree(folder, ignore_errors=True)
